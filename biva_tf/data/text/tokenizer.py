"""Lines of text as lists of words, and back.

A line is lower-cased. A word is a run of letters and digits, with hyphens and apostrophes inside;
every other sign but space is a word of its own.
"""

import itertools
import re
from collections.abc import Sequence

_WORD = re.compile(r"[^\W_]+(?:['\u2019\-][^\W_]+)*|[^\w\s]|_")
_NO_SPACE_BEFORE = frozenset(",.;:!?)]}%")
_NO_SPACE_AFTER = frozenset("([{$#")


def words(line: str, at_most: int | None = None) -> list[str]:
    """The words of a line, or its first `at_most` words."""
    if at_most is None:
        return _WORD.findall(line.lower())
    return [match[0] for match in itertools.islice(_WORD.finditer(line.lower()), at_most)]


def join(words: Sequence[str]) -> str:
    """Words as a line, with spaces where English has them."""
    line = ""
    for before, word in zip(["(", *words], words, strict=False):
        glued = before in _NO_SPACE_AFTER or word in _NO_SPACE_BEFORE
        line += word if glued else f" {word}"
    return line
