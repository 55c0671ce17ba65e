"""Weight-normalised convolution, transposed convolution and dense layers (Salimans & Kingma 2016).

A layer has a direction V, a gain g and a bias b, and computes

    y = op(x, W) + b    with    W = g V / ||V||.

op is linear; the norm is taken per output filter. `WeightNorm` is the layer, each of its subclasses
is one op. `data_dependent_initialisation` sets g and b from the first batch; `fixed_weights.py`
computes every W once, for many passes.
"""

import contextlib
import dataclasses
import math
import typing
from collections.abc import Callable, Iterable, Iterator, Sequence

import keras
import tensorflow as tf

from biva_tf.nn import frequency, graphs, keras_files
from biva_tf.nn.compute import Compute

_V_STDDEV = 0.05  # of the initial V
_INITIAL_OUTPUT_STDDEV = 0.01  # of a layer's outputs after data-dependent initialisation

_EPSILON = 1e-10  # the original's, below which a variance is taken for none


class NormalisedWeights(typing.NamedTuple):
    """The weights that a layer multiplies its inputs with.

    Attributes:
      w: W = g V/||V||, float32.
      spectrum: the spectrum of W in the dtype of products, if it has been computed.
    """

    w: tf.Tensor
    spectrum: tf.Tensor | None = None


@dataclasses.dataclass
class _Mode:
    """How `call` behaves while one of the context managers below is active."""

    initialising: bool = False
    fixed_weights: NormalisedWeights | None = None
    observer: "Observer | None" = None


class WeightNorm(keras.layers.Layer):
    """A weight-normalised layer. A subclass gives the product op(x, W).

    It computes as the `Compute` says in whose scope it is made.

    Args:
      v_shape: the shape of V.
      filters: the channels of the output.
      name: the layer's name. In the model it is the scope of the original's variables.
    """

    filter_axis: typing.ClassVar[int] = -1  # of V

    def __init__(self, v_shape: Sequence[int], filters: int, name: str):
        super().__init__(name=name)
        self.compute = Compute.current()
        self._mode = _Mode()
        normal = keras.initializers.RandomNormal(stddev=_V_STDDEV)
        self.v = self.add_weight(shape=v_shape, initializer=normal, name="V")
        self.g = self.add_weight(shape=(filters,), initializer="ones", name="g")
        self.b = self.add_weight(shape=(filters,), initializer="zeros", name="b")
        self.built = True

    def get_config(self) -> dict:
        """The constructor's arguments, and how the layer computes."""
        return {
            "name": self.name,
            "trainable": self.trainable,
            "compute": dataclasses.asdict(self.compute),
        }

    @classmethod
    def from_config(cls, config: dict) -> "WeightNorm":
        """The layer of `get_config`, without its weights."""
        arguments = dict(config)
        trainable = arguments.pop("trainable")
        with Compute(**arguments.pop("compute")).scope():
            layer = cls(**arguments)
        layer.trainable = trainable
        return layer

    def load_own_variables(self, store):
        """Reads the weights from a .keras file, also from one of an earlier version."""
        super().load_own_variables(keras_files.of_layer(store, self.name))

    def product(
        self, x: tf.Tensor, weights: NormalisedWeights, bias: tf.Tensor | None = None
    ) -> tf.Tensor:
        """op(x, W) + bias, in the dtype of x."""
        raise NotImplementedError

    def multiply_adds(self, in_size: Sequence[int], out_size: Sequence[int]) -> int:
        """Those of the product on one row, by the sizes of x and y without rows and channels."""
        del in_size
        return math.prod(out_size) * math.prod(self.v.shape)

    @property
    def least_rows_of_spectrum(self) -> float:
        """The least batch size for which `normalised_weights` has a spectrum."""
        return math.inf

    def normalised_weights(self, rows: int = 0) -> NormalisedWeights:
        """W, with its spectrum if batches of `rows` are faster with it."""
        del rows
        return NormalisedWeights(self._w())

    def _w(self) -> tf.Tensor:
        return _normalise(*_values(self.v, self.g), self.filter_axis)

    def call(self, x: tf.Tensor) -> tf.Tensor:
        """y = op(x, g V/||V||) + b."""
        if self._mode.initialising:
            return self._initialise(x)
        weights = self._mode.fixed_weights
        if weights is None:
            weights = NormalisedWeights(self._w())
        y = self.product(x, weights, tf.convert_to_tensor(self.b.value))
        if self._mode.observer is not None:
            self._mode.observer(self, x, y)
        return y

    def _initialise(self, x):
        v, g = _values(self.v, self.g)
        w = _normalise(v, tf.ones_like(g), self.filter_axis)
        y = self.product(x, NormalisedWeights(w))
        mean, variance = tf.nn.moments(y, axes=list(range(y.shape.rank - 1)))
        scale = _INITIAL_OUTPUT_STDDEV / tf.sqrt(variance + _EPSILON)
        # What does not vary on the batch, such as any output on one image, is not scaled up.
        scale = tf.where(variance > _EPSILON, scale, 1.0)
        self.g.assign(scale)
        self.b.assign(-mean * scale)
        return scale * (y - mean)

    def _cast(self, t):
        return tf.cast(t, self.compute.product_dtype)


