"""absl flags from settings dataclasses (`biva_tf.settings`), and back."""

import dataclasses
import sys
import typing
from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from absl import flags

from biva_tf.commands import flagfiles
from biva_tf.errors import SettingsError, nearest
from biva_tf.ranges import Numbers
from biva_tf.settings import allowed, is_list, without_none

_PLURAL = {int: "integers", float: "numbers"}  # of what a list can be


class _Choice(flags.EnumFlag):
    """A flag with one of several values; the error about another value names the nearest."""

    def parse(self, argument: str) -> None:
        try:
            super().parse(argument)
        except flags.IllegalFlagValueError as e:
            near = nearest(argument, self.parser.enum_values)
            raise flags.IllegalFlagValueError(f"{e}{near}") from e


class _NumberParser(flags.ArgumentParser):
    """Parses the numbers of a range."""

    def __init__(self, numbers: Numbers):
        super().__init__()
        self._numbers = numbers
        self.syntactic_help = str(numbers)  # for --help

    def parse(self, argument: str) -> float:
        """The number. ValueError, with what was expected, if it is none of the range."""
        try:
            number = self._numbers.kind(argument)
        except ValueError:
            raise ValueError(f"expected {self._numbers}") from None
        if not self._numbers.has(number):
            raise ValueError(f"expected {self._numbers.expected(number)}")
        return number

    def flag_type(self) -> str:
        """The type of the flag's value, for absl."""
        return self._numbers.kind.__name__


def define(settings: type, values: flags.FlagValues = flags.FLAGS) -> None:
    """Defines a flag for every field of a settings dataclass, among the given flags."""
    for field, kind in _fields(settings):
        required = field.default is dataclasses.MISSING
        default: Any = None if required else field.default
        doc, choices = field.metadata["doc"], field.metadata["choices"]
        name = field.name
        if is_list(kind):
            listed = None if default is None else [str(value) for value in default]
            flags.DEFINE_list(name, listed, doc, values)
        elif choices is not None:
            flags.DEFINE_flag(_Choice(name, default, doc, choices), values)
        elif kind is bool:
            flags.DEFINE_bool(name, default, doc, values)
        elif kind in (int, float):
            parser, writer = _NumberParser(allowed(field, kind)), flags.ArgumentSerializer()
            flags.DEFINE_flag(flags.Flag(parser, writer, name, default, doc), values)
        else:
            flags.DEFINE_string(name, default, doc, values)
        if required:
            flags.register_validator(name, _is_given, "expected a value, got none", values)
        values.register_key_flag_for_module(sys.argv[0], values[name])  # so that --help lists it


def _is_given(value: Any) -> bool:
    return value is not None


def parse(argv: Sequence[str], values: flags.FlagValues = flags.FLAGS) -> list[str]:
    """Parses the flags among arguments, in flagfiles too; returns the other arguments.

    Raises:
      SettingsError: there is no such flag or flagfile, or a flag has a wrong value, or none.
    """
    try:
        return values(flagfiles.found(argv))
    except flags.UnrecognizedFlagError as e:
        name = f"--{e.flagname}"
        near = nearest(name, (f"--{known}" for known in values))
        raise SettingsError(f"{name}: there is no such flag{near}") from e
    except flags.CantOpenFlagFileError as e:
        raise SettingsError(flagfiles.missing(e.__context__)) from e
    except flags.Error as e:
        message = " ".join(str(e).split())
        raise SettingsError(message.removeprefix("flag ").replace("=None:", ":")) from e


def parse_apart(settings: type, arguments: Sequence[str]) -> tuple[flags.FlagValues, list[str]]:
    """Parses the flags of settings apart from those of this program.

    Returns:
      The flags, and the arguments that are not flags.

    Raises:
      SettingsError: as `parse`.
    """
    values = flags.FlagValues()
    define(settings, values)
    _, *others = parse(["", *arguments], values)
    return values, others


def read(
    settings: type,
    inherited: Mapping[str, Any] = MappingProxyType({}),
    values: flags.FlagValues = flags.FLAGS,
) -> Any:
    """The settings that parsed flags give.

    Args:
      settings: the dataclass.
      inherited: values that take the place of defaults, by name.
      values: the flags.

    Raises:
      SettingsError: the flags contradict each other, or a list of numbers has something else in it,
        or an inherited value is none that the setting can have.
    """
    hints, fields = typing.get_type_hints(settings), {}
    for field in dataclasses.fields(settings):
        kind, _ = without_none(hints[field.name])
        if isinstance(kind, type) and dataclasses.is_dataclass(kind):
            fields[field.name] = read(kind, inherited, values)
            continue
        flag = values[field.name]
        value = flag.value if flag.present else inherited.get(field.name, flag.value)
        if is_list(kind) and value is not None:
            value = _items(flag, value, kind)
        fields[field.name] = value
    return settings(**fields)


def _fields(settings: type) -> Iterator[tuple[dataclasses.Field, type]]:
    """The fields and their types; those of a nested dataclass in place of its field."""
    hints = typing.get_type_hints(settings)
    for field in dataclasses.fields(settings):
        kind, _ = without_none(hints[field.name])
        if isinstance(kind, type) and dataclasses.is_dataclass(kind):
            yield from _fields(kind)
        else:
            yield field, kind


def _items(flag: flags.Flag, given: list, kind: Any) -> tuple:
    item = typing.get_args(kind)[0]
    try:
        items = tuple(item(value) for value in given)
    except ValueError:
        text = ",".join(map(str, given))
        raise SettingsError(f"--{flag.name}: expected {_PLURAL[item]}, got {text!r}") from None
    if not items and flag.present:
        raise SettingsError(f"--{flag.name}: expected at least one value, got none")
    return items
