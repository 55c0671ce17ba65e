"""The kinds of which a spec's parts can be: those of the project and those of a user's own files.

A part is a frozen dataclass that derives from the base of its family: `BlockKind`, `LatentKind`,
`TopPriorKind` or `LikelihoodKind`. `register` gives it its kind, the name by which JSON, `.keras`
files, runs and exports know it:

    @biva_tf.register("laplace")
    @dataclasses.dataclass(frozen=True)
    class Laplace(biva_tf.LikelihoodKind):
        scale: float = 1.0

        def make(self, image_shape):
            return LaplaceLikelihood(image_shape, self.scale)

A part is plain data; what it describes is made by its method `make`. The modules of the project's
own parts import no TensorFlow, so those of its layers make them (`likelihoods.make`, for example).
"""

import dataclasses
from collections.abc import Callable
from typing import Any, ClassVar, TypeVar

from biva_tf.errors import nearest
from biva_tf.model.checks import SpecError


class Kind:
    """A part of a spec.

    Attributes:
      kind: its name in JSON, which `register` sets.
      family: what it is, as messages name it, which the base of each family sets.
    """

    kind: ClassVar[str]
    family: ClassVar[str]

    def make(self, *args: Any, **kwargs: Any) -> Any:
        """Makes what the part describes; the base of each family says from what."""
        raise NotImplementedError(f"{type(self).__name__} has no method make")

    @classmethod
    def makes_itself(cls) -> bool:
        """Whether it has a `make` of its own; the project's parts have none."""
        return cls.make is not Kind.make


class BlockKind(Kind):
    """A deterministic block of a stage."""

    family = "block"


class LatentKind(Kind):
    """A latent variable: its shape, and the family of its prior and its posterior."""

    family = "latent"


class TopPriorKind(Kind):
    """The prior of the top latent."""

    family = "top prior"


class LikelihoodKind(Kind):
    """p(x|z), and what x is.

    A likelihood has `make(image_shape)`, which gives a `likelihoods.Likelihood`.

    Attributes:
      values: the least and the greatest value that x can have.
      binary: whether x has the values 0 and 1 alone.
      channels: the numbers of channels that x can have; None for any number.
    """

    family = "likelihood"

    values: ClassVar[tuple[float, float]]
    binary: ClassVar[bool] = False
    channels: ClassVar[tuple[int, ...] | None] = None


FAMILIES = (BlockKind, LatentKind, TopPriorKind, LikelihoodKind)

_KINDS: dict[type[Kind], dict[str, type[Kind]]] = {family: {} for family in FAMILIES}

_Registered = TypeVar("_Registered", bound=type[Kind])


def register(kind: str) -> Callable[[_Registered], _Registered]:
    """Registers a part of specs under its kind: a decorator of a frozen dataclass.

    A class that has the module and the name of the registered one replaces it, so that a file can
    be imported again and a cell of a notebook run again.

    Args:
      kind: the name in JSON.

    Raises:
      SpecError: the class is not a frozen dataclass, belongs to no family or has no `make`, or
        another class has this kind.
    """
    if not isinstance(kind, str) or not kind:
        raise SpecError(f"register: expected the name of a kind, got {kind!r}")

    def decorated(cls: _Registered) -> _Registered:
        base = _family_of(cls, kind)
        there = known(base).get(kind)
        if there is not None and _origin(there) != _origin(cls):
            raise SpecError(
                f"register({kind!r}): {_origin(there)} is the {base.family} of this kind already; "
                f"choose another name for {_origin(cls)}"
            )
        cls.kind = kind
        _KINDS[base][kind] = cls
        return cls

    return decorated


def known(family: type[Kind]) -> dict[str, type[Kind]]:
    """The registered classes of a family by kind, in the order in which they were registered."""
    return dict(_KINDS[family])


def of_kind(family: type[Kind], kind: Any, path: str) -> type[Kind]:
    """The class of a kind.

    Args:
      family: the base of its family.
      kind: the kind that a spec names.
      path: the path of the field, for the message.

    Raises:
      SpecError: no class of the family has this kind.
    """
    classes = known(family)
    if isinstance(kind, str) and kind in classes:
        return classes[kind]
    message = f"{path}: expected one of {', '.join(classes)}, got {kind!r}"
    if isinstance(kind, str):
        message += (
            f"{nearest(kind, classes)}; a {family.family} of your own is known once the file with "
            f"its @biva_tf.register({kind!r}) is imported"
        )
    raise SpecError(message)


def _family_of(cls: type[Kind], kind: str) -> type[Kind]:
    """The family of a class to register. Raises SpecError if it cannot be registered."""
    bases = [base for base in FAMILIES if isinstance(cls, type) and issubclass(cls, base)]
    if len(bases) != 1:
        names = ", ".join(f"biva_tf.{base.__name__}" for base in FAMILIES)
        raise SpecError(f"register({kind!r}): expected a class that derives from one of {names}")
    params = cls.__dict__.get("__dataclass_params__")
    if params is None or not params.frozen:
        raise SpecError(
            f"register({kind!r}): expected {cls.__name__} to be a frozen dataclass; write "
            "@dataclasses.dataclass(frozen=True) below @biva_tf.register"
        )
    derived = any(parent in known(bases[0]).values() for parent in cls.__mro__[1:])
    if not (cls.makes_itself() or derived or cls.__module__.startswith("biva_tf.")):
        raise SpecError(f"register({kind!r}): expected {cls.__name__} to have a method make")
    return bases[0]


def _origin(cls: type) -> str:
    return f"{cls.__module__}.{cls.__qualname__}"


def to_plain(part: Kind) -> dict:
    """A part as a dict that names its kind."""
    return {"kind": part.kind, **dataclasses.asdict(part)}  # type: ignore[call-overload]
