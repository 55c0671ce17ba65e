"""Weights that do not change during some passes: normalised once, before the first of them.

A layer multiplies its inputs with W = g V/||V||, or with the spectrum of W. Training computes these
in every step. Passes between which nobody trains share them:

    weights = model.fixed_weights.read(rows)      # on the host, before the passes
    with model.fixed_weights.used(weights):       # in the graph of the passes, an argument of which
        ...                                       # are the weights

What is fixed: W of every weight-normalised layer of the parts, and its spectrum where that makes
batches of `rows` faster. Biases and the weights of other layers are not: nothing has to be computed
of them, and every pass reads them.

When: `read` gives the weights as V and g are at that moment, whoever has changed them. The next
`read` sees a later change; passes that were given weights do not.

Who drops them: they take as much memory as the parts do, and belong to the caller of `read`, for as
long as its passes last. With `keep`, a `FixedWeights` also holds those of its last `read`, and
gives them again if V and g have not changed.
"""

import contextlib
import math
from collections.abc import Iterable, Sequence

import keras
import numpy as np
import tensorflow as tf

from biva_tf.nn import graphs, weight_norm
from biva_tf.nn.weight_norm import NormalisedWeights

Weights = Sequence[NormalisedWeights]  # of each weight-normalised layer of the parts


class FixedWeights:
    """Reads the normalised weights of some parts of a model.

    With `keep` they are computed anew only after a weight has changed. Weights change in graphs, of
    training steps and of users, where no code of ours runs that could say so, and TensorFlow counts
    no versions. Comparing the values takes twice as long as all else here, and a checksum almost as
    long as normalising. But TensorFlow never writes into the memory of a tensor that somebody
    holds: while the value of a variable is held here, every change gives the variable other memory.
    So equal addresses mean equal values. It is known of the CPU alone; elsewhere, every `read`
    computes.

    Args:
      parts: the parts, or `[model]`.
      keep: whether to hold the weights that were read last.
    """

    def __init__(self, parts: Iterable[keras.layers.Layer], *, keep: bool = False):
        self._layers = weight_norm.layers_of(parts)
        self._keep = keep
        self._kept: Weights | None = None
        self._kept_for = 0
        self._kept_values: list[tf.Tensor] = []

    def read(self, rows: int = 0, strategy: tf.distribute.Strategy | None = None) -> Weights:
        """The weights as they are now.

        Args:
          rows: the batch size of the passes. If it makes spectra worthwhile, they are among them.
          strategy: that of the passes, if it has several replicas: each tensor is then a value for
            each replica.
        """
        # Batch sizes that need the same spectra share the weights, and the graph.
        least = (layer.least_rows_of_spectrum for layer in self._layers)
        rows = max((math.ceil(n) for n in least if n <= rows), default=0)
        strategy = strategy or tf.distribute.get_strategy()
        if not self._keep or strategy.num_replicas_in_sync > 1:
            return graphs.call(self._normalised, strategy, rows)
        # They are held before the weights are computed: the next call sees a change in between.
        variables = [v.value for layer in self._layers for v in (layer.v, layer.g)]
        values = [tf.convert_to_tensor(variable) for variable in variables]
        if self._kept is None or rows != self._kept_for or not _same(values, self._kept_values):
            self._kept = graphs.call(self._normalised, strategy, rows)
            self._kept_for, self._kept_values = rows, values
        return self._kept

    def used(self, weights: Weights) -> contextlib.AbstractContextManager[None]:
        """While active, the layers use these weights and do not look at V and g."""
        return weight_norm.in_mode(self._layers, "fixed_weights", weights)

    # One graph for all layers: layer by layer, TensorFlow would trace a function for each shape,
    # and start one for each layer.
    @tf.function(autograph=False)
    def _normalised(self, strategy: tf.distribute.Strategy, rows: int) -> Weights:
        return strategy.run(lambda: [layer.normalised_weights(rows) for layer in self._layers])


def _same(values: Sequence[tf.Tensor], others: Sequence[tf.Tensor]) -> bool:
    return all(map(_in_one_place, values, others))


def _in_one_place(value: tf.Tensor, other: tf.Tensor) -> bool:
    on_cpu = "CPU" in value.device
    return on_cpu and _address(value) == _address(other)


def _address(value: tf.Tensor) -> int:
    return np.frombuffer(memoryview(value), np.uint8).__array_interface__["data"][0]
