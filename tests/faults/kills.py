"""Commands that are killed at random moments and started again, until they end.

BIVA_KILLS=200 tools/run.sh python -m pytest -n 0 -m faults -s tests/faults/test_kills.py
"""

import dataclasses
import random
import signal
from collections.abc import Callable
from pathlib import Path

from conftest import run

_SECONDS = 3000  # after which a command counts as hung


@dataclasses.dataclass(frozen=True)
class Job:
    """A command, and what it has to leave.

    Attributes:
      name: the job's name.
      command: gives the command's name and flags for an output folder.
      result: what the folder has at the end, which has to be the same bytes.
    """

    name: str
    command: Callable[[Path], tuple[str, ...]]
    result: Callable[[Path], dict[str, bytes]]


def finish(job: Job, folder: Path) -> float:
    """Runs the command to its end; returns the seconds of a processor that it took."""
    return _start(job, folder).seconds


def killed(job: Job, folder: Path, kills: int, seconds: float, rng: random.Random) -> list[float]:
    """Kills the command at random moments, and lets it end.

    Args:
      job: the job.
      folder: its output folder.
      kills: how often it is started to be killed.
      seconds: the moments are up to so many seconds of a processor after the start.
      rng: gives the moments.

    Returns:
      The moments of the kills that met it alive, in seconds of a processor.
    """
    moments = [rng.uniform(0, seconds) for _ in range(kills)]
    met = [moment for moment in moments if _start(job, folder, moment).returncode]
    finish(job, folder)
    return met


def _start(job, folder, kill_after=None):
    """What came of the command, which ended well or was killed."""
    name, *flags = job.command(folder)
    result = run("-m", f"biva_tf.{name}", *flags, timeout=_SECONDS, kill_after=kill_after)
    was_killed = kill_after is not None and result.returncode == -signal.SIGKILL
    assert was_killed or result.returncode == 0, f"{job.name}: {result.stderr[-2000:]}"
    return result
