"""A gated residual block with self-attention at the smaller of its two maps."""

import math

import keras
import tensorflow as tf

from biva_tf.model.block_specs import AttentionSpec
from biva_tf.model.blocks.block import MapShape
from biva_tf.model.blocks.gated import GatedBlock
from biva_tf.model.noise import Noise
from biva_tf.nn.compute import Compute
from biva_tf.nn.weight_norm import Dense


class AttentionBlock(keras.layers.Layer):
    """A gated residual block, and self-attention of its output; see `AttentionSpec`.

    A block that makes the map larger attends to its input in place of its output, so that both
    passes attend at the same size. `blocks.make` says what the arguments are.
    """

    def __init__(
        self,
        spec: AttentionSpec,
        in_shape: MapShape,
        skip_shape: MapShape | None = None,
        *,
        out_size: tuple[int, int] | None = None,
        residual: bool = True,
        dropout: float = 0.0,
        name: str,
    ):
        super().__init__(name=name)
        self._gated = GatedBlock(
            spec,
            in_shape,
            skip_shape,
            out_size=out_size,
            residual=residual,
            dropout=dropout,
            name=name,
        )
        self.in_shape, self.out_shape = in_shape, self._gated.out_shape
        self._attends_first = math.prod(in_shape[:2]) < math.prod(self.out_shape[:2])
        shape = in_shape if self._attends_first else self.out_shape
        self._attention = SelfAttention(shape, spec.filters, spec.heads, name=f"{name}_attention")
        self.multiply_adds = self._gated.multiply_adds + self._attention.multiply_adds
        self.built = True

    def call(
        self, x: tf.Tensor, skip: tf.Tensor | None = None, *, noise: Noise, training: bool = False
    ) -> tf.Tensor:
        """See `MapBlock`."""
        if self._attends_first:
            return self._gated(self._attention(x), skip, noise=noise, training=training)
        return self._attention(self._gated(x, skip, noise=noise, training=training))


class SelfAttention(keras.layers.Layer):
    """Adds to each place of a map what it reads from all places (Vaswani et al. 2017).

    With queries Q, keys K and values V, which are linear in elu(x), [places, units] for each head,

        y = x + gain * linear(read),    read = softmax(sqrt(units) q k^T) V,

    where the rows of q and k are those of Q and K at length 1. So the logits do not depend on the
    scale of x, which is small when training begins. The gain, one number per channel, begins at 0:
    the new layer is the identity. No place knows where it is but by x.

    Args:
      shape: the shape of the map.
      filters: the units of all heads together, a multiple of `heads`.
      heads: their number.
      name: the layer's name, with which those of its parts begin.
    """

    def __init__(self, shape: MapShape, filters: int, heads: int, *, name: str):
        super().__init__(name=name)
        self._compute = Compute.current()
        self._shape, self._filters = shape, filters
        self._places, self._heads = math.prod(shape[:2]), heads
        self.gain = self.add_weight(shape=(shape[2],), initializer="zeros", name="gain")
        self._queries = Dense(shape[2], filters, name=f"{name}_queries")
        self._keys = Dense(shape[2], filters, name=f"{name}_keys")
        self._values = Dense(shape[2], filters, name=f"{name}_values")
        self._out = Dense(filters, shape[2], name=f"{name}_out")
        self.built = True

    @property
    def multiply_adds(self) -> int:
        """Those of a call on one row."""
        linear = 4 * self._places * self._shape[2] * self._filters
        return linear + 2 * self._places**2 * self._filters

    def call(self, x: tf.Tensor) -> tf.Tensor:
        """x [rows, *shape] to the same shape."""
        h = tf.nn.elu(x)
        queries, keys = (
            tf.math.l2_normalize(self._of_heads(layer(h)), axis=-1)
            for layer in (self._queries, self._keys)
        )
        values = self._of_heads(self._values(h))
        logits = self._product("rqhu,rkhu->rhqk", queries, keys)
        probabilities = tf.nn.softmax(logits * math.sqrt(self._filters // self._heads))
        read = self._product("rhqk,rkhu->rqhu", probabilities, values)
        out = self._out(tf.reshape(read, (-1, *self._shape[:2], self._filters)))
        return x + tf.convert_to_tensor(self.gain.value) * out

    def _of_heads(self, features):
        """[rows, height, width, filters] to [rows, places, heads, units]."""
        units = self._filters // self._heads
        return tf.reshape(features, (-1, self._places, self._heads, units))

    def _product(self, equation, a, b):
        dtype = self._compute.product_dtype
        return tf.cast(tf.einsum(equation, tf.cast(a, dtype), tf.cast(b, dtype)), a.dtype)
