"""Weight-normalised convolution, transposed convolution and dense layers (Salimans & Kingma 2016).

Each layer holds a direction V, a gain g and a bias b and computes y = op(x, g V/||V||) + b, the
norm taken per output filter. Inside `data_dependent_initialisation` a layer first sets g and b so
that its outputs on the batch at hand have mean 0 and a small common scale.
"""

import contextlib
from collections.abc import Iterator, Sequence

import keras
import tensorflow as tf

from biva_tf import operations
from biva_tf.compute import Compute
from biva_tf.operations import Operand, Operation

_INITIAL_STDDEV = 0.05  # of V
_INITIAL_SCALE = 0.01  # of a layer's outputs after data-dependent initialisation

_compute = Compute()
_initialising = False
_prepared: dict["WeightNormalised", Operand] = {}


@contextlib.contextmanager
def computing(compute: Compute) -> Iterator[None]:
    """Layers that are made while it is active compute like this."""
    global _compute
    before, _compute = _compute, compute
    try:
        yield
    finally:
        _compute = before


def operands(parts: Sequence[keras.layers.Layer], rows: int = 0) -> list[Operand]:
    """What the layers within `parts` multiply with, made once for many passes under `prepared`.

    Args:
      parts: a model, or parts of one.
      rows: with the spectra that are needed for passes with so many rows.
    """
    return [layer.operand(rows) for layer in _layers(parts)]


@contextlib.contextmanager
def prepared(parts: Sequence[keras.layers.Layer], operands: Sequence[Operand]) -> Iterator[None]:
    """While active, the layers within `parts` use these operands and do not look at V and g."""
    global _prepared
    before, _prepared = _prepared, dict(zip(_layers(parts), operands, strict=True))
    try:
        yield
    finally:
        _prepared = before


@contextlib.contextmanager
def data_dependent_initialisation() -> Iterator[None]:
    """While active, every layer that is called sets its g and b from its inputs.

    Run one eager forward pass inside it, in cross-replica context.
    """
    global _initialising
    _initialising = True
    try:
        yield
    finally:
        _initialising = False


def _values(*variables):
    return [tf.convert_to_tensor(v.value) for v in variables]


def _layers(parts):
    within = [layer for part in parts for layer in part._flatten_layers()]
    return [layer for layer in within if isinstance(layer, WeightNormalised)]


class WeightNormalised(keras.layers.Layer):
    """A layer that computes `operation` with weights of its own.

    Args:
      operation: what it computes.
      name: the layer's name: for layers of the model, the scope of the original's variables.
    """

    def __init__(self, operation: Operation, name: str):
        super().__init__(name=name)
        self.operation = operations.shared(operation)
        filters = (operation.filters,)
        normal = keras.initializers.RandomNormal(stddev=_INITIAL_STDDEV)
        self.v = self.add_weight(shape=operation.direction_shape, initializer=normal, name="V")
        self.g = self.add_weight(shape=filters, initializer="ones", name="g")
        self.b = self.add_weight(shape=filters, initializer="zeros", name="b")
        self.built = True

    def operand(self, rows: int = 0) -> Operand:
        """What V and g make; with the spectrum, if so many rows are convolved in frequency."""
        return self.operation.operand(*_values(self.v, self.g), rows)

    def call(self, x: tf.Tensor) -> tf.Tensor:
        """y = op(x, g V/||V||) + b."""
        if _initialising:
            return self._initialise(x)
        operand = _prepared.get(self)
        if operand is None:
            operand = Operand(self.operation.weights(*_values(self.v, self.g)))
        return self.operation.product(x, operand, tf.convert_to_tensor(self.b.value))

    def _initialise(self, x):
        v, g = _values(self.v, self.g)
        y = self.operation.product(x, Operand(self.operation.weights(v, tf.ones_like(g))))
        mean, variance = tf.nn.moments(y, axes=list(range(y.shape.rank - 1)))
        scale = _INITIAL_SCALE / tf.sqrt(variance + 1e-10)
        self.g.assign(self.g * scale)
        self.b.assign(self.b - mean * scale)
        return scale * (y - mean)


class Conv2D(WeightNormalised):
    """SAME convolution: [rows, *in_shape] to [rows, ceil(h/stride), ceil(w/stride), filters]."""

    def __init__(self, in_shape, filters: int, kernel, stride=(1, 1), *, name: str):
        *size, inputs = in_shape
        convolution = operations.Convolution(
            inputs, filters, _compute, tuple(size), tuple(kernel), tuple(stride)
        )
        super().__init__(convolution, name)


class Deconv2D(WeightNormalised):
    """SAME transposed convolution: [rows, h, w, in] to [rows, *out_size, filters].

    `out_size` must be a size that a SAME convolution of this stride takes to (h, w).
    """

    def __init__(self, in_channels: int, filters: int, kernel, stride, out_size, *, name: str):
        transposed = operations.TransposedConvolution(
            in_channels, filters, _compute, tuple(kernel), tuple(stride), tuple(out_size)
        )
        super().__init__(transposed, name)


class Dense(WeightNormalised):
    """A linear map of the last axis: [..., in] to [..., units]. On images, a 1x1 convolution."""

    def __init__(self, in_units: int, units: int, *, name: str):
        super().__init__(operations.LinearMap(in_units, units, _compute), name)
