"""A fault, how a command ended that met it, and the trial of one."""

import dataclasses
import enum
import re
import signal
from collections.abc import Callable

from faults.place import Place


class Outcome(enum.Enum):
    """How a command ended."""

    OK = "ok"
    LINE = "one clear line"
    UNCLEAR = "other words"
    TRACEBACK = "traceback"
    SIGNAL = "signal"
    HANG = "hang"
    WRONG = "wrong numbers"


def _nothing(_):
    pass


@dataclasses.dataclass(frozen=True)
class Fault:
    """A fault and what must come of it.

    Attributes:
      name: what is wrong.
      kind: the heading under which it is counted.
      command: the command's name, then its flags. `{0}` in them is the `Place`.
      expected: OK or LINE.
      words: what the clear line must have, each a regular expression: the file, field or flag.
      arrange: makes what is wrong.
      check: looks at what is there after the command, and raises AssertionError if a number is
        wrong or something is lost or left over.
      mend: takes away what was wrong.
      after: as `command`, for a second command that has to succeed then.
      check_after: as `check`, after that one.
      slow: whether only the slow tests try it.
      seconds: what takes more of a processor, or ten times as long, counts as a hang.
      needs: a package without which it cannot be tried.
    """

    name: str
    kind: str
    command: tuple[str, ...]
    expected: Outcome
    words: tuple[str, ...] = ()
    arrange: Callable[[Place], object] = _nothing
    check: Callable[[Place], object] = _nothing
    mend: Callable[[Place], object] = _nothing
    after: tuple[str, ...] = ()
    check_after: Callable[[Place], object] = _nothing
    slow: bool = False
    seconds: int = 60
    needs: str | None = None

    def __str__(self) -> str:
        return f"{self.kind}: {self.name}"


@dataclasses.dataclass(frozen=True)
class Trial:
    """How a trial of a fault ended.

    Attributes:
      outcome: of the command.
      said: what the command said in its last line, or what is wrong.
    """

    outcome: Outcome
    said: str


# Lines that go before the last one: notes, progress, and what a command says that it does.
_TRACEBACK = "Traceback (most recent call last)"
_OF_LIBRARIES = re.compile(r"^([WEF]\d{4} |\S+:\d+: \w*Warning|.*\b[EF]xternal/local_tsl)", re.M)
_LONGEST_LINE = 1000


def classify(name: str, code: int, err: str, words: tuple[str, ...] = ()) -> Trial:
    """How a command ended.

    Args:
      name: the command's name, with which its last line begins.
      code: its exit code.
      err: what it wrote to standard error.
      words: what its last line has to have if it fails, as regular expressions.
    """
    *_, last = err.strip().splitlines() or [""]
    if code in (-signal.SIGALRM, -signal.SIGXCPU):
        return Trial(Outcome.HANG, last)
    if code < 0:
        return Trial(Outcome.SIGNAL, f"{signal.Signals(-code).name}: {last}")
    if _TRACEBACK in err:
        return Trial(Outcome.TRACEBACK, last)
    if code == 0:
        return Trial(Outcome.OK, last)
    if not last.startswith(f"{name}: "):
        return Trial(Outcome.UNCLEAR, f"not the command's own line: {last}")
    if "an error of the program" in last:
        return Trial(Outcome.TRACEBACK, last)
    if noise := _OF_LIBRARIES.search(err):
        return Trial(Outcome.UNCLEAR, f"a library's note: {err[noise.start() :].splitlines()[0]}")
    if len(last) > _LONGEST_LINE:
        return Trial(Outcome.UNCLEAR, f"{len(last)} characters: {last[:_LONGEST_LINE]}")
    missing = [word for word in words if not re.search(word, last)]
    if missing:
        return Trial(Outcome.UNCLEAR, f"without {missing}: {last}")
    return Trial(Outcome.LINE, last)


def attempt(fault: Fault, place: Place) -> Trial:
    """Arranges a fault, runs its command, and looks at what came."""
    fault.arrange(place)
    trial = _run(fault.command, place, fault.seconds, fault.words)
    if trial.outcome is not fault.expected:
        return trial
    try:
        fault.check(place)
        if fault.after:
            fault.mend(place)
            then = _run(fault.after, place, fault.seconds)
            assert then.outcome is Outcome.OK, f"{fault.after[0]} afterwards: {then.said}"
            fault.check_after(place)
    except AssertionError as e:
        return Trial(Outcome.WRONG, str(e) or "a check failed")
    return trial


def _run(command, place: Place, seconds: int, words: tuple[str, ...] = ()) -> Trial:
    name, *flags = (part.format(place) for part in command)
    result = place.run_command(name, *flags, seconds=seconds)
    place.out, place.err = result.stdout, result.stderr
    return classify(name, result.returncode, result.stderr, words)
