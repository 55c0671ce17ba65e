"""Signals that ask a run to stop: SIGTERM of a scheduler, SIGINT of Ctrl-C."""

import contextlib
import os
import signal
import threading
from collections.abc import Iterator

from biva_tf.errors import UserError


class InterruptionError(UserError, RuntimeError):
    """A signal stopped the run; the exit code is 128 plus its number, as a shell has it."""

    def __init__(self, number: int, said: str):
        super().__init__(f"{signal.Signals(number).name}: {said}")
        self.exit_code = 128 + number


class Interruption:
    """While active, SIGTERM and SIGINT raise `InterruptionError` where they are not `held`.

    After the first signal the defaults are back: a second one ends the process at once. In a thread
    that is not the main one, signals stay as they are.

    Attributes:
      signal: the number of the signal that came; None before.
    """

    def __init__(self):
        self.signal: int | None = None
        self._held = False
        self._before = {}

    def __enter__(self) -> "Interruption":
        if threading.current_thread() is threading.main_thread():
            self._before = {n: signal.getsignal(n) for n in (signal.SIGTERM, signal.SIGINT)}
            self.handle_again()
        return self

    def handle_again(self) -> None:
        """Takes the signals back from a library that has taken them."""
        for number in self._before:
            signal.signal(number, self._handle)

    def __exit__(self, *_) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """While active, a signal is only noted; the caller looks at `asked`."""
        with self._hold(True):
            yield

    @contextlib.contextmanager
    def at_once(self) -> Iterator[None]:
        """Within `held`: while active, signals raise again, also one that came before."""
        with self._hold(False):
            self.check()
            yield

    def asked(self) -> int | None:
        """The signal that stops the run after the step just done; None if there is none."""
        return self.signal

    def check(self) -> None:
        """Raises InterruptionError if a signal came."""
        if self.signal is not None:
            raise InterruptionError(self.signal, "stopped. The same command goes on")

    @contextlib.contextmanager
    def _hold(self, held: bool) -> Iterator[None]:
        before, self._held = self._held, held
        try:
            yield
        finally:
            self._held = before

    def _handle(self, number, _frame) -> None:
        self.signal = number
        for each in self._before:
            signal.signal(each, signal.SIG_DFL)
        if not self._held:
            self.check()
        # Not `print`: the handler may run in the middle of another one.
        name = signal.Signals(number).name
        os.write(2, f"\n{name}: stops after this step; a second signal stops at once\n".encode())
