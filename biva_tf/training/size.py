"""Models that are too large for any memory of a machine, refused before TensorFlow tries."""

import os
import random
from concurrent.futures import ThreadPoolExecutor

import keras
import tensorflow as tf

from biva_tf.errors import Setting, SettingsError
from biva_tf.model.network import Network
from biva_tf.model.spec import ModelSpec

_BYTES = 4
_SLOTS = 2  # of Adamax
_ACCELERATORS = 2**40  # more bytes than the accelerators of a machine have
_GIB = 2**30


def check(spec: ModelSpec, architecture: str) -> None:
    """Raises SettingsError if the weights and the optimizer's slots alone exceed the memory.

    What passes may still be too large: activations are not counted.

    Args:
      spec: the model's spec.
      architecture: its name or file, for the message.
    """
    _require(
        spec, 1 + _SLOTS, "its weights and the optimizer", Setting("architecture", architecture)
    )


def check_weights(spec: ModelSpec) -> None:
    """Raises SettingsError if the weights alone exceed the memory."""
    _require(spec, 1, "its weights", "spec")


def _require(spec: ModelSpec, copies: int, what: str, named: str | Setting) -> None:
    needed, there = parameters(spec) * _BYTES * copies, _memory()
    if needed > there:
        raise SettingsError(
            named,
            f": expected a model that fits in the memory of this machine ({there / _GIB:,.0f} GiB);"
            f" {what} take {needed / _GIB:,.0f} GiB, by an estimate",
        )


def parameters(spec: ModelSpec) -> int:
    """The number of a model's parameters, without memory for them.

    To count them leaves no trace: the names that Keras gives to its own layers next, and the random
    numbers that come next, stay as they were.
    """
    state = random.getstate()  # from which Keras seeds initializers
    try:
        with ThreadPoolExecutor(1) as thread:  # Keras counts the names of layers by thread
            return thread.submit(_parameters, spec).result()
    finally:
        random.setstate(state)


def _parameters(spec: ModelSpec) -> int:
    with keras.StatelessScope(initialize_variables=False):
        return Network(spec).count_params()


def _memory() -> int:
    """The bytes of memory of this machine; with accelerators, no less than all of theirs."""
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return memory + (_ACCELERATORS if tf.config.list_physical_devices("GPU") else 0)
