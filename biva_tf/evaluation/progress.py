"""How far a computation over images has come, on standard error."""

import sys
import time

from tqdm import tqdm

_SECONDS_BETWEEN_LINES = 30
_LONG = 60  # seconds; what takes less needs no forecast


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

    def say(self, text: str) -> None:
        """Writes a line, above the bar if there is one."""
        self._bar.write(text, file=sys.stderr)


class Forecast:
    """Says once, near the start, how long a computation over images will take.

    By the time of its second part, since the first one also waits for its graphs; by the first one
    if it took so long that they do not matter. Of parts that are computed at once, by as many.

    Args:
      total: how many images there are.
      done: how many of them were done before.
      at_once: how many parts are computed at once.
    """

    def __init__(self, total: int, done: int = 0, at_once: int = 1):
        self._total, self._done, self._parts, self._at_once = total, done, 0, at_once
        self._at = time.monotonic()

    def after(self, done: int) -> str | None:
        """The line to say after a part, when `done` images are done; None if there is none."""
        self._parts += 1
        if self._parts > 2 * self._at_once or self._parts % self._at_once:
            return None
        now = time.monotonic()
        seconds, images = now - self._at, done - self._done
        self._at, self._done = now, done
        if self._parts == self._at_once and seconds < _LONG:
            return None
        self._parts = 2 * self._at_once
        left = seconds / images * (self._total - done)
        if left < _LONG:
            return None
        minutes = f"{left / 60:.0f} minutes" if left < 5400 else f"{left / 3600:.1f} hours"
        return f"{self._total:,} images: about {minutes} to go"


class ForecastProgress(Progress):
    """Progress that also says once, near its start, how long the computation will take."""

    def __init__(self, total: int, done: int = 0, at_once: int = 1):
        super().__init__(total, done)
        self._forecast = Forecast(total, done, at_once)

    def show(self, done: int, note: str = "") -> None:
        """Shows how many images are done, and a note; call it after each part."""
        super().show(done, note)
        if (line := self._forecast.after(done)) is not None:
            self.say(line)
