"""JSON files that name what they are, the version of their format, and the biva_tf that wrote them.

A file that biva_tf 0.1 wrote names none of this.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from biva_tf.files import read_json
from biva_tf.version import __version__

# The newest format of each kind that this version reads and writes.
FORMATS = {
    "run": 1,
    "weights": 1,
    "evaluation": 1,
    "anomaly": 1,
    "classification": 1,
    "export": 1,
    "scores": 1,
}
_STAMP = _KIND, _FORMAT, _WRITER = "kind_of_file", "format_version", "biva_tf_version"


def stamped(kind: str, content: Mapping[str, Any]) -> dict[str, Any]:
    """The content of a file, after what it is: its kind, its format and its writer."""
    return {_KIND: kind, _FORMAT: FORMATS[kind], _WRITER: __version__, **content}


def read(plain: Any, *kinds: str) -> tuple[str | None, dict[str, Any]]:
    """The kind of a file, and its content without the stamp.

    Args:
      plain: what the file's JSON says.
      kinds: the kinds of file that are expected.

    Returns:
      One of `kinds`, or None for a file of version 0.1, which does not say; and the content.

    Raises:
      ValueError: it is not an object, a file of another kind, or of a newer format.
    """
    if not isinstance(plain, dict):
        raise ValueError(f"expected an object, got {type(plain).__name__}")
    content = {name: value for name, value in plain.items() if name not in _STAMP}
    if _FORMAT not in plain:
        return None, content
    kind, number = plain.get(_KIND), plain[_FORMAT]
    if not isinstance(kind, str) or kind not in kinds:
        raise ValueError(f"{_KIND}: expected {' or '.join(kinds)}, got {kind!r}")
    if type(number) is not int or not 1 <= number <= FORMATS[kind]:
        raise ValueError(
            f"{_FORMAT}: expected 1 to {FORMATS[kind]}, got {number!r}; written by biva_tf "
            f"{plain.get(_WRITER)}, this is {__version__}"
        )
    return kind, content


def load(path: Path, *kinds: str) -> tuple[str | None, dict[str, Any]]:
    """What `read` gives of a file.

    Raises:
      FileNotFoundError: there is none.
      ValueError: as in `read`, or it is not JSON; the message does not name the file.
    """
    return read(read_json(path), *kinds)
