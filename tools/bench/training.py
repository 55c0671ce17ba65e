"""Trains a model as a user does: by `python -m biva_tf.train`, in a process of its own."""

import subprocess
import sys
from collections.abc import Mapping, Sequence

from biva_tf.errors import UserError


class TrainingError(UserError, RuntimeError):
    """A training run that failed."""


def flags(values: Mapping[str, object]) -> list[str]:
    """Flags as written on a command line, from their values by name."""
    return [f"--{name}={value}" for name, value in values.items()]


def train(title: str, arguments: Sequence[str]) -> None:
    """Trains a model if its run is not finished yet.

    Args:
      title: says on standard error what is trained.
      arguments: the flags of biva_tf.train. Of two values of a flag, the later one counts.

    Raises:
      TrainingError: the training failed.
    """
    print(title, file=sys.stderr, flush=True)
    command = [sys.executable, "-m", "biva_tf.train", *arguments]
    if code := subprocess.run(command, stdout=subprocess.DEVNULL).returncode:
        raise TrainingError(f"this training failed with exit code {code}: {title}")
