"""Trains the runs of an experiment that are not finished yet, and prints its tables.

Each run is trained by `python -m biva_tf.train` in a process of its own. If a flag of biva_tf.train
has several values, the first of these counts:

1. the experiment's own: model_dir, and what else makes the run the one that the experiment needs;
2. what the user passes after `--`;
3. the experiment's defaults;
4. the default of biva_tf.train.

Passing a flag that the experiment sets for every run is an error, as it would change nothing. A
flagfile may have such flags; the experiment's values take their place.
"""

import dataclasses
import json
import os
import subprocess
import sys
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from absl import flags

from biva_tf import train
from biva_tf.commands.flags import parse_apart
from biva_tf.errors import SettingsError, UserError
from biva_tf.model import architectures
from biva_tf.runs.config import RunConfig
from biva_tf.runs.run_dir import RunDir


class TrainingError(UserError, RuntimeError):
    """A training run that failed."""


# Defaults of an experiment with short runs, as in configs/mnist_sample.flags.
SHORT_RUN = {"ema_decay": 0.99, "eval_every": 250, "checkpoint_every": 250}
# What an experiment sets that trains architectures for a number of steps with several seeds.
SET_BY = {
    "model_dir": "output_dir",
    "architecture": "architecture",
    "seed": "seeds",
    "steps": "steps",
}

_ONE_THREAD = {"TF_NUM_INTRAOP_THREADS": "1", "TF_NUM_INTEROP_THREADS": "1"}


@dataclasses.dataclass(frozen=True)
class Sweep:
    """The runs of an experiment, in one folder.

    Attributes:
      folder: the folder; each run has a folder in it.
      defaults: values of flags that the user may replace.
      passed: the arguments after `--`.
      set_by: the flags that the experiment sets for every run, each with the setting of the
        experiment that decides its value.
      one_thread: whether a training computes in one thread. For a very small model this is the
        faster way, above all beside other processes.

    Raises:
      SettingsError: biva_tf.train does not take the passed arguments, or the experiment sets one of
        them for every run.
    """

    folder: Path
    defaults: Mapping[str, object] = dataclasses.field(default_factory=dict)
    passed: Sequence[str] = ()
    set_by: Mapping[str, str] = dataclasses.field(default_factory=dict)
    one_thread: bool = False

    def __post_init__(self):
        for argument in self.passed:
            name = argument.lstrip("-").partition("=")[0]
            if argument.startswith("-") and name in self.set_by:
                message = f"--{name} cannot follow --: use --{self.set_by[name]}, before --"
                raise SettingsError(message)
        _parse([*_flags({"model_dir": self.folder}), *self.passed])  # an error in them comes now

    def run_dir(self, name: str) -> RunDir:
        """The folder of a run."""
        return RunDir(self.folder / name)

    def config(self, name: str, own: Mapping[str, object]) -> RunConfig:
        """The settings of a run; arguments and errors as in `train`."""
        return train.read_settings(_parse(self._arguments(name, own))).config

    def _arguments(self, name: str, own: Mapping[str, object]) -> list[str]:
        own = {"model_dir": self.run_dir(name).path, **own}
        return [*_flags(self.defaults), *self.passed, *_flags(own)]

    def train(self, name: str, own: Mapping[str, object]) -> RunDir:
        """Trains a run, unless it is finished and has the same settings.

        An interrupted run goes on, and so does a finished one if biva_tf.train lets it go on with
        the new settings: with more steps, for example.

        Args:
          name: the name of the run's folder.
          own: the experiment's own values of flags, without model_dir.

        Returns:
          The folder of the finished run.

        Raises:
          RunDirError: the folder holds a run of another architecture.
          SpecError, SettingsError: the architecture or the settings are wrong.
          TrainingError: the training failed.
        """
        run_dir, arguments = self.run_dir(name), self._arguments(name, own)
        config = self.config(name, own)
        title = f"{name}, {config.steps} steps"
        if _is_finished(run_dir, config):
            print(f"{title}: finished already", file=sys.stderr, flush=True)
            return run_dir
        print(title, file=sys.stderr, flush=True)
        command = [sys.executable, "-m", "biva_tf.train", *arguments]
        env = {**os.environ, **_ONE_THREAD} if self.one_thread else None
        if code := subprocess.run(command, stdout=subprocess.DEVNULL, env=env).returncode:
            raise TrainingError(f"this training failed with exit code {code}: {title}")
        return run_dir


def check_some(setting: str, values: Collection, known: Collection[str] | None = None) -> None:
    """Raises SettingsError if a setting has no values, or one that is not among the known ones."""
    if not values:
        raise SettingsError(f"--{setting}: expected at least one value, got none")
    for value in values:
        if known is not None and value not in known:
            raise SettingsError(f"--{setting}: expected some of {', '.join(known)}, got {value!r}")


def plus_minus(value: float, error: float, digits: int) -> str:
    """A value with its standard error or standard deviation."""
    return f"{value:.{digits}f} ± {error:.{digits}f}"


def table(head: Sequence[str], rows: Iterable[Sequence[str]], left: int = 1) -> list[str]:
    """The lines of a Markdown table with aligned columns.

    Args:
      head: the headings.
      rows: the cells of each row, one for each heading.
      left: how many columns, from the first, are aligned to the left; the others to the right.
    """
    head, *rows = [[cell.replace("|", r"\|") for cell in line] for line in (head, *rows)]
    widths = [max(3, *map(len, column)) for column in zip(head, *rows, strict=True)]
    marks = [width * "-" if i < left else (width - 1) * "-" + ":" for i, width in enumerate(widths)]
    padded = [
        [f"{cell:{'<' if i < left else '>'}{widths[i]}}" for i, cell in enumerate(line)]
        for line in (head, marks, *rows)
    ]
    return [f"| {' | '.join(line)} |" for line in padded]


def plain(rows: Iterable[Any]) -> dict[str, Any]:
    """Rows that are dataclasses, for JSON."""
    return {"rows": [dataclasses.asdict(row) for row in rows]}


def show(lines: Iterable[str], result: Any) -> None:
    """Prints lines and, as the last one, the result as a JSON object."""
    for line in lines:
        print(line)
    print(json.dumps(result))


def _flags(values: Mapping[str, object]) -> list[str]:
    return [f"--{name}={value}" for name, value in values.items()]


def _parse(arguments: Sequence[str]) -> flags.FlagValues:
    """The flags that biva_tf.train reads from its arguments."""
    try:
        values, others = parse_apart(train.TrainSettings, arguments)
    except SettingsError as e:
        raise SettingsError("biva_tf.train: ", e) from e
    if others:
        raise SettingsError(f"biva_tf.train: expected flags, got {others[0]!r}")
    return values


def _is_finished(run_dir: RunDir, config: RunConfig) -> bool:
    """Whether a run has the settings and the result of all steps. RunDirError as in `check`."""
    changes = run_dir.check(architectures.read(config.architecture), config)
    summary = run_dir.read_summary()
    return not changes and summary is not None and summary["step"] == config.steps
