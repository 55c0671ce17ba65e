"""The files of a run, under its model_dir.

config.json      the model spec and the settings: all that is needed to rebuild the model
metrics.jsonl    the metrics, one JSON object per line
summary.json     the result, once the run has ended
samples/         grids of samples, *.png; of text, *.txt
code/            copies of the user's own files that the model needs
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
import sys
from pathlib import Path
from typing import Any

from biva_tf import artefacts
from biva_tf.errors import Setting, SettingsError, UserError
from biva_tf.files import (
    JsonError,
    naming,
    parse_json,
    read_json,
    remove,
    remove_remains,
    write_atomically,
    write_json,
)
from biva_tf.model import architectures, user_code
from biva_tf.model.spec import ModelSpec, to_plain
from biva_tf.runs.config import BEFORE_SETTINGS, RunConfig, data_config, defaults

_RESULTS = {  # the fields of summary.json that are read, and what they hold
    "step": int,
    "selected_step": int,
    "elbo_nats": int | float,
    "reconstruction_nats": int | float,
    "kl_nats": dict,
}


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
    def code(self) -> Path:
        """The folder of the copies of a user's own files."""
        return self.path / "code"

    @property
    def config(self) -> Path:
        """The file with the spec and the settings."""
        return self.path / "config.json"

    def as_begun(self, spec: ModelSpec, config: RunConfig) -> tuple[ModelSpec, RunConfig]:
        """The spec and the settings with what the earlier run here keeps, if there is one.

        A run of a version without `ema_warmup`, or with named architectures without a ceiling of
        the log-variances, goes on as it began. A run keeps its `validation_size` unless another one
        is given, and its `init_images` once there is a checkpoint.

        Raises:
          RunDirError: the earlier run cannot be read.
        """
        if not self.config.exists():
            return spec, config
        old_spec, begun = self.read()
        if old_spec.log_variance_ceiling is None and architectures.is_name(config.architecture):
            spec = spec.with_ceiling(None)
        size = begun.get("validation_size") if config.validation_size is None else None
        is_initialised = any(self.checkpoints.glob("ckpt-*.index"))
        return spec, dataclasses.replace(
            config,
            ema_warmup=begun["ema_warmup"],
            init_images=begun["init_images"] if is_initialised else config.init_images,
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

    def write_config(self, spec: ModelSpec, config: RunConfig) -> list[str]:
        """Makes the folder, and writes the spec, the settings and the copies of the user's files.

        Returns:
          For each copy that an earlier run made of another text, the file that keeps that text.

        Raises:
          RunDirError: it cannot be made.
        """
        import keras
        import tensorflow as tf

        try:
            self.samples.mkdir(parents=True, exist_ok=True)
        except OSError as e:
            model_dir = Setting("model_dir", self.path)
            raise RunDirError(model_dir, f": cannot make the folder ({e})") from e
        copies, kept = user_code.write_copies(spec, self.code)
        write_json(
            self.config,
            artefacts.stamped(
                "run",
                {
                    "spec": to_plain(spec),
                    **({"code": copies} if copies else {}),
                    # Not "auto": what it stands for is then known for good.
                    "settings": {**config.to_plain(), "binarize": config.data.binarize},
                    "versions": {"tensorflow": tf.__version__, "keras": keras.__version__},
                },
            ),
        )
        return [str(self.code / name) for name in kept]

    def read(self) -> tuple[ModelSpec, dict[str, Any]]:
        """The spec and the settings of the run.

        A run of an earlier version has fewer settings; `BEFORE_SETTINGS` are added. A model that no
        run trained has none.

        Raises:
          RunDirError: they cannot be read.
          CodeError: the model is made of a user's own files, which cannot be run.
        """
        try:
            _, plain = artefacts.load(self.config, "run")
            for field in ("spec", "settings"):
                if not isinstance(plain.get(field), dict):
                    raise ValueError(f"{field}: expected an object, got {plain.get(field)!r:.60}")
            spec = user_code.read_spec(plain["spec"], self.code, plain.get("code", []))
            return spec, _checked_settings(plain["settings"])
        except FileNotFoundError as e:
            raise RunDirError(f"{self.config}: no such file; is it the model_dir of a run?") from e
        except ValueError as e:
            raise RunDirError(f"{self.config}: expected the settings of a run ({e})") from e

    def remove_remains(self) -> None:
        """Removes what a killed run has left of files that it was writing."""
        remove_remains(self.config, self.metrics, self.summary, self.unfinished, self.vocabulary)
        remove(self.samples.glob(".*.tmp"))
        remove(self.code.glob(".*.tmp"))

    def metric_lines(self) -> tuple[dict[str, Any], ...]:
        """The lines of metrics.

        The last one is left out if it is broken, as after a power cut; a note on standard error
        says so.

        Raises:
          FileNotFoundError: there is no such file.
          RunDirError: the file, or a line before the last, cannot be read.
        """
        lines, broken = self._metric_lines()
        if broken is not None:
            print(f"note: {self.metrics}: the last line is left out: {broken}", file=sys.stderr)
        return tuple(values for _, values in lines)

    def drop_metrics_after(self, step: int) -> str | None:
        """Drops the lines of metrics that a killed run wrote after its last checkpoint.

        Returns:
          A note about a broken last line, which is dropped too; else None.

        Raises:
          RunDirError: the file, or a line before the last, cannot be read.
        """
        try:
            lines, broken = self._metric_lines()
        except FileNotFoundError:
            lines, broken = [], None
        kept = [line for line, values in lines if values["step"] <= step]
        write_atomically(self.metrics, b"".join(kept))
        return None if broken is None else f"{self.metrics}: the last line is dropped: {broken}"

    def _metric_lines(self) -> tuple[list[tuple[bytes, dict[str, Any]]], JsonError | None]:
        """The lines with their values, and what is wrong with a last one that is broken."""
        try:
            content = self.metrics.read_bytes()
        except FileNotFoundError:
            raise
        except OSError as e:
            raise RunDirError(f"{self.metrics}: expected lines of metrics ({e.strerror})") from e
        lines, found = content.splitlines(keepends=True), []
        for number, line in enumerate(lines, start=1):
            try:
                if not line.endswith(b"\n"):
                    raise JsonError("it has no end")
                found.append((line, _metrics_of(line)))
            except JsonError as e:
                if number == len(lines):
                    return found, e
                raise RunDirError(
                    f"{self.metrics}: line {number}: {e}; delete the line, or the file: training "
                    "does not read it"
                ) from e
        return found, None

    def append_metrics(self, values: dict[str, Any]) -> None:
        """Appends a line to the metrics."""
        with naming(self.metrics), open(self.metrics, "a") as file:
            file.write(json.dumps(values) + "\n")

    def write_summary(self, values: dict[str, Any]) -> None:
        """Writes the result of the run."""
        write_json(self.summary, values)

    def read_summary(self) -> dict[str, Any] | None:
        """The result of the run; None before its end. Raises RunDirError if it cannot be read."""
        try:
            summary = read_json(self.summary)
        except FileNotFoundError:
            return None
        except JsonError as e:
            raise RunDirError(f"{self.summary}: expected the result of a run ({e})") from e
        if not isinstance(summary, dict):
            raise RunDirError(f"{self.summary}: expected an object, got {summary!r:.60}")
        for name, kind in _RESULTS.items():
            if not isinstance(summary.get(name), kind):
                expected = "an object" if kind is dict else "a number"
                got = f"{summary.get(name)!r:.60}"
                raise RunDirError(f"{self.summary}: {name}: expected {expected}, got {got}")
        return summary


def _checked_settings(settings: dict[str, Any]) -> dict[str, Any]:
    """The settings of a config.json. ValueError if one is unknown, missing or out of its range."""
    if not settings:
        return {}
    for name in settings.keys() - defaults().keys():
        raise ValueError(f"settings.{name}: there is no such setting")
    for name in ("dataset", "binarize"):  # which every version has written
        if name not in settings:
            raise ValueError(f"settings.{name}: expected a value, got none")
    settings = {**BEFORE_SETTINGS, **settings}
    try:
        RunConfig(**settings)
    except SettingsError as e:
        raise ValueError(f"settings.{e}") from e
    return settings


def _metrics_of(line: bytes) -> dict[str, Any]:
    """The metrics of a line. JsonError if it has none."""
    values = parse_json(line)
    if not isinstance(values, dict):
        raise JsonError(f"expected an object, got {values!r:.60}")
    step, split = values.get("step"), values.get("split")
    if type(step) is not int or not isinstance(split, str):
        raise JsonError(f"expected a step and a split, got {step!r:.60} and {split!r:.60}")
    for name, value in values.items():
        numbers = value.values() if isinstance(value, dict) else (value,)
        if name != "split" and not all(type(n) in (int, float) for n in numbers):
            raise JsonError(f"{name}: expected a number, got {value!r:.60}")
    return values
