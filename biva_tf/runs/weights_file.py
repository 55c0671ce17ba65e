"""Weights as one small file, as the trained models that ship with the project have them.

weights.npz    an array, of float16 or float32, for each weight, by the path of its variable
weights.json   the step that the weights are from, and the SHA-256 of weights.npz
"""

import hashlib
import io
import zipfile
from pathlib import Path

import keras
import numpy as np

from biva_tf import artefacts
from biva_tf.files import write_atomically, write_json
from biva_tf.runs.checkpoints import CheckpointError


def path(folder: Path) -> Path:
    """The path of the file with the weights."""
    return folder / "weights.npz"


def write(folder: Path, model: keras.Model, step: int, dtype: str = "float16") -> None:
    """Writes the weights that a model has now.

    Args:
      folder: where to.
      model: the model.
      step: the step that its weights are from.
      dtype: what they are rounded to: float16, or float32.
    """
    content = io.BytesIO()
    arrays = {v.path: v.numpy().astype(dtype) for v in model.trainable_variables}
    np.savez_compressed(content, **arrays)
    write_atomically(path(folder), content.getvalue())
    digest = hashlib.sha256(content.getvalue()).hexdigest()
    write_json(_record(folder), artefacts.stamped("weights", {"step": step, "sha256": digest}))


def restore(folder: Path, model: keras.Model) -> int:
    """Gives a model the weights in a folder, and returns the step that they are from.

    Raises:
      CheckpointError: a file is missing or damaged, or the weights are of another model.
    """
    file = path(folder)
    try:
        _, record = artefacts.load(_record(folder), "weights")
        step, expected = int(record["step"]), record["sha256"]
        content = file.read_bytes()
    except (OSError, ValueError, KeyError, TypeError) as e:
        raise CheckpointError(
            f"{folder}: expected weights.npz and weights.json ({type(e).__name__}: {e})"
        ) from e
    if (digest := hashlib.sha256(content).hexdigest()) != expected:
        raise CheckpointError(f"{file}: expected sha256 {expected}, got {digest}")
    try:
        with np.load(io.BytesIO(content)) as stored:
            arrays = dict(stored)
    except (ValueError, zipfile.BadZipFile) as e:
        raise CheckpointError(f"{file}: expected an npz file ({e})") from e
    variables = {v.path: v for v in model.trainable_variables}
    shapes = {name: array.shape for name, array in arrays.items()}
    wanted = {name: tuple(v.shape) for name, v in variables.items()}
    if shapes != wanted:
        name = min(n for n in shapes.keys() | wanted.keys() if shapes.get(n) != wanted.get(n))
        raise CheckpointError(
            f"{file}: weights of another model than the one built: expected {name} of shape "
            f"{wanted.get(name)}, got {shapes.get(name)}"
        )
    for name, variable in variables.items():
        variable.assign(arrays[name].astype(np.float32))
    return step


def _record(folder: Path) -> Path:
    return folder / "weights.json"
