"""Weight-normalised convolution, transposed convolution and dense layers (Salimans & Kingma 2016).

Each layer holds a direction V, a gain g and a bias b and computes y = op(x, g V/||V||) + b, the
norm taken per output filter. Inside `data_dependent_initialisation` a layer first sets g and b so
that its outputs on the batch at hand have mean 0 and a small common scale.
"""

import contextlib

import keras
import tensorflow as tf

_INITIAL_STDDEV = 0.05  # of V
_INITIAL_SCALE = 0.01  # of a layer's outputs after data-dependent initialisation

_initialising = False


@contextlib.contextmanager
def data_dependent_initialisation():
    """While active, every layer that is called sets its g and b from its inputs.

    Run one eager forward pass inside it, in cross-replica context.
    """
    global _initialising
    _initialising = True
    try:
        yield
    finally:
        _initialising = False


class WeightNormalised(keras.layers.Layer):
    """The part that the three layers share; a subclass gives the operation.

    Args:
      direction_shape: the shape of V.
      filter_axis: the axis of V that counts output filters.
      name: the layer's name: for layers of the model, the scope of the original's variables.
    """

    def __init__(self, direction_shape: tuple[int, ...], filter_axis: int, name: str):
        super().__init__(name=name)
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

    def op(self, x: tf.Tensor, weights: tf.Tensor) -> tf.Tensor:
        """The linear operation, without bias."""
        raise NotImplementedError

    def call(self, x: tf.Tensor) -> tf.Tensor:
        """y = op(x, g V/||V||) + b."""
        direction = tf.math.l2_normalize(self.v.value, self._norm_axes)
        if _initialising:
            return self._initialise(self.op(x, direction))
        weights = direction * tf.reshape(self.g.value, self._gain_shape)
        return tf.nn.bias_add(self.op(x, weights), self.b.value)

    def _initialise(self, y):
        mean, variance = tf.nn.moments(y, axes=list(range(y.shape.rank - 1)))
        scale = _INITIAL_SCALE / tf.sqrt(variance + 1e-10)
        self.g.assign(self.g * scale)
        self.b.assign(self.b - mean * scale)
        return scale * (y - mean)


class Conv2D(WeightNormalised):
    """SAME convolution: [rows, h, w, in] to [rows, ceil(h/stride), ceil(w/stride), filters]."""

    def __init__(self, in_channels: int, filters: int, kernel, stride=(1, 1), *, name: str):
        super().__init__((*kernel, in_channels, filters), filter_axis=-1, name=name)
        self._stride = list(stride)

    def op(self, x: tf.Tensor, weights: tf.Tensor) -> tf.Tensor:
        """The SAME convolution of x with weights [kh, kw, in, filters]."""
        return tf.nn.conv2d(x, weights, self._stride, "SAME")


class Deconv2D(WeightNormalised):
    """SAME transposed convolution: [rows, h, w, in] to [rows, *out_size, filters].

    `out_size` must be a size that a SAME convolution of this stride takes to (h, w).
    """

    def __init__(self, in_channels: int, filters: int, kernel, stride, out_size, *, name: str):
        super().__init__((*kernel, filters, in_channels), filter_axis=-2, name=name)
        self._stride = list(stride)
        self._out_shape = (*out_size, filters)

    def op(self, x: tf.Tensor, weights: tf.Tensor) -> tf.Tensor:
        """The SAME transposed convolution of x with weights [kh, kw, filters, in]."""
        out_shape = (tf.shape(x)[0], *self._out_shape)
        y = tf.nn.conv2d_transpose(x, weights, out_shape, self._stride, "SAME")
        return tf.ensure_shape(y, (None, *self._out_shape))


class Dense(WeightNormalised):
    """A linear map of the last axis: [..., in] to [..., units]. On images, a 1x1 convolution."""

    def __init__(self, in_units: int, units: int, *, name: str):
        super().__init__((in_units, units), filter_axis=-1, name=name)

    def op(self, x: tf.Tensor, weights: tf.Tensor) -> tf.Tensor:
        """x times weights [in, units]."""
        if x.shape.rank == 2:
            return tf.matmul(x, weights)
        return tf.nn.conv2d(x, weights[tf.newaxis, tf.newaxis], 1, "SAME")
