"""Weight-normalised convolution, transposed convolution and dense layers (Salimans & Kingma 2016).

Each layer holds a direction V, a gain g and a bias b and computes y = op(x, g V/||V||) + b, the
norm taken per output filter. Inside `data_dependent_initialisation` a layer first sets g and b so
that its outputs on the batch at hand have mean 0 and a small common scale.
"""

import contextlib
import math
import typing
from collections.abc import Iterator, Sequence

import keras
import tensorflow as tf

from biva_tf import frequency
from biva_tf.compute import Compute

_INITIAL_STDDEV = 0.05  # of V
_INITIAL_SCALE = 0.01  # of a layer's outputs after data-dependent initialisation

_compute = Compute()
_initialising = False
_prepared: dict["WeightNormalised", "Operand"] = {}


class Operand(typing.NamedTuple):
    """What a layer multiplies its inputs with.

    Attributes:
      weights: g V/||V||, in float32.
      spectrum: of the weights, in the type of products, if it is known already.
    """

    weights: tf.Tensor
    spectrum: tf.Tensor | None = None


@contextlib.contextmanager
def computing(compute: Compute) -> Iterator[None]:
    """Layers that are made while it is active compute like this."""
    global _compute
    before, _compute = _compute, compute
    try:
        yield
    finally:
        _compute = before


@tf.function(autograph=False)
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


def _layers(parts):
    within = [layer for part in parts for layer in part._flatten_layers()]
    return [layer for layer in within if isinstance(layer, WeightNormalised)]


def _normalised(v: tf.Tensor, gain: tf.Tensor, axes: list[int]) -> tf.Tensor:
    """W = g V/||V||, the norm over the axes that g has not.

    The gradient is written out since every layer has it, and it is shorter than what is derived
    op by op: with t = sum(dW V), dg = t/||V|| and dV = g/||V|| (dW - t V/||V||^2).
    """

    @tf.custom_gradient
    def weights(v, gain):
        inverse_norm = tf.math.rsqrt(tf.reduce_sum(tf.square(v), axes, keepdims=True) + 1e-12)
        scale = gain * inverse_norm

        def gradients(of_weights):
            t = tf.reduce_sum(of_weights * v, axes, keepdims=True)
            of_v = scale * of_weights - scale * tf.square(inverse_norm) * t * v
            return of_v, t * inverse_norm

        return scale * v, gradients

    return weights(v, gain)


class WeightNormalised(keras.layers.Layer):
    """The part that the three layers share; a subclass gives the operation.

    Args:
      direction_shape: the shape of V.
      filter_axis: the axis of V that counts output filters.
      name: the layer's name: for layers of the model, the scope of the original's variables.
    """

    def __init__(self, direction_shape: tuple[int, ...], filter_axis: int, name: str):
        super().__init__(name=name)
        self._compute = _compute
        rank = len(direction_shape)
        filter_axis %= rank
        filters = direction_shape[filter_axis]
        self._norm_axes = [axis for axis in range(rank) if axis != filter_axis]
        self._gain_shape = [filters if axis == filter_axis else 1 for axis in range(rank)]
        normal = keras.initializers.RandomNormal(stddev=_INITIAL_STDDEV)
        self.v = self.add_weight(shape=direction_shape, initializer=normal, name="V")
        self.g = self.add_weight(shape=(filters,), initializer="ones", name="g")
        self.b = self.add_weight(shape=(filters,), initializer="zeros", name="b")
        self.built = True

    def op(self, x: tf.Tensor, operand: Operand) -> tf.Tensor:
        """The linear operation, without bias; the result may be of the type of products."""
        raise NotImplementedError

    def operand(self, rows: int = 0) -> Operand:
        """What V and g make; with the spectrum, if so many rows are convolved in frequency."""
        del rows
        return self._operand(self.g.value)

    def _operand(self, gain) -> Operand:
        v, gain = tf.convert_to_tensor(self.v.value), tf.convert_to_tensor(gain)
        return Operand(_normalised(v, tf.reshape(gain, self._gain_shape), self._norm_axes))

    def call(self, x: tf.Tensor) -> tf.Tensor:
        """y = op(x, g V/||V||) + b."""
        if _initialising:
            return self._initialise(self._product(x, self._operand(tf.ones_like(self.g.value))))
        operand = _prepared.get(self) or self._operand(self.g.value)
        return tf.nn.bias_add(self._product(x, operand), self.b.value)

    def _product(self, x, operand):
        return tf.cast(self.op(x, operand), x.dtype)

    def _cast(self, t):
        return tf.cast(t, self._compute.product_dtype)

    def _initialise(self, y):
        mean, variance = tf.nn.moments(y, axes=list(range(y.shape.rank - 1)))
        scale = _INITIAL_SCALE / tf.sqrt(variance + 1e-10)
        self.g.assign(self.g * scale)
        self.b.assign(self.b - mean * scale)
        return scale * (y - mean)


