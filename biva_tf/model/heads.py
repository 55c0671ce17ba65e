"""What a stage has beside its blocks: a latent's Gaussian, a latent as a map, the classifier."""

import math
from typing import Any

import keras
import tensorflow as tf

from biva_tf.model.blocks import MapShape
from biva_tf.model.distributions import DiagonalGaussian
from biva_tf.model.kinds import LatentKind
from biva_tf.model.noise import Noise
from biva_tf.model.spec import Classes, ConvLatent, DenseLatent
from biva_tf.nn.weight_norm import Conv2D, Dense

_LOG_VARIANCE_FLOOR = 1e-8  # the original's eps


class GaussianHead(keras.layers.Layer):
    """The Gaussian of a latent: a layer for its mean and a layer for its log-variance.

    Args:
      latent: dense (the features are flattened) or convolutional.
      in_shape: the shape of the features.
      log_variance: "softplus" or "free"; see `ModelSpec`.
      floor, ceiling: the bounds of the log-variance; None: it has none.
      name: the scope of the original's variables.
    """

    def __init__(
        self,
        latent: LatentKind,
        in_shape: MapShape,
        log_variance: str,
        floor: float | None,
        ceiling: float | None,
        *,
        name: str,
    ):
        super().__init__(name=name)
        self._softplus, self._bounds = log_variance == "softplus", (floor, ceiling)
        self._flat_size = math.prod(in_shape) if isinstance(latent, DenseLatent) else None
        self.in_shape, self.latent_shape = in_shape, latent.shape(in_shape)

        def layer(scope):
            if isinstance(latent, DenseLatent):
                return Dense(self._flat_size, latent.units, name=scope)
            if isinstance(latent, ConvLatent):
                return Conv2D(in_shape, latent.channels, latent.kernel, name=scope)
            raise NotImplementedError(f"no Gaussian is made of {latent!r}")

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
        return DiagonalGaussian(self._mean(h), bounded(log_variance, *self._bounds))


def bounded(log_variance: tf.Tensor, floor: float | None, ceiling: float | None) -> tf.Tensor:
    """A log-variance between the bounds that there are; between them, the same bits.

    Beyond a bound there is no gradient.
    """
    if floor is not None:
        log_variance = tf.maximum(log_variance, floor)
    return log_variance if ceiling is None else under_ceiling(log_variance, ceiling)


def under_ceiling(log_variance: tf.Tensor, ceiling: float) -> tf.Tensor:
    """A log-variance that does not exceed the ceiling; below it, the same bits.

    Above it there is no gradient. A smooth bound, c - 1 + x / (1 + x) of the excess x over c - 1,
    which always has one, was compared in trainings of digits whose log-variances the ceiling held
    down: the test ELBO was -84.37 in place of -84.36 nats with c = 2, -83.53 in place of -83.52
    with c = 3.5 (-83.53 without a ceiling). It is not the identity below c.
    """
    return tf.minimum(log_variance, ceiling)


def make(
    latent: LatentKind,
    in_shape: MapShape,
    log_variance: str,
    floor: float | None,
    ceiling: float | None,
    *,
    name: str,
) -> Any:
    """The layer of a latent's prior or posterior: features [rows, *in_shape] to a distribution.

    It has the attributes `in_shape` and `latent_shape`.

    Args:
      latent: the latent's spec. Its own `make`, if it has one, gets the shape and the name.
      in_shape: the shape of the features.
      log_variance, floor, ceiling: as those of `GaussianHead`.
      name: the name of the layer, with which the names of the layers in it begin.
    """
    if not latent.makes_itself():
        return GaussianHead(latent, in_shape, log_variance, floor, ceiling, name=name)
    layer = latent.make(in_shape, name=name)
    layer.in_shape, layer.latent_shape = in_shape, latent.shape(in_shape)
    return layer


class Classifier(keras.layers.Layer):
    """q(y|features): a hidden layer, dropout in training, and a logit for each class.

    Args:
      classes: their number, and the units of the hidden layer.
      in_shape: the shape of the features.
      dropout: the dropout rate.
    """

    def __init__(self, classes: Classes, in_shape: MapShape, dropout: float, *, name: str):
        super().__init__(name=name)
        self._size, self._dropout = math.prod(in_shape), dropout
        units = classes.classifier_units
        self._hidden = Dense(self._size, units, name=f"{name}_hidden")
        self._logits = Dense(units, classes.number, name=f"{name}_logits")
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
      name: the scope of the original's variables.
    """

    def __init__(self, in_shape: tuple[int, ...], map_shape: MapShape, *, name: str):
        super().__init__(name=name)
        self._dense = None
        self.out_shape: Any = in_shape
        if len(in_shape) == 1:
            self._dense = Dense(in_shape[0], math.prod(map_shape), name=name)
            self.out_shape = map_shape
        self.built = True

    def call(self, z: tf.Tensor) -> tf.Tensor:
        """z [rows, *in_shape] to [rows, *out_shape]."""
        if self._dense is None:
            return z
        return tf.reshape(self._dense(z), (-1, *self.out_shape))
