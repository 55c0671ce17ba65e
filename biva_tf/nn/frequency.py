"""SAME convolution of stride 1 in the frequency domain, by products with constant real matrices.

The layer computes, with taps a at offsets o_a (each along height and along width),

    y[i] = sum_a w[a] x[i + o_a],    x = 0 outside the map.

Count positions modulo an N so long that what leaves the map at one end does not come back at the
other. Then spectra are multiplied:

    Y[n] = X[n] K[n],  X[n] = sum_i x[i] e^{-2 pi i n i/N},  K[n] = sum_a w[a] e^{2 pi i n o_a/N},

for each frequency n, where X[n] is a matrix [rows, in], K[n] one of [in, filters]. Maps are real,
so half of the frequencies along height, n = 0 ... N/2, determine the others. A complex product
takes three real ones (Gauss):

    k1 = (Xr + Xi) Kr,  k2 = Xr (Ki - Kr),  k3 = Xi (Kr + Ki);    Yr = k1 - k3,  Yi = k1 + k2.

These sums go into the constant matrices, too. A spectrum is then Q = 3 (N/2 + 1) M real numbers per
map, N and M the periods along height and width, each a linear function of the map, and

    y = S( T(x) * K(w) ),

`*` a product of matrices [rows, in] [in, filters] at each of Q places. T and K are a real Fourier
transform along height and a complex one along width (`_Transform`); so is the transpose of S. Per
pair of channels that is 1,440 multiply-adds instead of 19,600 for 5x5 kernels on 28x28 maps, and
936 instead of 65,536 for 16x16 kernels on 16x16 maps; and the three transforms.

The gradient of a transform is its transpose: the same matrices, transposed. So the backward pass is
two more such products, and each of x, w and the gradient of y is transformed once.
"""

import functools
import math

import numpy as np
import tensorflow as tf

Size = tuple[int, int]  # along height and along width

# A spectrum of weights is kept for the backward pass if it has at most this many numbers for each
# number in the spectra of x and y.
_MOST_KEPT = 1.5

_X_MIX = np.array([[1, 1], [1, 0], [0, 1]])  # (Xr, Xi) to Xr + Xi, Xr, Xi
_K_MIX = np.array([[1, 0], [-1, 1], [1, 1]])  # (Kr, Ki) to Kr, Ki - Kr, Kr + Ki
_Y_MIX = np.array([[1, 1], [0, 1], [-1, 0]])  # the transpose of (k1, k2, k3) to Yr, Yi


@functools.cache
def convolution(size: Size, kernel: Size) -> "FrequencyConvolution":
    """The convolution of maps of a size with kernels of a size; one object for all layers."""
    return FrequencyConvolution(size, kernel)


