"""Trains a model as a user does: by `python -m biva_tf.train`, in a process of its own."""

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence

from biva_tf.errors import UserError


class TrainingError(UserError, RuntimeError):
    """A training run that failed."""


_ONE_THREAD = {"TF_NUM_INTRAOP_THREADS": "1", "TF_NUM_INTEROP_THREADS": "1"}


def flags(values: Mapping[str, object]) -> list[str]:
    """Flags as written on a command line, from their values by name."""
    return [f"--{name}={value}" for name, value in values.items()]


def train(title: str, arguments: Sequence[str], *, one_thread: bool = False) -> None:
    """Trains a model if its run is not finished yet.

    Args:
      title: says on standard error what is trained.
      arguments: the flags of biva_tf.train. Of two values of a flag, the later one counts.
      one_thread: whether it computes in one thread. For a very small model this is the faster way,
        above all beside other processes.

    Raises:
      TrainingError: the training failed.
    """
    print(title, file=sys.stderr, flush=True)
    command = [sys.executable, "-m", "biva_tf.train", *arguments]
    env = {**os.environ, **_ONE_THREAD} if one_thread else None
    if code := subprocess.run(command, stdout=subprocess.DEVNULL, env=env).returncode:
        raise TrainingError(f"this training failed with exit code {code}: {title}")
