"""The files of a run, under its model_dir.

config.json      the model spec and the settings: all that is needed to rebuild the model
metrics.jsonl    the metrics, one JSON object per line
summary.json     the result, once the run has ended
samples/         grids of samples, *.png; of text, *.txt
vocabulary.txt   of a model of text, its words in the order of their ids
checkpoints/     the state of training
unfinished.json  what a run that a signal stopped has still to do at the step of its checkpoint
weights/         the selected weights (models that ship with the project: weights.npz and .json)
tensorboard/     the metrics for TensorBoard
evaluations/     the results of biva_tf.evaluate and biva_tf.anomaly, and their finished chunks
examples.npz     of models that ship with the project: the first test images
pictures/        the pictures of biva_tf.sample and biva_tf.plot
report.html      the page of biva_tf.report
traceback-*.txt  of each command, where in the program its last error came from
"""

import dataclasses
import difflib
import json
from pathlib import Path
from typing import Any

from biva_tf import artefacts
from biva_tf.errors import Setting, UserError
from biva_tf.files import write_atomically, write_json
from biva_tf.model.spec import ModelSpec, SpecError, from_plain, to_plain
from biva_tf.runs.config import BEFORE_SETTINGS, RunConfig, data_config, defaults


class RunDirError(UserError, RuntimeError):
    """A model_dir that is missing, damaged, or of another run; the message names the file."""


