"""What a reader left out, changed or guessed: collected, and said once."""

import sys

_SHOWN = 5  # names in a line


class ReadingNotes:
    """ReadingNotes about files or rows, each kind with the number and the first of them."""

    def __init__(self) -> None:
        self._names: dict[str, list[str]] = {}
        self._counts: dict[str, int] = {}

    def add(self, what: str, name: str) -> None:
        """ReadingNotes something about a file, a row or an array.

        Args:
          what: what was done, as the beginning of a line.
          name: to what.
        """
        names = self._names.setdefault(what, [])
        self._counts[what] = self._counts.get(what, 0) + 1
        if len(names) < _SHOWN:
            names.append(name)

    def lines(self) -> list[str]:
        """A line for each kind of note."""
        return [
            f"{what}: {bounded(names, self._counts[what])}" for what, names in self._names.items()
        ]

    def say(self) -> None:
        """Prints the lines to the standard error, for a command."""
        for line in self.lines():
            print(f"note: {line}", file=sys.stderr)


def bounded(names: list[str], count: int) -> str:
    """The first names of `count`, and how many more there are."""
    text = ", ".join(names[:_SHOWN])
    more = count - len(names[:_SHOWN])
    return f"{text} and {more:,} more" if more else text