class FrequencyConvolution:
    """What `tf.nn.conv2d(x, weights, 1, "SAME")` computes.

    Args:
      size: the height and width of the maps.
      kernel: the taps along height and along width.

    Attributes:
      size, kernel: as given.
      places: Q, the numbers in the spectrum of one map.
      direct_products: the multiply-adds per pair of channels of the direct convolution.
    """

    def __init__(self, size: Size, kernel: Size):
        self.size, self.kernel = size, kernel
        offsets = [np.arange(taps) - (taps - 1) // 2 for taps in kernel]
        periods = [n + max(o.max(), -o.min()) for n, o in zip(size, offsets, strict=True)]
        positions = [np.arange(n) for n in size]
        half = periods[0] // 2 + 1
        self.places = 3 * half * periods[1]
        self.direct_products = math.prod(size) * math.prod(kernel)
        # Half of the frequencies stand for all; the others are their conjugates.
        counts = np.full(half, 2.0)
        counts[0] = 1.0
        if periods[0] % 2 == 0:
            counts[-1] = 1.0
        self._x = _Transform(periods, positions, _X_MIX)
        self._w = _Transform(periods, [-o for o in offsets], _K_MIX)
        self._y = _Transform(periods, positions, _Y_MIX, counts / math.prod(periods))

    def spectrum_of_weights(self, weights: tf.Tensor) -> tf.Tensor:
        """K: [taps along height, taps along width, in, filters] to [Q, in, filters]."""
        return self._w.forward(weights)

    def with_spectrum(self, x: tf.Tensor, spectrum: tf.Tensor) -> tf.Tensor:
        """y: [rows, height, width, in] to [rows, height, width, filters].

        Args:
          x: the maps.
          spectrum: the spectrum of the weights. The products with it are in its dtype; the
            transforms of the maps are in the dtype of x.
        """
        return self._transformed(x, lambda x_n: tf.matmul(x_n, spectrum), spectrum.dtype)

    def __call__(self, x: tf.Tensor, weights: tf.Tensor, dtype: tf.DType) -> tf.Tensor:
        """y from the weights themselves, with products in `dtype`: for training.

        A spectrum of weights that is large beside the spectra of the maps is not kept for the
        backward pass but computed again there. Keeping it would save little time, and at small
        batch sizes the spectra of all weights would take more memory than everything else.
        """

        def spectrum(weights):
            return tf.cast(self.spectrum_of_weights(weights), dtype)

        @tf.custom_gradient
        def product_recomputing_the_spectrum(x_n, weights):
            def gradients(dy_n):
                # The control dependency delays the second computation until the backward pass.
                # Without it, TensorFlow would share the first one's tensor and keep it.
                with tf.control_dependencies([dy_n]):
                    again = spectrum(tf.identity(weights))
                d_spectrum = tf.matmul(x_n, dy_n, transpose_a=True)
                d_weights = self._w.backward(tf.cast(d_spectrum, weights.dtype))
                return tf.matmul(dy_n, again, transpose_b=True), d_weights

            return tf.matmul(x_n, spectrum(weights)), gradients

        inputs, filters = weights.shape[2:]
        if inputs * filters <= _MOST_KEPT * (x.shape[0] or 0) * (inputs + filters):
            return self.with_spectrum(x, spectrum(weights))
        return self._transformed(
            x, lambda x_n: product_recomputing_the_spectrum(x_n, weights), dtype
        )

    def _transformed(self, x, product, dtype):
        """S(product(T(x)))."""
        x_n = self._x.forward(tf.transpose(x, (1, 2, 0, 3)))
        y_n = product(tf.cast(x_n, dtype))
        return tf.transpose(self._y.backward(tf.cast(y_n, x.dtype)), (2, 0, 1, 3))


class _Transform:
    """A real Fourier transform along the first axis, then a complex one along the second.

    Args:
      periods: N and M.
      positions: where the elements of the two axes lie.
      mix: [3, 2]: the three combinations of the real and the imaginary part of each frequency.
      scale: [N/2 + 1], a factor for each frequency along the first axis.
    """

    def __init__(self, periods: list[int], positions: list, mix: np.ndarray, scale=1.0):
        self._half = periods[0] // 2 + 1
        self._height, self._width = map(len, positions)
        cos, sin = _waves(self._half, positions[0], periods[0])
        rows = np.stack([cos, -sin], 1) * np.reshape(scale, (-1, 1, 1))
        self._rows = rows.reshape(-1, self._height)
        # Each complex row is its real part followed by its imaginary part.
        cos, sin = _waves(periods[1], positions[1], periods[1])
        parts = np.stack([np.concatenate([cos, sin], 1), np.concatenate([-sin, cos], 1)], 1)
        self._columns = np.einsum("ab,mbw->maw", mix, parts).reshape(-1, 2 * self._width)

    def forward(self, t: tf.Tensor) -> tf.Tensor:
        """[height, width, a, b] to [Q, a, b]."""
        return tf.custom_gradient(lambda t: (self._forward(t), self.backward))(t)

    def backward(self, t: tf.Tensor) -> tf.Tensor:
        """The transpose: [Q, a, b] to [height, width, a, b]."""
        return tf.custom_gradient(lambda t: (self._backward(t), self.forward))(t)

    def _forward(self, t):
        a, b = tf.shape(t)[2], t.shape[3]
        t = tf.reshape(t, (self._height, -1))
        t = tf.matmul(tf.constant(self._rows, t.dtype), t)
        t = tf.reshape(t, (self._half, 2 * self._width, a * b))
        t = tf.matmul(tf.constant(self._columns, t.dtype), t)
        return tf.reshape(t, (self._half * len(self._columns), a, b))

    def _backward(self, t):
        a, b = tf.shape(t)[1], t.shape[2]
        t = tf.reshape(t, (self._half, len(self._columns), a * b))
        # The constant is transposed here: `transpose_a=True` would take twice as long.
        t = tf.matmul(tf.constant(self._columns.T, t.dtype), t)
        t = tf.reshape(t, (2 * self._half, -1))
        t = tf.matmul(tf.constant(self._rows.T, t.dtype), t)
        return tf.reshape(t, (self._height, self._width, a, b))


def _waves(count: int, positions: np.ndarray, period: int) -> tuple[np.ndarray, np.ndarray]:
    angles = 2 * np.pi / period * (np.outer(np.arange(count), positions) % period)
    return np.cos(angles), np.sin(angles)
