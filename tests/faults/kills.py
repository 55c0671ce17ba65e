"""Commands that are killed at random moments and started again, until they end.

BIVA_KILLS=200 tools/run.sh python -m pytest -n 0 -m slow -s tests/faults/test_kills.py
"""

import dataclasses
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from conftest import ROOT

_SECONDS = 600  # after which a command counts as hung


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


def start(job: Job, folder: Path) -> subprocess.Popen:
    """Starts the command, as the leader of a group of processes."""
    name, *flags = job.command(folder)
    return subprocess.Popen(
        [sys.executable, "-m", f"biva_tf.{name}", *flags],
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def finish(job: Job, folder: Path) -> float:
    """Runs the command to its end; returns the seconds that it took."""
    begin = time.monotonic()
    with start(job, folder) as process:
        _, err = process.communicate(timeout=_SECONDS)
    assert process.returncode == 0, f"{job.name}: {err[-2000:]}"
    return time.monotonic() - begin


def killed(job: Job, folder: Path, kills: int, seconds: float, rng: random.Random) -> int:
    """Kills the command at random moments, lets it end, and counts the kills that met it alive.

    Args:
      job: the job.
      folder: its output folder.
      kills: how often it is started to be killed.
      seconds: the moments are up to so long after the start.
      rng: gives the moments.
    """
    alive = 0
    for _ in range(kills):
        with start(job, folder) as process:
            try:
                _, err = process.communicate(timeout=rng.uniform(0, seconds))
                assert process.returncode == 0, f"{job.name} after a kill: {err[-2000:]}"
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                alive += 1
                process.communicate()
    finish(job, folder)
    return alive
