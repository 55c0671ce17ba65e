"""The kinds of which a spec's parts can be: those of the project and those of a user's own files.

A part is a frozen dataclass that derives from the base of its family: `BlockKind`, `LatentKind`,
`TopPriorKind`, `LikelihoodKind` or `StagesKind`. `register` gives it its kind, the name by which
JSON, `.keras` files, runs and exports know it:

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
from typing import Any, ClassVar, TypeVar, cast

import numpy as np

from biva_tf.errors import nearest
from biva_tf.model.checks import SpecError, require
from biva_tf.model.observed import REALS, UNIT, Observation, Unit


class UnknownKindError(SpecError):
    """A kind that is not registered."""


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
    """A deterministic block of a stage.

    A block has `make(in_shape, skip_shape, *, out_size, residual, dropout, name)`, which gives a
    `blocks.MapBlock`; `blocks.make` says what it gets. `str` of a block is what a dry run shows.
    """

    family = "block"

    def at_one_size(self) -> "BlockKind":
        """The block for maps that keep their size: one that merges maps has no stride."""
        return self

    def in_tf1(self) -> list[Any] | None:
        """What the original takes for the block; None: it has no such block."""
        return None


class LatentKind(Kind):
    """A latent variable: its shape, and the family of its prior and its posterior.

    A latent has `shape` and `make(in_shape, *, name)`, which gives a Keras layer that takes
    features [rows, *in_shape] to a distribution over [rows, *shape]; see `heads.make`.
    """

    family = "latent"

    def shape(self, in_shape: tuple[int, int, int]) -> tuple[int, ...]:
        """The shape of the latent per example: (units,), or (height, width, channels).

        Args:
          in_shape: the shape of the features that the latent is inferred from. Its height and width
            are those of a latent that is a map.
        """
        raise NotImplementedError(f"{type(self).__name__} has no method shape")

    def in_tf1(self) -> Any:
        """What the original takes for the latent; None: it has no such latent."""
        return None


class TopPriorKind(Kind):
    """The prior of the top latent.

    A top prior has `make(posterior, *, name)`, which gives a Keras layer that takes the number of
    rows to p(z_L); `top_priors.make` says what it gets.
    """

    family = "top prior"


class LikelihoodKind(Kind):
    """p(x|z), and what x is.

    A likelihood has `make(image_shape)`, which gives a `likelihoods.Likelihood`. Everything else
    has defaults, which are those of grey or coloured images in [0, 1]. Whoever reads, checks,
    measures or draws x asks it.

    Attributes:
      x: what x is. A likelihood of sentences has `num_ids`, too.
      values: the least and the greatest value that x can have.
      binary: whether x has the values 0 and 1 alone.
      channels: the numbers of channels that x can have; None for any number.
      codes_pixels: whether the layer has `channel_probabilities`, with which images are compressed.
    """

    family = "likelihood"

    x: ClassVar[Observation] = Observation.IMAGE
    values: ClassVar[tuple[float, float]] = UNIT
    binary: ClassVar[bool] = False
    channels: ClassVar[tuple[int, ...] | None] = None
    codes_pixels: ClassVar[bool] = False

    @property
    def num_ids(self) -> int | None:
        """The number of ids of tokens, if x is a sentence; else None."""
        return None

    @property
    def unit(self) -> Unit:
        """The unit in which anomaly detection reports bounds.

        As in the paper, it is nats if x is binary, else bits/dim. Of real numbers it is nats, since
        their bits/dim depend on the unit of the numbers.
        """
        in_bits = self.x.of_fixed_size and not self.binary and self.values == UNIT
        return Unit.BITS_PER_DIM if in_bits else Unit.NATS

    def check_shape(self, image_shape: tuple[int, int, int]) -> None:
        """Raises SpecError if x cannot have the shape (height, width, channels)."""
        if self.channels is not None:
            expected = f"{' or '.join(map(str, self.channels))} channels for {self.kind}"
            require(image_shape[2] in self.channels, "image_shape", expected, image_shape)

    def input_shape(self, image_shape: tuple[int, int, int]) -> tuple[int, int, int]:
        """The shape of what the first bottom-up stage reads: that of `network_input`."""
        return image_shape

    def uncounted_floats(self, image_shape: tuple[int, int, int]) -> int:
        """Numbers that a training step keeps of an x in maps with an unknown number of rows."""
        return 0

    @property
    def expected_values(self) -> str:
        """The values of x, for a message."""
        least, greatest = self.values
        if self.values == REALS:
            return "finite numbers"
        or_bytes = " or uint8 of 0 to 255" if self.values == UNIT else ""
        return f"values in [{least:g}, {greatest:g}]{or_bytes}"

    def check_values(self, images: np.ndarray) -> None:
        """Raises ValueError if images, float32 [n >= 1, *image_shape], have impossible values."""
        (least, greatest), low, high = self.values, images.min(), images.max()
        if not (np.isfinite([low, high]).all() and low >= least and high <= greatest):
            raise ValueError(f"images: expected {self.expected_values}, got {low} to {high}")


class StagesKind(Kind):
    """The stages of a model. It has `make(spec)`, which gives a `stages.Stages`."""

    family = "kind of stages"


FAMILIES = (BlockKind, LatentKind, TopPriorKind, LikelihoodKind, StagesKind)

_KINDS: dict[type[Kind], dict[str, type[Kind]]] = {family: {} for family in FAMILIES}

_Registered = TypeVar("_Registered", bound=type[Kind])
_Family = TypeVar("_Family", bound=Kind)


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


def known(family: type[_Family]) -> dict[str, type[_Family]]:
    """The registered classes of a family by kind, in the order in which they were registered."""
    return cast(dict[str, type[_Family]], dict(_KINDS[family]))


def of_kind(family: type[Kind], kind: Any, path: str) -> type[Kind]:
    """The class of a kind.

    Args:
      family: the base of its family.
      kind: the kind that a spec names.
      path: the path of the field, for the message.

    Raises:
      UnknownKindError: no class of the family has this kind.
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
    raise UnknownKindError(message)


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
