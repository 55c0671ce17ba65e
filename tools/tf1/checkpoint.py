"""Checkpoints of the original TensorFlow 1 program: weights and moving averages by name."""

import tempfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import tensorflow as tf

from biva_tf.errors import UserError

_SCOPE, _AVERAGE = "BIVA/", "/ExponentialMovingAverage"


class CheckpointError(UserError, RuntimeError):
    """A checkpoint that cannot be read, or would be written over."""


def read(path: Path) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """The weights of a checkpoint by their TF1 names, and their moving averages (none, or of all).

    Variables outside of scope BIVA, such as those of the optimiser, are left out.

    Raises:
      CheckpointError: it cannot be read.
    """
    try:
        reader = tf.train.load_checkpoint(str(path))
        names = [name for name in reader.get_variable_to_shape_map() if name.startswith(_SCOPE)]
        arrays = {name: reader.get_tensor(name) for name in sorted(names)}
    except (tf.errors.OpError, ValueError, IndexError, RuntimeError) as e:
        raise CheckpointError(f"{path}: expected a TensorFlow checkpoint ({e})") from e
    averages = {name: a for name, a in arrays.items() if name.endswith(_AVERAGE)}
    weights = {name: a for name, a in arrays.items() if name not in averages}
    return weights, {name.removesuffix(_AVERAGE): a for name, a in averages.items()}


def write(
    path: Path, weights: Mapping[str, np.ndarray], averages: Mapping[str, np.ndarray]
) -> None:
    """Writes arrays by their TF1 names, as the original's `Saver` restores them.

    Raises:
      CheckpointError: there is a checkpoint of this name.
    """
    if path.with_name(f"{path.name}.index").exists():
        raise CheckpointError(f"--checkpoint={path} exists; it is not written over")
    arrays = {**weights, **{name + _AVERAGE: a for name, a in averages.items()}}
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{path.name}-", dir=path.parent) as folder:
        tf.raw_ops.SaveV2(
            prefix=str(Path(folder) / path.name),
            tensor_names=list(arrays),
            shape_and_slices=[""] * len(arrays),
            tensors=list(arrays.values()),
        )
        # The index last: without it there is no checkpoint.
        for file in sorted(Path(folder).iterdir(), key=lambda file: file.suffix == ".index"):
            file.rename(path.parent / file.name)
