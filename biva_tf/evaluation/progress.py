"""How far a computation over images has come, on standard error."""

import sys
import time

from tqdm import tqdm

_SECONDS_BETWEEN_LINES = 30


class Progress:
    """A bar on a terminal; elsewhere a line now and then.

    Args:
      total: how many images there are.
      done: how many of them were done before.
    """

    def __init__(self, total: int, done: int = 0):
        self._total, self._said = total, time.monotonic()
        disable = not sys.stderr.isatty()
        self._bar = tqdm(total=total, initial=done, unit="image", disable=disable)

    def __enter__(self) -> "Progress":
        return self

    def __exit__(self, *_) -> None:
        self._bar.close()

    def show(self, done: int, note: str = "") -> None:
        """Shows how many images are done, and a note."""
        self._bar.update(done - self._bar.n)
        self._bar.set_postfix_str(note)
        now = time.monotonic()
        if self._bar.disable and now - self._said > _SECONDS_BETWEEN_LINES:
            print(f"{done}/{self._total} images  {note}".rstrip(), file=sys.stderr)
            self._said = now
