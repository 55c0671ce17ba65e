"""What the bits of a file depend on, beside the images: the model, the packages, the threads."""

import dataclasses
import hashlib
import importlib.metadata
import json
import os

import tensorflow as tf

from biva_tf.model.network import Network
from biva_tf.model.spec import ModelSpec
from biva_tf.version import __version__

_PACKAGES = ("tensorflow", "numpy", "constriction")  # whose versions can change a bit


def model_hash(model: Network, spec: ModelSpec | None = None) -> bytes:
    """Eight bytes that differ between models of different specs or weights.

    Args:
      model: the model.
      spec: a spec to put in the place of the model's own.
    """
    digest = hashlib.sha256((spec or model.spec).to_json().encode())
    digest.update(json.dumps(dataclasses.asdict(model.compute)).encode())
    for variable in sorted(model.trainable_variables, key=lambda v: v.path):
        digest.update(variable.path.encode() + variable.numpy().tobytes())
    return digest.digest()[:8]


def versions() -> str:
    """The versions of biva_tf and of the packages that compute."""
    packages = (f"{name} {importlib.metadata.version(name)}" for name in _PACKAGES)
    return ", ".join([f"biva_tf {__version__}", *packages])


def threads() -> int:
    """The number of threads with which TensorFlow computes an operation in this process."""
    return tf.config.threading.get_intra_op_parallelism_threads() or os.cpu_count() or 1
