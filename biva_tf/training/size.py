"""Models that are too large for any memory of a machine, refused before TensorFlow tries."""

import os

import keras
import tensorflow as tf

from biva_tf.errors import Setting, SettingsError
from biva_tf.model.network import Network
from biva_tf.model.spec import ModelSpec

_BYTES = 4
_COPIES = 3  # the weights and two slots of Adamax
_ACCELERATORS = 2**40  # more bytes than the accelerators of a machine have
_GIB = 2**30


def check(spec: ModelSpec, architecture: str) -> None:
    """Raises SettingsError if the weights and the optimizer's slots alone exceed the memory.

    What passes may still be too large: activations are not counted, nor models of text.

    Args:
      spec: the model's spec.
      architecture: its name or file, for the message.
    """
    if spec.likelihood.num_ids:  # to count would change the names of Keras's own layers
        return
    needed, there = parameters(spec) * _BYTES * _COPIES, _memory()
    if needed > there:
        raise SettingsError(
            Setting("architecture", architecture),
            f": expected a model that fits in the memory of this machine ({there / _GIB:,.0f} GiB);"
            f" its weights and the optimizer take {needed / _GIB:,.0f} GiB, by an estimate",
        )


def parameters(spec: ModelSpec) -> int:
    """The number of a model's parameters, without memory for them."""
    with keras.StatelessScope(initialize_variables=False):
        return Network(spec).count_params()


def _memory() -> int:
    """The bytes of memory of this machine; with accelerators, no less than all of theirs."""
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return memory + (_ACCELERATORS if tf.config.list_physical_devices("GPU") else 0)