@keras.saving.register_keras_serializable("biva_tf")
class Conv2D(WeightNorm):
    """SAME convolution: [rows, *in_shape] to [rows, ceil(h/stride), ceil(w/stride), filters].

    V is [kernel height, kernel width, input channels, filters].
    """

    def __init__(self, in_shape, filters: int, kernel, stride=(1, 1), *, name: str):
        *size, channels = in_shape
        super().__init__((*kernel, channels, filters), filters, name)
        self._size, self._channels = tuple(size), channels
        self._filters, self._stride = filters, tuple(stride)
        self.in_frequency: frequency.FrequencyConvolution | None = None
        if self._stride == (1, 1):
            self.in_frequency = frequency.convolution(self._size, tuple(kernel))

    def get_config(self) -> dict:
        """See `WeightNorm.get_config`."""
        return {
            **super().get_config(),
            "in_shape": (*self._size, self._channels),
            "filters": self._filters,
            "kernel": tuple(self.v.shape[:2]),
            "stride": self._stride,
        }

    def _least_rows_in_frequency(self, *, fixed_weights: bool) -> float:
        if self.in_frequency is None:
            return math.inf
        return self.compute.least_rows_in_frequency(
            self.in_frequency, self._channels, self._filters, fixed_weights=fixed_weights
        )

    @property
    def least_rows_of_spectrum(self) -> float:
        """See `WeightNorm.least_rows_of_spectrum`."""
        return self._least_rows_in_frequency(fixed_weights=True)

    def normalised_weights(self, rows: int = 0) -> NormalisedWeights:
        """See `WeightNorm.normalised_weights`."""
        w = self._w()
        if rows < self.least_rows_of_spectrum:
            return NormalisedWeights(w)
        return NormalisedWeights(w, self._cast(self.in_frequency.spectrum_of_weights(w)))

    def product(
        self, x: tf.Tensor, weights: NormalisedWeights, bias: tf.Tensor | None = None
    ) -> tf.Tensor:
        """The convolution of x with W, plus bias; where the batch is large enough, by spectra."""

        def direct():
            w = self._cast(weights.w)
            return _finish(_convolution(self._cast(x), w, self._stride), x, bias)

        def in_frequency():
            if weights.spectrum is None:
                y = self.in_frequency(x, weights.w, self.compute.product_dtype)
            else:
                y = self.in_frequency.with_spectrum(x, weights.spectrum)
            return _finish(tf.ensure_shape(y, (*x.shape[:3], self._filters)), x, bias)

        rows = x.shape[0]
        least = self._least_rows_in_frequency(fixed_weights=weights.spectrum is not None)
        if rows is None and 0 < least < math.inf:
            # The branch computes the spectrum of W, so that a small batch does not pay for it. It
            # also adds the bias, which the direct convolution can fuse.
            return tf.cond(tf.shape(x)[0] >= math.ceil(least), in_frequency, direct)
        return direct() if (rows or 0) < least else in_frequency()


@keras.saving.register_keras_serializable("biva_tf")
class Deconv2D(WeightNorm):
    """SAME transposed convolution: [rows, h, w, in] to [rows, *out_size, filters].

    `out_size` must be a size that a SAME convolution of this stride takes to (h, w). V is
    [kernel height, kernel width, filters, input channels].
    """

    filter_axis = -2

    def __init__(self, channels: int, filters: int, kernel, stride, out_size, *, name: str):
        super().__init__((*kernel, filters, channels), filters, name)
        self._stride, self._out_shape = tuple(stride), (*out_size, filters)

    def get_config(self) -> dict:
        """See `WeightNorm.get_config`."""
        *kernel, filters, channels = self.v.shape
        return {
            **super().get_config(),
            "channels": channels,
            "filters": filters,
            "kernel": kernel,
            "stride": self._stride,
            "out_size": self._out_shape[:2],
        }

    def multiply_adds(self, in_size: Sequence[int], out_size: Sequence[int]) -> int:
        """See `WeightNorm.multiply_adds`: a product for every place of x."""
        return super().multiply_adds(out_size, in_size)

    def product(
        self, x: tf.Tensor, weights: NormalisedWeights, bias: tf.Tensor | None = None
    ) -> tf.Tensor:
        """The transposed convolution of x with W, plus bias."""
        shape = (tf.shape(x)[0], *self._out_shape)
        w = self._cast(weights.w)
        y = tf.nn.conv2d_transpose(self._cast(x), w, shape, self._stride, "SAME")
        return _finish(tf.ensure_shape(y, (None, *self._out_shape)), x, bias)


