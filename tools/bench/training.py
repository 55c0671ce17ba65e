"""Trains a model as a user does: by `python -m biva_tf.train`, in a process of its own."""

import subprocess
import sys
from collections.abc import Mapping, Sequence

from biva_tf.errors import UserError


class TrainingError(UserError, RuntimeError):
    """A training run that failed."""


def train(title: str, flags: Mapping[str, object], more: Sequence[str] = ()) -> None:
    """Trains a model if its run is not finished yet.

    Args:
      title: says on standard error what is trained.
      flags: of biva_tf.train, by name.
      more: more of its flags, as written on a command line.

    Raises:
      TrainingError: the training failed.
    """
    print(title, file=sys.stderr, flush=True)
    command = [sys.executable, "-m", "biva_tf.train"]
    command += [f"--{name}={value}" for name, value in flags.items()]
    if code := subprocess.run([*command, *more], stdout=subprocess.DEVNULL).returncode:
        raise TrainingError(f"this training failed with exit code {code}: {title}")
