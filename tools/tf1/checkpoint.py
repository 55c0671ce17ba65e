"""Checkpoints of the original TensorFlow 1 program: weights and moving averages by name."""

import tempfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import tensorflow as tf

from biva_tf.errors import UserError

_SCOPE, _AVERAGE = "BIVA/", "/ExponentialMovingAverage"


class Tf1CheckpointError(UserError, RuntimeError):
    """A checkpoint that cannot be read or would be overwritten."""


def read(path: Path) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Reads the weights of a checkpoint and their moving averages, both by TF1 name.

    The moving averages are empty if the checkpoint has none. Variables outside the scope BIVA, such
    as those of the optimiser, are left out.

    Raises:
      Tf1CheckpointError: the checkpoint cannot be read.
    """
    try:
        reader = tf.train.load_checkpoint(str(path))
        names = [name for name in reader.get_variable_to_shape_map() if name.startswith(_SCOPE)]
        arrays = {name: reader.get_tensor(name) for name in sorted(names)}
    except (tf.errors.OpError, ValueError, IndexError, RuntimeError) as e:
        raise Tf1CheckpointError(f"{path}: expected a TensorFlow checkpoint ({e})") from e
    averages = {name: a for name, a in arrays.items() if name.endswith(_AVERAGE)}
    weights = {name: a for name, a in arrays.items() if name not in averages}
    return weights, {name.removesuffix(_AVERAGE): a for name, a in averages.items()}


def write(
    path: Path, weights: Mapping[str, np.ndarray], averages: Mapping[str, np.ndarray]
) -> None:
    """Writes arrays by TF1 name to a checkpoint that the original's `Saver` can restore.

    Raises:
      Tf1CheckpointError: the checkpoint exists already.
    """
    if path.with_name(f"{path.name}.index").exists():
        raise Tf1CheckpointError(f"--checkpoint={path} exists; it is not written over")
    arrays = {**weights, **{name + _AVERAGE: a for name, a in averages.items()}}
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{path.name}-", dir=path.parent) as folder:
        tf.raw_ops.SaveV2(
            prefix=str(Path(folder) / path.name),
            tensor_names=list(arrays),
            shape_and_slices=[""] * len(arrays),
            tensors=list(arrays.values()),
        )
        # The index moves last: there is no checkpoint without it.
        for file in sorted(Path(folder).iterdir(), key=lambda file: file.suffix == ".index"):
            file.rename(path.parent / file.name)