@keras.saving.register_keras_serializable("biva_tf")
class Dense(WeightNorm):
    """A linear map of the last axis: [..., in] to [..., units]. On images, a 1x1 convolution.

    V is [input units, units].
    """

    def __init__(self, in_units: int, units: int, *, name: str):
        super().__init__((in_units, units), units, name)
        self._units = units

    def get_config(self) -> dict:
        """See `WeightNorm.get_config`."""
        return {**super().get_config(), "in_units": self.v.shape[0], "units": self._units}

    def compute_output_shape(self, input_shape):
        """[..., in] to [..., units]."""
        return (*input_shape[:-1], self._units)

    def product(
        self, x: tf.Tensor, weights: NormalisedWeights, bias: tf.Tensor | None = None
    ) -> tf.Tensor:
        """x W + bias."""
        w, cast = self._cast(weights.w), self._cast(x)
        if x.shape.rank == 2:
            y = tf.matmul(cast, w)
        else:
            y = _convolution(cast, w[tf.newaxis, tf.newaxis])
        return _finish(y, x, bias)


# A model has many layers of few shapes, so one traced function serves all layers of a shape. The
# products are not wrapped like this: TensorFlow differentiates a wrapped call as one unit, so that
# the gradient of x could not go on before the gradient of W is finished.
@graphs.traced_once
def _normalise(v: tf.Tensor, gain: tf.Tensor, filter_axis: int) -> tf.Tensor:
    """W = g V/||V||, the norm per output filter.

    The gradient is written out because it is shorter than what TensorFlow derives op by op. With
    t = sum(dW V) it is dg = t/||V|| and dV = g/||V|| (dW - t V/||V||^2).
    """
    rank = v.shape.rank
    axes = [axis for axis in range(rank) if axis != filter_axis % rank]
    gain_shape = [1 if axis in axes else gain.shape[0] for axis in range(rank)]

    @tf.custom_gradient
    def normalise(v, gain):
        inverse_norm = tf.math.rsqrt(tf.reduce_sum(tf.square(v), axes, keepdims=True) + 1e-12)
        scale = gain * inverse_norm

        def gradients(dw):
            t = tf.reduce_sum(dw * v, axes, keepdims=True)
            dv = scale * dw - scale * tf.square(inverse_norm) * t * v
            return dv, t * inverse_norm

        return scale * v, gradients

    return normalise(v, tf.reshape(gain, gain_shape))


def _convolution(x, w, stride=1):
    """The SAME convolution of x [rows, h, w, in] with w [kernel h, kernel w, in, out].

    On maps of one pixel, a 1x1 convolution is a product of matrices, and much faster as one.
    """
    if x.shape[1:3] == w.shape[:2] == (1, 1):
        y = tf.matmul(tf.reshape(x, (-1, x.shape[3])), tf.reshape(w, w.shape[2:]))
        return tf.reshape(y, (-1, 1, 1, w.shape[3]))
    return tf.nn.conv2d(x, w, stride, "SAME")


def _finish(y, x, bias):
    y = tf.cast(y, x.dtype)
    return y if bias is None else tf.nn.bias_add(y, bias)


def _values(*variables):
    return [tf.convert_to_tensor(v.value) for v in variables]


def layers_of(parts: Iterable[keras.layers.Layer]) -> list[WeightNorm]:
    """The weight-normalised layers of a model's parts (or of `[model]`), once, in a fixed order."""
    layers = [layer for part in parts for layer in part._flatten_layers()]
    return [layer for layer in dict.fromkeys(layers) if isinstance(layer, WeightNorm)]


@contextlib.contextmanager
def in_mode(
    layers: Sequence[WeightNorm], field: str, values: Iterable[typing.Any]
) -> Iterator[None]:
    """While active, a field of each layer's `_Mode` has the layer's entry of `values`."""
    before = [getattr(layer._mode, field) for layer in layers]
    for layer, value in zip(layers, values, strict=True):
        setattr(layer._mode, field, value)
    try:
        yield
    finally:
        for layer, value in zip(layers, before, strict=True):
            setattr(layer._mode, field, value)


def data_dependent_initialisation(
    model: keras.layers.Layer,
) -> contextlib.AbstractContextManager[None]:
    """While active, every layer that is called sets its g and b from its inputs.

    The layer's outputs on this batch then have mean 0 and a small standard deviation; one that does
    not vary keeps g = 1. Run one eager forward pass inside it, in cross-replica context.
    """
    layers = layers_of([model])
    return in_mode(layers, "initialising", [True] * len(layers))


def as_initialised(
    layer: keras.layers.Layer,
) -> contextlib.AbstractContextManager[None]:
    """While active, a layer keeps its g and b, also within a data-dependent initialisation.

    For a call that is not the one on data.
    """
    layers = layers_of([layer])
    return in_mode(layers, "initialising", [False] * len(layers))


def is_initialised(model: keras.layers.Layer) -> bool:
    """Whether any gain differs from the 1 that it has before data-dependent initialisation."""
    return any(bool(tf.reduce_any(layer.g.value != 1.0)) for layer in layers_of([model]))


Observer = Callable[[WeightNorm, tf.Tensor, tf.Tensor], None]  # takes a layer, its x and its y


def observed(
    model: keras.layers.Layer, observer: Observer
) -> contextlib.AbstractContextManager[None]:
    """While active, every layer that is called shows the observer its input and its output."""
    layers = layers_of([model])
    return in_mode(layers, "observer", [observer] * len(layers))