@dataclasses.dataclass(frozen=True)
class RunDir:
    """A model_dir."""

    path: Path

    @property
    def checkpoints(self) -> Path:
        """The folder of the training state."""
        return self.path / "checkpoints"

    @property
    def weights(self) -> Path:
        """The folder of the selected weights."""
        return self.path / "weights"

    @property
    def samples(self) -> Path:
        """The folder of sample grids."""
        return self.path / "samples"

    @property
    def tensorboard(self) -> Path:
        """The folder of TensorBoard's files."""
        return self.path / "tensorboard"

    @property
    def evaluations(self) -> Path:
        """The folder of evaluations."""
        return self.path / "evaluations"

    @property
    def pictures(self) -> Path:
        """The folder of pictures."""
        return self.path / "pictures"

    @property
    def metrics(self) -> Path:
        """The file of metrics."""
        return self.path / "metrics.jsonl"

    @property
    def summary(self) -> Path:
        """The file of the result."""
        return self.path / "summary.json"

    @property
    def vocabulary(self) -> Path:
        """The file of the vocabulary of a model of text."""
        return self.path / "vocabulary.txt"

    @property
    def unfinished(self) -> Path:
        """The file of what a stopped run has still to do at the step of its checkpoint."""
        return self.path / "unfinished.json"

    @property
    def examples(self) -> Path:
        """The file of a shipped model with the first test images of its data set."""
        return self.path / "examples.npz"

    @property
    def config(self) -> Path:
        """The file with the spec and the settings."""
        return self.path / "config.json"

    def as_begun(self, spec: ModelSpec, config: RunConfig) -> tuple[ModelSpec, RunConfig]:
        """The spec and the settings with what the earlier run here keeps, if there is one.

        A run of a version without `ema_warmup`, or with named architectures without a ceiling of
        the log-variances, goes on as it began. A run keeps its `validation_size` unless another one
        is given.

        Raises:
          RunDirError: the earlier run cannot be read.
        """
        if not self.config.exists():
            return spec, config
        old_spec, begun = self.read()
        if old_spec.log_variance_ceiling is None and not config.architecture.endswith(".json"):
            spec = spec.with_ceiling(None)
        size = begun.get("validation_size") if config.validation_size is None else None
        return spec, dataclasses.replace(
            config,
            ema_warmup=begun["ema_warmup"],
            validation_size=config.validation_size if size is None else size,
        )

    def check(self, spec: ModelSpec, config: RunConfig) -> dict[str, tuple[Any, Any]]:
        """Compares with the earlier run in the folder, if there is one.

        Returns:
          The settings that differ, each with its value in the earlier run and now.

        Raises:
          RunDirError: the folder is a file, or it holds a run of another model; the message then
            shows the difference.
        """
        if self.path.exists() and not self.path.is_dir():
            raise RunDirError(Setting("model_dir", self.path), ": expected a folder, got a file")
        if not self.config.exists():
            return {}
        old_spec, old = self.read()
        if old_spec != spec:
            diff = difflib.unified_diff(
                old_spec.to_json().splitlines(),
                spec.to_json().splitlines(),
                f"{self.config}",
                "this run",
                lineterm="",
                n=2,
            )
            raise RunDirError(
                Setting("model_dir", self.path),
                " holds a run of another architecture; give another folder, or the architecture it "
                "was made with:\n" + "\n".join(diff),
            )
        new = config.to_plain()
        old = {**defaults(), **old}  # a run of an earlier version has fewer settings
        changes = {name: (old[name], new[name]) for name in new if old[name] != new[name]}
        if "binarize" in changes and data_config(old).binarize == config.data.binarize:
            del changes["binarize"]  # "auto" says the same
        if config.validation_size is None:
            changes.pop("validation_size", None)  # the run keeps its own
        return changes

    def write_config(self, spec: ModelSpec, config: RunConfig) -> None:
        """Makes the folder and writes the spec and the settings. RunDirError if it cannot be."""
        import keras
        import tensorflow as tf

        try:
            self.samples.mkdir(parents=True, exist_ok=True)
        except OSError as e:
            model_dir = Setting("model_dir", self.path)
            raise RunDirError(model_dir, f": cannot make the folder ({e})") from e
        write_json(
            self.config,
            artefacts.stamped(
                "run",
                {
                    "spec": to_plain(spec),
                    # Not "auto": what it stands for is then known for good.
                    "settings": {**config.to_plain(), "binarize": config.data.binarize},
                    "versions": {"tensorflow": tf.__version__, "keras": keras.__version__},
                },
            ),
        )

    def read(self) -> tuple[ModelSpec, dict[str, Any]]:
        """The spec and the settings of the run. Raises RunDirError if they cannot be read.

        A run of an earlier version has fewer settings; `BEFORE_SETTINGS` are added. A model that no
        run trained has none.
        """
        try:
            _, plain = artefacts.read(json.loads(self.config.read_text()), "run")
            settings = plain["settings"] and {**BEFORE_SETTINGS, **plain["settings"]}
            return from_plain(plain["spec"]), settings
        except FileNotFoundError as e:
            raise RunDirError(f"{self.config}: no such file; is it the model_dir of a run?") from e
        except (OSError, ValueError, KeyError, TypeError, SpecError) as e:
            raise RunDirError(f"{self.config}: expected the settings of a run ({e})") from e

    def drop_metrics_after(self, step: int) -> None:
        """Drops the lines of metrics that a killed run wrote after its last checkpoint."""
        kept = []
        if self.metrics.exists():
            for line in self.metrics.read_text().splitlines(keepends=True):
                # A line cut short by a kill ends without a newline.
                if line.endswith("\n") and json.loads(line)["step"] <= step:
                    kept.append(line)
        write_atomically(self.metrics, "".join(kept).encode())

    def append_metrics(self, values: dict[str, Any]) -> None:
        """Appends a line to the metrics."""
        with open(self.metrics, "a") as file:
            file.write(json.dumps(values) + "\n")

    def write_summary(self, values: dict[str, Any]) -> None:
        """Writes the result of the run."""
        write_json(self.summary, values)

    def read_summary(self) -> dict[str, Any] | None:
        """The result of the run; None before its end. Raises RunDirError if it cannot be read."""
        try:
            return json.loads(self.summary.read_text()) if self.summary.exists() else None
        except (OSError, ValueError) as e:
            raise RunDirError(f"{self.summary}: expected the result of a run ({e})") from e
