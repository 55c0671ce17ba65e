"""What a stage is built of: the gated residual block, a latent's Gaussian, a latent as a map,
the classifier."""

import math
from typing import Any

import keras
import tensorflow as tf

from biva_tf.model.distributions import DiagonalGaussian
from biva_tf.model.noise import Noise
from biva_tf.model.spec import BlockSpec, Classes, DenseLatent, Latent
from biva_tf.nn.compute import Compute
from biva_tf.nn.weight_norm import Conv2D, Deconv2D, Dense

_LOG_VARIANCE_FLOOR = 1e-8  # the original's eps

MapShape = tuple[int, int, int]  # height, width, channels


class GatedBlock(keras.layers.Layer):
    """A gated residual block: out = h1 * sigmoid(h2), plus its input where the shapes allow it.

    Args:
      spec: filters, kernel and stride.
      in_shape: the shape of the input map.
      aux_shape: the shape of the skip connection's map, which may be of another size; or None. The
        caller applies the activation to that map, since several blocks read the same one.
      out_size: None for a bottom-up block, whose stride makes the map smaller; the height and width
        of the output for a transposed block, whose stride makes the map larger.
      residual: whether to add the input to the output. An output that is larger than the input, or
        has fewer channels, never gets it. For a smaller output the input is average-pooled, for one
        with more channels it is zero-padded.
      dropout: the dropout rate between the block's two convolutions, in training.
      compute: how the layers compute.
      name: the scope of the original's variables.
    """

    def __init__(
        self,
        spec: BlockSpec,
        in_shape: MapShape,
        aux_shape: MapShape | None = None,
        *,
        out_size: tuple[int, int] | None = None,
        residual: bool = True,
        dropout: float = 0.0,
        compute: Compute,
        name: str,
    ):
        super().__init__(name=name)
        self.in_shape = in_shape
        self._dropout = dropout
        self._stride = spec.stride
        filters, kernel = spec.filters, spec.kernel
        self._conv_in = Conv2D(in_shape, filters, kernel, compute=compute, name=f"{name}_conv_in")
        self._aux = None
        if aux_shape is not None:
            self._aux = _resize_layer(spec, aux_shape, in_shape, compute, name)
        scope = f"{name}_conv_out"
        if out_size is None or spec.stride == (1, 1):
            shape = (*in_shape[:2], filters)
            self._conv_out = Conv2D(
                shape, 2 * filters, kernel, spec.stride, compute=compute, name=scope
            )
            (height, width), (down, right) = in_shape[:2], spec.stride
            out_size = math.ceil(height / down), math.ceil(width / right)
        else:
            self._conv_out = Deconv2D(
                filters, 2 * filters, kernel, spec.stride, out_size, compute=compute, name=scope
            )
        self.out_shape = (*out_size, filters)
        larger = any(o > i for o, i in zip(out_size, in_shape, strict=False))
        self._residual = residual and not larger and filters >= in_shape[2]
        self.built = True

    def call(
        self, x: tf.Tensor, aux: tf.Tensor | None = None, *, noise: Noise, training: bool = False
    ) -> tf.Tensor:
        """x [rows, *in_shape], elu(aux) [rows, *aux_shape] or None, to [rows, *out_shape]."""
        out = self._conv_in(tf.nn.elu(x))
        if self._aux is not None:
            out += self._aux(aux)
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


def _resize_layer(spec: BlockSpec, shape: MapShape, target: MapShape, compute: Compute, name: str):
    """The layer that takes an aux map of `shape` to the size of `target`, with spec.filters."""
    if shape[:2] == target[:2]:
        return Dense(shape[2], spec.filters, compute=compute, name=f"{name}_conv_aux")
    if shape[0] >= target[0] and shape[1] >= target[1]:
        stride = [math.ceil(a / t) for a, t in zip(shape[:2], target[:2], strict=True)]
        scope = f"{name}_conv_downsample_aux"
        return Conv2D(shape, spec.filters, spec.kernel, stride, compute=compute, name=scope)
    stride = [math.ceil(t / a) for a, t in zip(shape[:2], target[:2], strict=True)]
    scope = f"{name}_conv_upsample_aux"
    return Deconv2D(
        shape[2], spec.filters, spec.kernel, stride, target[:2], compute=compute, name=scope
    )


