"""Settings: frozen dataclasses whose fields say what they do and which values they take.

`biva_tf.commands.flags` makes the flags of a command from them. The types that a field can have are
bool, int, float, str, tuple[int, ...], tuple[float, ...], tuple[str, ...], each also `| None`, and
another such dataclass, whose fields become flags too.
"""

import dataclasses
import os
import types
import typing
from collections.abc import Sequence
from typing import Any

from biva_tf.errors import Setting, SettingsError, nearest
from biva_tf.ranges import Numbers


def setting(
    default: Any = dataclasses.MISSING,
    doc: str = "",
    *,
    choices: Sequence[str] | None = None,
    lower: float | None = None,
    upper: float | None = None,
    above: float | None = None,
    below: float | None = None,
    path: bool = False,
) -> Any:
    """A field of a settings dataclass.

    Args:
      default: its default.
      doc: what it does, for `--help`; where there are no flags, the dataclass's docstring says it.
      choices: the strings it can be.
      lower, upper, above, below: the numbers it can be, or that a tuple can hold; see `Numbers`.
      path: whether it can be the path of a file or a folder, which may begin with ~ or ~user.
    """
    limits = {"lower": lower, "upper": upper, "above": above, "below": below}
    metadata = {"doc": doc, "choices": choices, "limits": limits, "path": path}
    return dataclasses.field(default=default, metadata=metadata)


def required(doc: str, *, path: bool = False) -> Any:
    """A field that has no default, and comes before those that have one; see `setting`."""
    return setting(doc=doc, path=path)


@dataclasses.dataclass(frozen=True)
class Settings:
    """Base of the settings dataclasses: every field has a value of its type and in its range.

    A subclass with a `__post_init__` of its own calls this one first.

    Raises:
      SettingsError: a field has another value; the message names it.
    """

    def __post_init__(self):
        hints = typing.get_type_hints(type(self))
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            checked = checked_value(field, hints[field.name], value)
            if checked is not value:
                object.__setattr__(self, field.name, checked)

    def check_files(self) -> None:
        """Checks what can be told of the files at once: a command does before its long start.

        Raises:
          UserError: one is missing, or cannot be written; the message names it.
        """


def checked_value(field: dataclasses.Field, hint: Any, value: Any) -> Any:
    """A value of a field, as a plain Python object: a NumPy number as a number, a path as a str.

    In paths, ~ is expanded here. The settings that config.json keeps, such as a data_dir, are
    expanded where they are read, so that another user's ~ is theirs.

    Args:
      field: the field.
      hint: its type.
      value: the value.

    Raises:
      SettingsError: the field cannot have the value.
    """
    kind, optional = without_none(hint)
    if value is None and optional:
        return None
    if is_list(kind):
        item = typing.get_args(kind)[0]
        if not isinstance(value, tuple | list):
            raise _wrong(field, f"{_plural(item)} in a tuple", value)
        plain = tuple(_checked_item(field, item, v) for v in value)
        return value if isinstance(value, tuple) and plain == value else plain
    return _checked_item(field, kind, value)


def allowed(field: dataclasses.Field, kind: type) -> Numbers:
    """The numbers that a field of numbers can have."""
    return Numbers(kind, **field.metadata.get("limits", {}))


def without_none(hint: Any) -> tuple[Any, bool]:
    """The type T of a hint `T` or `T | None`, and whether it is the latter."""
    if typing.get_origin(hint) not in (typing.Union, types.UnionType):
        return hint, False
    (kind,) = (arg for arg in typing.get_args(hint) if arg is not type(None))
    return kind, True


def is_list(kind: Any) -> bool:
    """Whether a type is that of a tuple of values."""
    return typing.get_origin(kind) is tuple


def _checked_item(field: dataclasses.Field, kind: Any, value: Any) -> Any:
    if kind in (int, float):
        numbers = allowed(field, kind)
        if not numbers.has(value):
            raise _wrong(field, numbers.expected(value), value)
        return value if isinstance(value, int | float) else kind(value)
    if kind is str and isinstance(value, str | os.PathLike):
        text, choices = os.fspath(value), field.metadata.get("choices")
        if choices is not None and text not in choices:
            raise _wrong(field, f"one of {', '.join(choices)}", value, nearest(text, choices))
        return os.path.expanduser(text) if field.metadata.get("path") else text
    if kind is str:
        raise _wrong(field, "a string", value)
    if not isinstance(value, kind):
        raise _wrong(field, "true or false" if kind is bool else f"a {kind.__name__}", value)
    return value


def _plural(kind: type) -> str:
    return {int: "integers", float: "numbers"}.get(kind, "strings")


def _wrong(field: dataclasses.Field, expected: str, value: Any, more: str = "") -> SettingsError:
    return SettingsError(Setting(field.name), f": expected {expected}, got {value!r}{more}")
