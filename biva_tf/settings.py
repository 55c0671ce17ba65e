"""Settings: frozen dataclasses whose fields say what they do and which values they take.

`biva_tf.commands.flags` makes the flags of a command from them. The types that a field can have are
bool, int, float, str, tuple[int, ...], tuple[str, ...], each also `| None`, and another such
dataclass, whose fields become flags too.
"""

import dataclasses
from collections.abc import Sequence
from typing import Any


def setting(
    default: Any, doc: str, *, choices: Sequence[str] | None = None, lower: float | None = None
) -> Any:
    """A field of a settings dataclass.

    Args:
      default: its default.
      doc: what it does, for `--help`.
      choices: the strings it can be.
      lower: the least number it can be.
    """
    metadata = {"doc": doc, "choices": choices, "lower": lower}
    return dataclasses.field(default=default, metadata=metadata)


def required(doc: str) -> Any:
    """A field that has no default, and comes before those that have one."""
    return dataclasses.field(metadata={"doc": doc, "choices": None, "lower": None})