class GaussianHead(keras.layers.Layer):
    """The Gaussian of a latent: a layer for its mean and a layer for its log-variance.

    Args:
      latent: dense (the features are flattened) or convolutional.
      in_shape: the shape of the features.
      log_variance: "softplus" or "free"; see `ModelSpec`.
      ceiling: what the log-variance does not exceed; None: it has no bound.
      compute: how the layers compute.
      name: the scope of the original's variables.
    """

    def __init__(
        self,
        latent: Latent,
        in_shape: MapShape,
        log_variance: str,
        ceiling: float | None,
        *,
        compute: Compute,
        name: str,
    ):
        super().__init__(name=name)
        self._softplus, self._ceiling = log_variance == "softplus", ceiling
        self._flat_size = math.prod(in_shape) if isinstance(latent, DenseLatent) else None
        self.latent_shape = latent_shape(latent, in_shape)

        def layer(scope):
            if isinstance(latent, DenseLatent):
                return Dense(self._flat_size, latent.units, compute=compute, name=scope)
            return Conv2D(in_shape, latent.channels, latent.kernel, compute=compute, name=scope)

        self._mean = layer(f"{name}_mean")
        self._log_variance = layer(f"{name}_var")
        self.built = True

    def call(self, features: tf.Tensor) -> DiagonalGaussian:
        """Features [rows, *in_shape] to a Gaussian over [rows, *latent_shape]."""
        h = tf.nn.elu(features)
        if self._flat_size is not None:
            h = tf.reshape(h, (-1, self._flat_size))
        log_variance = self._log_variance(h)
        if self._softplus:
            log_variance = tf.math.softplus(log_variance) + _LOG_VARIANCE_FLOOR
        if self._ceiling is not None:
            log_variance = under_ceiling(log_variance, self._ceiling)
        return DiagonalGaussian(self._mean(h), log_variance)


def under_ceiling(log_variance: tf.Tensor, ceiling: float) -> tf.Tensor:
    """A log-variance that does not exceed the ceiling; below it, the same bits.

    Above it there is no gradient. A smooth bound, c - 1 + x / (1 + x) of the excess x over c - 1,
    which always has one, was compared in trainings of digits whose log-variances the ceiling held
    down: the test ELBO was -84.37 in place of -84.36 nats with c = 2, -83.53 in place of -83.52
    with c = 3.5 (-83.53 without a ceiling). It is not the identity below c.
    """
    return tf.minimum(log_variance, ceiling)


def latent_shape(latent: Latent, in_shape: MapShape) -> tuple[int, ...]:
    """The shape, per example, of a latent that is inferred from features of `in_shape`."""
    if isinstance(latent, DenseLatent):
        return (latent.units,)
    return (*in_shape[:2], latent.channels)


class Classifier(keras.layers.Layer):
    """q(y|features): a hidden layer, dropout in training, and a logit for each class.

    Args:
      classes: their number, and the units of the hidden layer.
      in_shape: the shape of the features.
      dropout: the dropout rate.
      compute: how the layers compute.
    """

    def __init__(
        self, classes: Classes, in_shape: MapShape, dropout: float, *, compute: Compute, name: str
    ):
        super().__init__(name=name)
        self._size, self._dropout = math.prod(in_shape), dropout
        units = classes.classifier_units
        self._hidden = Dense(self._size, units, compute=compute, name=f"{name}_hidden")
        self._logits = Dense(units, classes.number, compute=compute, name=f"{name}_logits")
        self.built = True

    def call(self, features: tf.Tensor, *, noise: Noise, training: bool = False) -> tf.Tensor:
        """Features [rows, *in_shape] to logits [rows, classes]."""
        h = self._hidden(tf.reshape(tf.nn.elu(features), (-1, self._size)))
        h = tf.nn.elu(h)
        if training and self._dropout:
            shape = (tf.shape(h)[0], *h.shape[1:])
            h *= noise.dropout_mask(f"{self.name}/dropout", self._dropout, shape)
        return self._logits(h)


class StandardGaussian(keras.layers.Layer):
    """The prior of the top latent: N(0, I) over [rows, *latent_shape]."""

    def __init__(self, latent_shape: tuple[int, ...], *, name: str):
        super().__init__(name=name)
        self.latent_shape = latent_shape
        self.built = True

    def call(self, rows: int | tf.Tensor) -> DiagonalGaussian:
        """The prior of a batch of `rows`."""
        zeros = tf.zeros((rows, *self.latent_shape))
        return DiagonalGaussian(zeros, zeros)


class LatentMap(keras.layers.Layer):
    """A latent as a map: a dense latent through a dense layer and a reshape, a map as it is.

    Args:
      in_shape: the shape of the latent's value, per example.
      map_shape: the shape of the map that a dense latent becomes.
      compute: how the layers compute.
      name: the scope of the original's variables.
    """

    def __init__(
        self, in_shape: tuple[int, ...], map_shape: MapShape, *, compute: Compute, name: str
    ):
        super().__init__(name=name)
        self._dense = None
        self.out_shape: Any = in_shape
        if len(in_shape) == 1:
            self._dense = Dense(in_shape[0], math.prod(map_shape), compute=compute, name=name)
            self.out_shape = map_shape
        self.built = True

    def call(self, z: tf.Tensor) -> tf.Tensor:
        """z [rows, *in_shape] to [rows, *out_shape]."""
        if self._dense is None:
            return z
        return tf.reshape(self._dense(z), (-1, *self.out_shape))
