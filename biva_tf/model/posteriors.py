"""The posteriors of the latents: of z_i^bu and z_L from the bottom-up pass alone, of z_i^td from
both passes."""

from typing import Any

import keras
import tensorflow as tf

from biva_tf.model import blocks, heads, scopes
from biva_tf.model.blocks import MapShape
from biva_tf.model.distributions import DiagonalGaussian
from biva_tf.model.heads import Classifier, GaussianHead, bounded
from biva_tf.model.noise import Noise
from biva_tf.model.spec import Branch, ModelSpec


def head(spec: ModelSpec, level: int, features_shape: MapShape, name: str) -> Any:
    """The layer of a prior or a posterior of a latent of a level; see `heads.make`."""
    return heads.make(
        spec.stages[level - 1].latent,
        features_shape,
        spec.log_variance,
        spec.log_variance_floor,
        spec.log_variance_ceiling,
        name=name,
    )


class TopPosterior(keras.layers.Layer):
    """q(z_L | x, z_{<L}^bu), from td_L and bu_L merged by a block; and q(y | x, z_{<L}^bu).

    Args:
      spec: the model's spec.
      in_shape: the shape of td_L and bu_L on top of each other.
    """

    def __init__(self, spec: ModelSpec, in_shape: MapShape):
        level = spec.num_levels
        super().__init__(name="top_posterior")
        self.merge = blocks.make(
            spec.stages[-1].blocks[-1].at_one_size(),
            in_shape,
            dropout=spec.dropout_inference,
            name=scopes.TOP_MERGE,
        )
        features = self.features_shape = self.merge.out_shape
        self.head = head(spec, level, features, scopes.posterior(Branch.TOP, level))
        self.latent_shape = self.head.latent_shape
        self.classifier: Classifier | None = None  # of a spec with classes
        if spec.classes is not None:
            rate, name = spec.dropout_inference, scopes.CLASSIFIER
            self.classifier = Classifier(spec.classes, features, rate, name=name)
        self.built = True

    def call(
        self, merged: tf.Tensor, *, noise: Noise, training: bool = False
    ) -> tuple[DiagonalGaussian, tf.Tensor | None]:
        """The posterior of z_L, and the logits of that of y: [rows, classes], or None."""
        features = self.merge(merged, noise=noise, training=training)
        if self.classifier is None:
            return self.head(features), None
        logits = self.classifier(features, noise=noise, training=training)
        return self.head(features), logits


class TopDownPosterior(keras.layers.Layer):
    """q(z_i^td | x, z_{<i}^bu, z_{>i}): a block reads td_i and, as its skip connection, d_{i+1}.

    Args:
      spec: the model's spec.
      level: i.
      td_shape: the shape of td_i.
      d_shape: the shape of d_{i+1}.
    """

    def __init__(self, spec: ModelSpec, level: int, td_shape: MapShape, d_shape: MapShape):
        super().__init__(name=f"top_down_posterior_{level}")
        # As in the original, the block is the first one of the stage above.
        block = spec.stages[level].blocks[0]
        self.merge = blocks.make(
            block.at_one_size(),
            td_shape,
            d_shape,
            dropout=spec.dropout_generative,
            name=scopes.top_down_merge(level),
        )
        self.features_shape = self.merge.out_shape
        self.head = self.make_head(spec, scopes.posterior(Branch.TOP_DOWN, level), level)
        self.built = True

    def make_head(self, spec: ModelSpec, name: str, level: int) -> Any:
        """The layer that gives a distribution from the map of the block."""
        return head(spec, level, self.features_shape, name)

    def call(
        self,
        td: tf.Tensor,
        d: tf.Tensor,
        *,
        prior: DiagonalGaussian,
        noise: Noise,
        training: bool = False,
    ) -> DiagonalGaussian:
        """The posterior, from td_i, d_{i+1} and p(z_i^td | z_{>i})."""
        return self.head(self.merge(td, tf.nn.elu(d), noise=noise, training=training))


class ResidualPosterior(TopDownPosterior):
    """As `TopDownPosterior`; its head gives what is added to the prior's mean and log-variance.

    The posterior of NVAE (Vahdat & Kautz 2020): N(mean + a, variance * exp(b)). With a = b = 0 it
    is the prior, bit for bit.
    """

    def __init__(self, spec: ModelSpec, level: int, td_shape: MapShape, d_shape: MapShape):
        super().__init__(spec, level, td_shape, d_shape)
        self._bounds = (spec.log_variance_floor, spec.log_variance_ceiling)

    def make_head(self, spec: ModelSpec, name: str, level: int) -> GaussianHead:
        """A head that gives any numbers, since the bounds are those of the sum."""
        return GaussianHead(
            spec.stages[level - 1].latent, self.features_shape, "free", None, None, name=name
        )

    def call(
        self,
        td: tf.Tensor,
        d: tf.Tensor,
        *,
        prior: DiagonalGaussian,
        noise: Noise,
        training: bool = False,
    ) -> DiagonalGaussian:
        """The posterior, from td_i, d_{i+1} and p(z_i^td | z_{>i})."""
        added = super().call(td, d, prior=prior, noise=noise, training=training)
        log_variance = prior.log_variance + added.log_variance
        log_variance = bounded(log_variance, *self._bounds)
        return DiagonalGaussian(prior.mean() + added.mean(), log_variance)


def top_down(
    spec: ModelSpec, level: int, td_shape: MapShape, d_shape: MapShape
) -> TopDownPosterior:
    """The top-down posterior that the spec asks for."""
    of = ResidualPosterior if spec.posterior == "residual" else TopDownPosterior
    return of(spec, level, td_shape, d_shape)
