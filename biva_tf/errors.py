"""Errors that a user can correct. Commands print them in one line, without a traceback.

A message that names settings has them as parts of their own:

    SettingsError(Setting("batch_size"), ": expected a multiple of 2, got 3")
    DataError(Setting("dataset", "celeba64"), ": not found in ", Setting("data_dir", "/x"), ".")

In Python they read `batch_size: expected ...` and `dataset=celeba64: not found in data_dir=/x.`; a
command prints `--batch_size: expected ...` and `--dataset=celeba64: not found in --data_dir=/x.`
"""

import dataclasses
import difflib
from collections.abc import Iterable
from typing import Any


@dataclasses.dataclass(frozen=True)
class Setting:
    """A setting that a message names.

    Attributes:
      name: the setting's name.
      value: the value that the message gives with it; None if it gives none.
    """

    name: str
    value: Any = None

    def __str__(self) -> str:
        return self.name if self.value is None else f"{self.name}={self.value}"

    def with_flags(self) -> str:
        """The setting as a flag on the command line."""
        return f"--{self}"


class UserError(Exception):
    """Wrong settings, data or files; the message says what was expected and what came.

    Args:
      parts: the message's parts, in order: text, settings, and other errors that it quotes.

    Attributes:
      exit_code: the exit code of a command that ends with this error.
    """

    exit_code = 1

    def __init__(self, *parts: "str | Setting | UserError"):
        super().__init__(*parts)

    def __str__(self) -> str:
        return "".join(map(str, self.args))

    def with_flags(self) -> str:
        """The message for a reader at the command line, where every setting is a flag."""
        return "".join(part if isinstance(part, str) else part.with_flags() for part in self.args)


class SettingsError(UserError, ValueError):
    """Settings that are wrong or contradict each other; the message names them."""


def nearest(name: str, names: Iterable[str]) -> str:
    """The end of a message about a wrong name: "; the nearest is x", or "" if none is near."""
    near = difflib.get_close_matches(name, list(names))
    if not near:
        return ""
    return f"; the nearest {'is' if len(near) == 1 else 'are'} {', '.join(near)}"
