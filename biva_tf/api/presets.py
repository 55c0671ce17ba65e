"""Folders that hold a trained model: a run's model_dir, or a preset, which has no more than that.

A preset has config.json, weights.npz and weights.json, a model of text its vocabulary.txt, and one
with parts of a user's own files copies of them in code/. The
models that ship with the project are presets with a card, metrics and an evaluation.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from biva_tf import artefacts, choices
from biva_tf.api.training import Training
from biva_tf.data.text.vocabulary import Vocabulary
from biva_tf.files import write_json
from biva_tf.model import user_code
from biva_tf.model.network import Network
from biva_tf.model.spec import to_plain
from biva_tf.runs import config, weights_file
from biva_tf.runs.checkpoints import restore_raw
from biva_tf.runs.run_dir import RunDir, RunDirError
from biva_tf.runs.selected import restore_selected


def restore(
    folder: RunDir,
    model: Network,
    settings: Mapping[str, Any],
    weights: str = "averaged",
    step: int | None = None,
) -> Training:
    """Gives a model the weights in a folder, and returns how they were trained.

    Args:
      folder: a run's model_dir, or a preset.
      model: a model with the folder's spec.
      settings: the folder's settings, as `RunDir.read` gives them.
      weights: "averaged" for the selected weights, "raw" for those of a run's newest checkpoint.
      step: the step of other weights that a run keeps, with "averaged" alone.

    Raises:
      ValueError: weights is neither "averaged" nor "raw", or "raw" with a step.
      CheckpointError: there are no such weights, or they cannot be read or are of another model.
    """
    if weights not in choices.WEIGHTS:
        raise ValueError(f"weights: expected one of {', '.join(choices.WEIGHTS)}, got {weights!r}")
    if weights == "raw" and step is not None:
        raise ValueError(f"step: expected None with weights='raw', got {step}")
    vocabulary = None
    if model.spec.likelihood.num_ids is not None:
        vocabulary = Vocabulary.read(folder.vocabulary)
    if weights == "raw":
        step = restore_raw(folder.checkpoints, model)
    else:
        step = restore_selected(folder, model, step)
    if settings:  # a run of an earlier version has fewer
        settings = {**config.defaults(), **settings}
    return Training(weights, step, settings, vocabulary)


def save(folder: str | Path, model: Network, training: Training, dtype: str = "float32") -> None:
    """Writes a preset, with the weights that the model has now.

    Args:
      folder: the preset's folder; it is made if it is missing.
      model: the model.
      training: how it was trained.
      dtype: "float32", or "float16" for files of half the size.

    Raises:
      RunDirError: the folder holds a run, which would be lost.
    """
    run_dir = RunDir(Path(folder).expanduser())
    if run_dir.checkpoints.exists():
        raise RunDirError(f"{folder}: expected a new folder or that of a preset, got a run's")
    run_dir.path.mkdir(parents=True, exist_ok=True)
    weights_file.write(run_dir.path, model, training.weights_step, dtype)
    if training.vocabulary is not None:
        training.vocabulary.write(run_dir.vocabulary)
    content: dict[str, Any] = {"spec": to_plain(model.spec), "settings": dict(training.settings)}
    copies, _ = user_code.write_copies(model.spec, run_dir.code)
    if copies:
        content["code"] = copies
    write_json(run_dir.config, artefacts.stamped("run", content))
