"""Normalised weights that are kept from call to call, until the weights that they are of change."""

from collections.abc import Callable, Sequence

import keras
import numpy as np
import tensorflow as tf

from biva_tf.nn import graphs, weight_norm
from biva_tf.nn.weight_norm import NormalisedWeights, WeightNorm


class KeptWeights:
    """The normalised weights of some parts of a model.

    On a CPU they are computed anew only after a weight has changed. TensorFlow never writes into
    the memory of a tensor that somebody holds: while the value of a variable is held here, every
    change gives the variable other memory. So the addresses tell whether anything changed.

    Args:
      parts: gives the parts, as for `weight_norm.normalised_weights`.
    """

    def __init__(self, parts: Callable[[], Sequence[keras.layers.Layer]]):
        self._parts = parts
        self._kept: list[NormalisedWeights] | None = None
        self._rows = 0
        self._values: list[tf.Tensor] = []

    def get(self, rows: int) -> list[NormalisedWeights]:
        """The weights as they are now, for passes of batches of `rows`."""
        layers = weight_norm.layers_of(self._parts())
        rows = weight_norm.least_rows_alike(layers, rows)
        values = [tf.convert_to_tensor(v.value) for layer in layers for v in (layer.v, layer.g)]
        if self._kept is None or rows != self._rows or not _same(values, self._values):
            self._kept = graphs.call(_normalised_weights, layers, values, rows)
            self._rows, self._values = rows, values
        return self._kept


# One graph for all layers: layer by layer, TensorFlow would trace a function for each shape, and
# start one for each layer. The values are arguments, so that the graph holds no variable.
@tf.function(autograph=False)
def _normalised_weights(
    layers: list[WeightNorm], values: list[tf.Tensor], rows: int
) -> list[NormalisedWeights]:
    pairs = zip(values[::2], values[1::2], strict=True)
    return [layer.normalise(v, g, rows) for layer, (v, g) in zip(layers, pairs, strict=True)]


def _same(values: Sequence[tf.Tensor], others: Sequence[tf.Tensor]) -> bool:
    return all(map(_in_one_place, values, others))


def _in_one_place(value: tf.Tensor, other: tf.Tensor) -> bool:
    on_cpu = "CPU" in value.device
    return on_cpu and _address(value) == _address(other)


def _address(value: tf.Tensor) -> int:
    return np.frombuffer(memoryview(value), np.uint8).__array_interface__["data"][0]
