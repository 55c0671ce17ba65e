"""The gated residual block of the paper."""

import math

import keras
import tensorflow as tf

from biva_tf.model.block_specs import BlockSpec
from biva_tf.model.blocks.block import MapShape
from biva_tf.model.noise import Noise
from biva_tf.nn.weight_norm import Conv2D, Deconv2D, Dense


class GatedBlock(keras.layers.Layer):
    """A gated residual block: out = h1 * sigmoid(h2), plus its input where the shapes allow it.

    An output that is larger than the input, or has fewer channels, never gets the input. For a
    smaller output the input is average-pooled, for one with more channels it is zero-padded.
    Dropout is between the two convolutions. `blocks.make` says what the arguments are.
    """

    def __init__(
        self,
        spec: BlockSpec,
        in_shape: MapShape,
        skip_shape: MapShape | None = None,
        *,
        out_size: tuple[int, int] | None = None,
        residual: bool = True,
        dropout: float = 0.0,
        name: str,
    ):
        super().__init__(name=name)
        self.in_shape = in_shape
        self._dropout = dropout
        self._stride = spec.stride
        filters, kernel = spec.filters, spec.kernel
        self._conv_in = Conv2D(in_shape, filters, kernel, name=f"{name}_conv_in")
        self._skip = None
        if skip_shape is not None:
            self._skip = _resize_layer(spec, skip_shape, in_shape, name)
        scope = f"{name}_conv_out"
        if out_size is None or spec.stride == (1, 1):
            shape = (*in_shape[:2], filters)
            self._conv_out = Conv2D(shape, 2 * filters, kernel, spec.stride, name=scope)
            (height, width), (down, right) = in_shape[:2], spec.stride
            out_size = math.ceil(height / down), math.ceil(width / right)
        else:
            self._conv_out = Deconv2D(
                filters, 2 * filters, kernel, spec.stride, out_size, name=scope
            )
        self.out_shape = (*out_size, filters)
        larger = any(o > i for o, i in zip(out_size, in_shape, strict=False))
        self._residual = residual and not larger and filters >= in_shape[2]
        self.multiply_adds = self._conv_in.multiply_adds(in_shape[:2], in_shape[:2])
        self.multiply_adds += self._conv_out.multiply_adds(in_shape[:2], out_size)
        if self._skip is not None:
            self.multiply_adds += self._skip.multiply_adds(skip_shape[:2], in_shape[:2])
        self.built = True

    def call(
        self, x: tf.Tensor, skip: tf.Tensor | None = None, *, noise: Noise, training: bool = False
    ) -> tf.Tensor:
        """x [rows, *in_shape], elu(skip) [rows, *skip_shape] or None, to [rows, *out_shape]."""
        out = self._conv_in(tf.nn.elu(x))
        if self._skip is not None:
            out += self._skip(skip)
        out = tf.nn.elu(out)
        if training and self._dropout:
            shape = (tf.shape(out)[0], *out.shape[1:])
            out *= noise.dropout_mask(f"{self.name}/dropout", self._dropout, shape)
        h1, h2 = tf.split(self._conv_out(out), 2, axis=-1)
        out = h1 * tf.sigmoid(h2)
        return out + self._shortcut(x) if self._residual else out

    def _shortcut(self, x):
        if self.out_shape[:2] != self.in_shape[:2]:
            x = tf.nn.avg_pool2d(x, self._stride, self._stride, "SAME")
        extra = self.out_shape[2] - self.in_shape[2]
        return tf.pad(x, [[0, 0], [0, 0], [0, 0], [0, extra]]) if extra else x


def _resize_layer(spec: BlockSpec, shape: MapShape, target: MapShape, name: str):
    """The layer that takes a skip map of `shape` to the size of `target`, with spec.filters.

    Its names are the original's, in which the skip connection is called "aux".
    """
    if shape[:2] == target[:2]:
        return Dense(shape[2], spec.filters, name=f"{name}_conv_aux")
    if shape[0] >= target[0] and shape[1] >= target[1]:
        stride = [math.ceil(a / t) for a, t in zip(shape[:2], target[:2], strict=True)]
        scope = f"{name}_conv_downsample_aux"
        return Conv2D(shape, spec.filters, spec.kernel, stride, name=scope)
    stride = [math.ceil(t / a) for a, t in zip(shape[:2], target[:2], strict=True)]
    scope = f"{name}_conv_upsample_aux"
    return Deconv2D(shape[2], spec.filters, spec.kernel, stride, target[:2], name=scope)
