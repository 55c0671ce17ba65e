"""Weights that do not change during some passes: normalised once, before the first of them.

A layer multiplies its inputs with W = g V/||V||, or with the spectrum of W. Training computes these
in every step. Passes between which nobody trains share them:

    weights = FixedWeights([model]).read(rows)    # on the host, before the passes
    with using([model], weights):                 # in the graph of the passes, an argument of which
        ...                                       # are the weights

What is fixed: W of every weight-normalised layer of the parts, and its spectrum where that makes
batches of `rows` faster. Biases and the weights of other layers are not: nothing has to be computed
of them, and every pass reads them.

When: `read` gives the weights as V and g are at that moment, whoever has changed them. The next
`read` sees a later change; passes that were given weights do not.

Who drops them: they take as much memory as the model does, and belong to the caller of `read`, for
as long as its passes last. With `keep`, a `FixedWeights` also holds those of its last `read`, and
gives them again if V and g have not changed.
"""

import contextlib
import math
from collections.abc import Iterable, Sequence

import keras
import numpy as np
import tensorflow as tf

from biva_tf.nn import graphs, weight_norm
from biva_tf.nn.weight_norm import NormalisedWeights, WeightNorm

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
      strategy: that of the passes. Each of its replicas gets the weights on its own device.
      keep: whether to hold the weights that were read last.
    """

    def __init__(
        self,
        parts: Iterable[keras.layers.Layer],
        strategy: tf.distribute.Strategy | None = None,
        *,
        keep: bool = False,
    ):
        self._layers = weight_norm.layers_of(parts)
        self._strategy = strategy or tf.distribute.get_strategy()
        self._variables = [
            _on_this_host(v.value) for layer in self._layers for v in (layer.v, layer.g)
        ]
        self._keep = keep
        self._kept: Weights | None = None
        self._kept_of: list[tf.Tensor] = []
        self._kept_for = 0

    def read(self, rows: int = 0) -> Weights:
        """The weights as they are now, for passes of batches of `rows`.

        Spectra are among them where they make such batches faster; if `rows` is 0, none are. Under
        a strategy of several replicas, each tensor is one of `tf.distribute.DistributedValues`.
        """
        # Batches that need the same spectra have the same weights, and the same graph.
        least = (layer.least_rows_of_spectrum for layer in self._layers)
        rows = max((math.ceil(n) for n in least if n <= rows), default=0)
        # `tf.convert_to_tensor` gives the same in twice the time.
        values = [
            tf.raw_ops.ReadVariableOp(resource=v.handle, dtype=v.dtype) for v in self._variables
        ]
        if self._kept is not None and rows == self._kept_for and _same(values, self._kept_of):
            return self._kept
        weights = graphs.call(_normalised, self._strategy, self._layers, values, rows)
        if self._keep:
            self._kept, self._kept_of, self._kept_for = weights, values, rows
        return weights


def using(
    parts: Iterable[keras.layers.Layer], weights: Weights
) -> contextlib.AbstractContextManager[None]:
    """While active, the layers of `parts` use these weights and do not look at V and g."""
    return weight_norm.in_mode(weight_norm.layers_of(parts), "fixed_weights", weights)


# One graph for all layers: layer by layer, TensorFlow would trace a function for each shape, and
# start one for each layer. The values are arguments, so that the graph holds no variable.
@tf.function(autograph=False)
def _normalised(
    strategy: tf.distribute.Strategy,
    layers: list[WeightNorm],
    values: list[tf.Tensor],
    rows: int,
) -> Weights:
    def normalise(values):
        pairs = zip(layers, values[::2], values[1::2], strict=True)
        return [layer.normalised_weights(v, g, rows) for layer, v, g in pairs]

    return strategy.run(normalise, args=(values,))


def _on_this_host(variable: tf.Variable) -> tf.Variable:
    """The variable; of one with a copy for each replica, the first copy: all are equal."""
    if not isinstance(variable, tf.distribute.DistributedValues):
        return variable
    return variable.distribute_strategy.experimental_local_results(variable)[0]


def _same(values: Sequence[tf.Tensor], others: Sequence[tf.Tensor]) -> bool:
    return all(map(_in_one_place, values, others))


def _in_one_place(value: tf.Tensor, other: tf.Tensor) -> bool:
    on_cpu = "CPU" in value.device
    return on_cpu and _address(value) == _address(other)


def _address(value: tf.Tensor) -> int:
    return np.frombuffer(memoryview(value), np.uint8).__array_interface__["data"][0]