class Conv2D(WeightNormalised):
    """SAME convolution: [rows, *in_shape] to [rows, ceil(h/stride), ceil(w/stride), filters]."""

    def __init__(self, in_shape, filters: int, kernel, stride=(1, 1), *, name: str):
        super().__init__((*kernel, in_shape[2], filters), filter_axis=-1, name=name)
        self._stride = list(stride)
        self.in_frequency = None  # the same convolution in the frequency domain, if it has stride 1
        self._least_rows, self._least_rows_prepared = math.inf, math.inf
        if tuple(stride) == (1, 1):
            self.in_frequency = frequency.convolution(tuple(in_shape[:2]), tuple(kernel))
            self._least_rows, self._least_rows_prepared = (
                self._compute.least_rows_in_frequency(
                    self.in_frequency, in_shape[2], filters, prepared=prepared
                )
                for prepared in (False, True)
            )

    def operand(self, rows: int = 0) -> Operand:
        """See `WeightNormalised.operand`."""
        operand = super().operand()
        if rows < self._least_rows_prepared:
            return operand
        return operand._replace(spectrum=self._cast(self.in_frequency.spectrum(operand.weights)))

    def op(self, x: tf.Tensor, operand: Operand) -> tf.Tensor:
        """The SAME convolution of x with weights [kh, kw, in, filters]."""

        def direct():
            weights = self._cast(operand.weights)
            return tf.nn.conv2d(self._cast(x), weights, self._stride, "SAME")

        def in_frequency():
            if operand.spectrum is None:
                dtype = self._compute.product_dtype
                y = self.in_frequency.of_weights(x, operand.weights, dtype)
            else:
                y = self.in_frequency(x, operand.spectrum)
            return tf.ensure_shape(y, (*x.shape[:3], operand.weights.shape[3]))

        rows, least = x.shape[0], self._least_rows
        if operand.spectrum is not None:
            least = self._least_rows_prepared
        if rows is None and 0 < least < math.inf:
            # The spectrum is part of the branch: few rows do not pay for it.
            return tf.cond(tf.shape(x)[0] >= math.ceil(least), in_frequency, direct)
        return direct() if (rows or 0) < least else in_frequency()


class Deconv2D(WeightNormalised):
    """SAME transposed convolution: [rows, h, w, in] to [rows, *out_size, filters].

    `out_size` must be a size that a SAME convolution of this stride takes to (h, w).
    """

    def __init__(self, in_channels: int, filters: int, kernel, stride, out_size, *, name: str):
        super().__init__((*kernel, filters, in_channels), filter_axis=-2, name=name)
        self._stride = list(stride)
        self._out_shape = (*out_size, filters)

    def op(self, x: tf.Tensor, operand: Operand) -> tf.Tensor:
        """The SAME transposed convolution of x with weights [kh, kw, filters, in]."""
        out_shape = (tf.shape(x)[0], *self._out_shape)
        x, weights = self._cast(x), self._cast(operand.weights)
        y = tf.nn.conv2d_transpose(x, weights, out_shape, self._stride, "SAME")
        return tf.ensure_shape(y, (None, *self._out_shape))


class Dense(WeightNormalised):
    """A linear map of the last axis: [..., in] to [..., units]. On images, a 1x1 convolution."""

    def __init__(self, in_units: int, units: int, *, name: str):
        super().__init__((in_units, units), filter_axis=-1, name=name)

    def op(self, x: tf.Tensor, operand: Operand) -> tf.Tensor:
        """x times weights [in, units]."""
        x, weights = self._cast(x), self._cast(operand.weights)
        if x.shape.rank == 2:
            return tf.matmul(x, weights)
        return tf.nn.conv2d(x, weights[tf.newaxis, tf.newaxis], 1, "SAME")
