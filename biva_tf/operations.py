"""The linear operations of the layers, as values: what is computed with which weights.

Layers whose operations are equal share one object, and with it the traced function that normalises
their weights: a model has many layers of few kinds, and a graph that calls it for each of them is
built and started sooner than one that holds its nodes as often. Products are not calls, since the
gradients of a call come all at once: that of x would wait for that of the weights.
"""

import dataclasses
import functools
import math
import typing

import tensorflow as tf

from biva_tf import frequency, tracing
from biva_tf.compute import Compute

Kernel = tuple[int, int]


class Operand(typing.NamedTuple):
    """What an operation multiplies its inputs with.

    Attributes:
      weights: g V/||V||, in float32.
      spectrum: of the weights, in the type of products, if it is known already.
    """

    weights: tf.Tensor
    spectrum: tf.Tensor | None = None


@functools.cache
def shared(operation: "Operation") -> "Operation":
    """The first of all operations that are equal to this one."""
    return operation


@dataclasses.dataclass(frozen=True)
class Operation:
    """y = W x + b with W = g V/||V||; a subclass gives the product.

    Attributes:
      inputs, filters: channels of x and y.
      compute: how the product is computed.
    """

    inputs: int
    filters: int
    compute: Compute

    filter_axis: typing.ClassVar[int] = -1

    @property
    def direction_shape(self) -> tuple[int, ...]:
        """The shape of V."""
        raise NotImplementedError

    def product(self, x: tf.Tensor, operand: Operand, bias: tf.Tensor | None = None) -> tf.Tensor:
        """W x + b, of the type of x."""
        raise NotImplementedError

    @tracing.shared
    def weights(self, v: tf.Tensor, gain: tf.Tensor) -> tf.Tensor:
        """W = g V/||V||, the norm per output filter.

        The gradient is written out since every layer has it, and it is shorter than what is derived
        op by op: with t = sum(dW V), dg = t/||V|| and dV = g/||V|| (dW - t V/||V||^2).
        """
        rank = len(self.direction_shape)
        axes = [axis for axis in range(rank) if axis != self.filter_axis % rank]
        gain_shape = [self.filters if axis not in axes else 1 for axis in range(rank)]

        @tf.custom_gradient
        def weights(v, gain):
            inverse_norm = tf.math.rsqrt(tf.reduce_sum(tf.square(v), axes, keepdims=True) + 1e-12)
            scale = gain * inverse_norm

            def gradients(of_weights):
                t = tf.reduce_sum(of_weights * v, axes, keepdims=True)
                of_v = scale * of_weights - scale * tf.square(inverse_norm) * t * v
                return of_v, t * inverse_norm

            return scale * v, gradients

        return weights(v, tf.reshape(gain, gain_shape))

    def operand(self, v: tf.Tensor, gain: tf.Tensor, rows: int = 0) -> Operand:
        """W; with its spectrum, if so many rows are convolved in the frequency domain with it."""
        del rows
        return Operand(self.weights(v, gain))

    def _cast(self, t):
        return tf.cast(t, self.compute.product_dtype)

    def _finish(self, y, x, bias):
        y = tf.cast(y, x.dtype)
        return y if bias is None else tf.nn.bias_add(y, bias)


@dataclasses.dataclass(frozen=True)
class Convolution(Operation):
    """SAME convolution: [rows, *size, inputs] to [rows, *ceil(size/stride), filters].

    Attributes:
      size: height and width of x.
      kernel, stride: along height and width.
    """

    size: tuple[int, int]
    kernel: Kernel
    stride: Kernel = (1, 1)

    @property
    def direction_shape(self) -> tuple[int, ...]:
        """The shape of V."""
        return (*self.kernel, self.inputs, self.filters)

    @functools.cached_property
    def in_frequency(self) -> frequency.Convolution | None:
        """The same convolution in the frequency domain, if it has stride 1."""
        if self.stride != (1, 1):
            return None
        return frequency.convolution(self.size, self.kernel)

    def _least_rows(self, *, prepared):
        if self.in_frequency is None:
            return math.inf
        return self.compute.least_rows_in_frequency(
            self.in_frequency, self.inputs, self.filters, prepared=prepared
        )

    def operand(self, v: tf.Tensor, gain: tf.Tensor, rows: int = 0) -> Operand:
        """See `Operation.operand`."""
        weights = self.weights(v, gain)
        if rows < self._least_rows(prepared=True):
            return Operand(weights)
        return Operand(weights, self._cast(self.in_frequency.spectrum(weights)))

    def product(self, x: tf.Tensor, operand: Operand, bias: tf.Tensor | None = None) -> tf.Tensor:
        """The SAME convolution of x with weights [kh, kw, inputs, filters], and b."""

        def direct():
            weights = self._cast(operand.weights)
            return self._finish(tf.nn.conv2d(self._cast(x), weights, self.stride, "SAME"), x, bias)

        def in_frequency():
            if operand.spectrum is None:
                dtype = self.compute.product_dtype
                y = self.in_frequency.of_weights(x, operand.weights, dtype)
            else:
                y = self.in_frequency(x, operand.spectrum)
            return self._finish(tf.ensure_shape(y, (*x.shape[:3], self.filters)), x, bias)

        rows, least = x.shape[0], self._least_rows(prepared=operand.spectrum is not None)
        if rows is None and 0 < least < math.inf:
            # The spectrum is part of the branch: few rows do not pay for it. So is the bias, which
            # a direct convolution adds as it goes.
            return tf.cond(tf.shape(x)[0] >= math.ceil(least), in_frequency, direct)
        return direct() if (rows or 0) < least else in_frequency()


@dataclasses.dataclass(frozen=True)
class TransposedConvolution(Operation):
    """SAME transposed convolution: [rows, h, w, inputs] to [rows, *out_size, filters].

    Attributes:
      kernel, stride: along height and width.
      out_size: a size that a SAME convolution of this stride takes to (h, w).
    """

    kernel: Kernel
    stride: Kernel
    out_size: tuple[int, int]

    filter_axis: typing.ClassVar[int] = -2

    @property
    def direction_shape(self) -> tuple[int, ...]:
        """The shape of V."""
        return (*self.kernel, self.filters, self.inputs)

    def product(self, x: tf.Tensor, operand: Operand, bias: tf.Tensor | None = None) -> tf.Tensor:
        """The SAME transposed convolution of x with weights [kh, kw, filters, inputs], and b."""
        out_shape = (tf.shape(x)[0], *self.out_size, self.filters)
        weights = self._cast(operand.weights)
        y = tf.nn.conv2d_transpose(self._cast(x), weights, out_shape, self.stride, "SAME")
        return self._finish(tf.ensure_shape(y, (None, *out_shape[1:])), x, bias)


@dataclasses.dataclass(frozen=True)
class LinearMap(Operation):
    """Of the last axis: [..., inputs] to [..., filters]. On maps, a 1x1 convolution."""

    @property
    def direction_shape(self) -> tuple[int, ...]:
        """The shape of V."""
        return (self.inputs, self.filters)

    def product(self, x: tf.Tensor, operand: Operand, bias: tf.Tensor | None = None) -> tf.Tensor:
        """x times weights [inputs, filters], and b."""
        weights, cast = self._cast(operand.weights), self._cast(x)
        if x.shape.rank == 2:
            y = tf.matmul(cast, weights)
        else:
            y = tf.nn.conv2d(cast, weights[tf.newaxis, tf.newaxis], 1, "SAME")
        return self._finish(y, x, bias)
