"""The top-down stages: the latents of a level, and the way from them to the next level.

Layers bear the scopes of the original's variables as their names; see `bottom_up`.
"""

from collections.abc import Mapping

import keras
import tensorflow as tf

from biva_tf.model import blocks, latents, plans, top_priors
from biva_tf.model.blocks import MapBlock
from biva_tf.model.bottom_up import BottomUpStage, Features
from biva_tf.model.distributions import DiagonalGaussian
from biva_tf.model.heads import GaussianHead, LatentMap
from biva_tf.model.noise import Noise
from biva_tf.model.spec import Branch, LatentSpec, ModelSpec


class TopDownStage(keras.layers.Layer):
    """Level i of the top-down pass: draws the latents of level i and takes them to d_i.

    d_i parameterises the priors of level i-1, or p(x|z) if i = 1.

    Call `resolve` and `deterministic`. It is a Keras layer to hold its layers together.

    Args:
      spec: the model's spec.
      bottom_up: the bottom-up stages, level 1 first. A top-down stage reverses the map sizes of the
        bottom-up stage of its level.
      above: the stage of level i+1, or None at the top.
    """

    def __init__(
        self,
        spec: ModelSpec,
        bottom_up: list[BottomUpStage],
        above: "TopDownStage | None",
    ):
        self.level: int = spec.num_levels if above is None else above.level - 1
        super().__init__(name=f"top_down_{self.level}")
        self.latents = spec.level_latents(self.level)
        reversed_stage = bottom_up[self.level - 1]
        features_shape = reversed_stage.features_shape
        self.priors: dict[str, keras.layers.Layer] = {}
        self.merge: MapBlock = None
        self.posterior: GaussianHead = None
        if above is None:
            self.latent_shape = reversed_stage.posterior.latent_shape
            self.priors[Branch.TOP.value] = top_priors.make(
                spec.top_prior, reversed_stage.posterior, spec.log_variance_ceiling, name="pz_top"
            )
        else:
            self._make_heads(spec, reversed_stage, above)
            if self.merge is not None:
                features_shape = self.merge.out_shape
        self.reads_class = spec.classes is not None and (
            spec.classes.every_level or self.level == 1
        )
        units = len(self.latents) * self.latent_shape[-1]
        units += spec.classes.number if self.reads_class else 0
        all_latents = (*self.latent_shape[:-1], units)
        self.latent_map = LatentMap(
            all_latents, features_shape, name=f"dense2conv_{self.level - 1}"
        )
        self._skips = spec.generative_skips and above is not None
        self.blocks: list[MapBlock] = []
        shape = self.latent_map.out_shape
        for j, block in enumerate(reversed(spec.stages[self.level - 1].blocks)):
            self.blocks.append(
                blocks.make(
                    block,
                    shape,
                    above.blocks[j].out_shape if self._skips else None,
                    out_size=reversed_stage.bu_blocks[-1 - j].in_shape[:2],
                    residual=j > 0,
                    dropout=spec.dropout_generative,
                    name=f"deterministic_generative_{spec.num_levels - self.level}_{j}",
                )
            )
            shape = self.blocks[-1].out_shape
        self.out_shape = shape
        self.build((None, *all_latents))

    @property
    def generative_parts(self) -> list[keras.layers.Layer]:
        """All but the layers of top-down inference."""
        return [*self.priors.values(), self.latent_map, *self.blocks]

    def build(self, input_shape):
        """Does nothing: the constructor made the layers. `summary` needs the call."""

    def compute_output_shape(self, input_shape):
        """The shapes of the map d_i and of the latents of the level, for `summary`."""
        latents = {latent.name: (None, *self.latent_shape) for latent in self.latents}
        return {"map": (None, *self.out_shape), **latents}

    def _make_heads(self, spec: ModelSpec, bottom_up: BottomUpStage, above: "TopDownStage"):
        """The priors given d_{i+1}, and the top-down posterior."""
        latent = spec.stages[self.level - 1].latent

        def head(scope, features_shape):
            name = f"{scope}_{self.level}"
            return GaussianHead(
                latent,
                features_shape,
                spec.log_variance,
                spec.log_variance_ceiling,
                name=name,
            )

        if Branch.BOTTOM_UP in spec.branches:
            self.priors[Branch.BOTTOM_UP.value] = head("pz_bottom_up", above.out_shape)
        if Branch.TOP_DOWN in spec.branches:
            self.priors[Branch.TOP_DOWN.value] = head("pz_top_down", above.out_shape)
            # As in the original, the block is the first one of the stage above.
            block = spec.stages[above.level - 1].blocks[0]
            self.merge = blocks.make(
                block.at_one_size(),
                bottom_up.td_shape,
                above.out_shape,
                dropout=spec.dropout_generative,
                name=f"qz_top_down_pz_merge_{self.level}",
            )
            self.posterior = head("qz_top_down", self.merge.out_shape)
        self.latent_shape = next(iter(self.priors.values())).latent_shape

    def resolve(
        self,
        above: list[tf.Tensor] | None,
        features: Features | None,
        sources: Mapping[LatentSpec, plans.LatentSource],
        rows: int | tf.Tensor,
        noise: Noise,
        training: bool,
    ) -> tuple[latents.LatentStats, ...]:
        """The latents of this level with their values, in the order of `ModelSpec.latents`.

        Args:
          above: the outputs of the blocks of the stage above, the last of which is d_{i+1}; None at
            the top.
          features: the result of the bottom-up pass; None if no latent is drawn from its posterior.
          sources: the source of every latent of the model.
          rows: the batch size.
          noise: the noise of the draws and the dropout.
          training: whether dropout is active.
        """
        d = None if above is None else above[-1]
        stats = []
        for latent in self.latents:
            prior = self.priors[latent.branch.value]
            p = prior(rows=rows) if d is None else prior(d)
            draw = None
            if plans.draws_from_posterior(sources[latent]):
                draw = self._draw_posterior(latent, features, d, noise, training)
            stats.append(latents.resolve(latent, sources[latent], p, draw, noise))
        return tuple(stats)

    def _draw_posterior(
        self, latent: LatentSpec, features: Features, d: tf.Tensor | None, noise: Noise, training
    ) -> latents.Draw:
        match latent.branch:
            case Branch.BOTTOM_UP:
                return features.bottom_up[self.level - 1]
            case Branch.TOP:
                q = features.q_top
            case Branch.TOP_DOWN:
                q = self._infer(features.maps[self.level - 1], d, noise, training)
        return latents.draw_posterior(q, latent, noise)

    def _infer(self, td_map: tf.Tensor, d: tf.Tensor, noise, training) -> DiagonalGaussian:
        """The posterior of z_i^td, from td_i of the bottom-up pass and d_{i+1}."""
        return self.posterior(self.merge(td_map, tf.nn.elu(d), noise=noise, training=training))

    def deterministic(
        self,
        stats: tuple[latents.LatentStats, ...],
        y: tf.Tensor | None,
        above: list[tf.Tensor] | None,
        noise: Noise,
        training: bool,
    ) -> list[tf.Tensor]:
        """The output of every block; the last one is d_i.

        Args:
          stats: the latents of this level.
          y: the class, [rows, classes], if the stage reads it (`reads_class`).
          above: the outputs of the blocks of the stage above, which the skips read; None at the
            top.
          noise: the noise of the dropout.
          training: whether dropout is active.
        """
        # Top-down before bottom-up, as in the original's weights.
        inputs = [latent.z for latent in reversed(stats)]
        if self.reads_class:
            inputs.append(_as_map(y, inputs[0].shape[1:-1]))
        d = self.latent_map(tf.concat(inputs, axis=-1))
        outputs = []
        for j, block in enumerate(self.blocks):
            skip = tf.nn.elu(above[j]) if self._skips else None
            d = block(d, skip, noise=noise, training=training)
            outputs.append(d)
        return outputs


def _as_map(y: tf.Tensor, size: tuple[int, ...]) -> tf.Tensor:
    """[rows, classes] to [rows, *size, classes]."""
    for axis, length in enumerate(size, start=1):
        y = tf.repeat(tf.expand_dims(y, axis), length, axis)
    return y
