"""The stages of the two passes: each makes its layers, and knows the shapes that flow through it.

Layers bear the scopes of the original's variables as their names, so that its weights and ours
have the same names (`BIVA/<layer name>/{V,g,b}`).
"""

import dataclasses
from typing import NamedTuple

import keras
import tensorflow as tf

from biva_tf.blocks import GatedBlock, GaussianHead, MapShape, ToMap
from biva_tf.distributions import DiagonalGaussian
from biva_tf.noise import Noise
from biva_tf.spec import BlockSpec, Branch, ModelSpec, StageSpec


class Chains(NamedTuple):
    """The maps of the two chains of the bottom-up pass at one level.

    `bu` leads to the bottom-up latents; `td` is what the top-down posteriors read. It is None where
    there are none of those.
    """

    bu: tf.Tensor
    td: tf.Tensor | None


class InferenceStage(keras.layers.Layer):
    """Level i of the bottom-up pass: two chains of blocks, and the latent they lead to.

    Below the top, the latent is z_i^bu and `latent_map` is what the next stage goes on from; where
    the spec has no bottom-up latents, the next stage goes on from bu_i itself. At the top, a last
    block merges the chains and the latent is z_L.

    Args:
      spec: of the model.
      below: the stage of level i-1, or None at level 1.
    """

    def __init__(self, spec: ModelSpec, below: "InferenceStage | None"):
        self.level = 1 if below is None else below.level + 1
        super().__init__(name=f"inference_{self.level}")
        stage = spec.stages[self.level - 1]
        bu_in = td_in = spec.image_shape
        skip_shape = None
        if below is not None:
            bu_in, td_in = below.bu_out_shape, below.td_shape
            skip_shape = below.skip_shape
        self.bu_blocks = self._chain(spec, stage, "bottom_up", bu_in, skip_shape)
        bu_shape = self.bu_blocks[-1].out_shape
        self.td_blocks, self.td_shape, self.skip_shape = None, None, None
        if Branch.TOP_DOWN in spec.branches:
            self.td_blocks = self._chain(spec, stage, "top_down", td_in, bu_shape)
            self.td_shape = self.td_blocks[-1].out_shape
            self.skip_shape = (*bu_shape[:2], bu_shape[2] + self.td_shape[2])
        self.merge, self.posterior, self.latent_map = None, None, None
        self.features_shape, self.bu_out_shape = bu_shape, bu_shape
        scope = f"qz_bottom_up_{self.level}"
        if self.level == spec.num_levels:
            self.merge = GatedBlock(
                dataclasses.replace(stage.blocks[-1], stride=(1, 1)),
                self.skip_shape or bu_shape,
                dropout=spec.dropout_inference,
                name="deterministic_top",
            )
            self.features_shape = self.merge.out_shape
            scope = f"qz_top_{self.level}"
        elif Branch.BOTTOM_UP not in spec.branches:
            return
        self.posterior = GaussianHead(
            stage.latent, self.features_shape, spec.log_variance, name=scope
        )
        if self.merge is None:
            self.latent_map = ToMap(
                self.posterior.latent_shape, bu_shape, name=f"dense2conv_bottom_up_{self.level}"
            )
            self.bu_out_shape = self.latent_map.out_shape

    def _chain(self, spec: ModelSpec, stage: StageSpec, kind: str, shape, aux_shape):
        blocks = []
        for j, block in enumerate(stage.blocks):
            blocks.append(
                GatedBlock(
                    block,
                    shape,
                    aux_shape,
                    residual=(self.level, j) != (1, 0),  # not from the image itself
                    dropout=spec.dropout_inference,
                    name=f"deterministic_{kind}_{self.level - 1}_{j}",
                )
            )
            shape = blocks[-1].out_shape
        return blocks

    def deterministic(self, below: Chains, d_bu: tf.Tensor, noise: Noise, training: bool) -> Chains:
        """The maps (bu_i, td_i) of the two chains.

        Args:
          below: (bu_{i-1}, td_{i-1}); at level 1, the image twice.
          d_bu: what the bottom-up chain goes on from.
          noise, training: of the dropout.
        """
        skip = None
        if self.level > 1 and below.td is not None:
            skip = tf.nn.elu(tf.concat(below, axis=-1))
        for block in self.bu_blocks:
            d_bu = block(d_bu, skip, noise=noise, training=training)
        if self.td_blocks is None:
            return Chains(d_bu, None)
        d_td, skip = below.td, tf.nn.elu(d_bu)
        for block in self.td_blocks:
            d_td = block(d_td, skip, noise=noise, training=training)
        return Chains(d_bu, d_td)

    def infer(self, chains: Chains, noise: Noise, training: bool) -> DiagonalGaussian:
        """The posterior of this level's bottom-up latent, or of z_L, from (bu_i, td_i)."""
        features = chains.bu
        if self.merge is not None:
            merged = features if chains.td is None else tf.concat(chains[::-1], axis=-1)
            features = self.merge(merged, noise=noise, training=training)
        return self.posterior(features)


class GenerativeStage(keras.layers.Layer):
    """Level i of the top-down pass: takes z_i to d_i, which parameterises z_{i-1}, or x if i = 1.

    Args:
      spec: of the model.
      level: i.
      inference: the inference stages, level 1 first; their sizes are retraced upwards.
      above: the stage of level i+1, or None at the top.
    """

    def __init__(
        self,
        spec: ModelSpec,
        level: int,
        inference: list[InferenceStage],
        above: "GenerativeStage | None",
    ):
        super().__init__(name=f"generative_{level}")
        self._skips = spec.generative_skips
        stage = spec.stages[level - 1]
        self.level = level
        retraced = inference[level - 1]
        features_shape = retraced.features_shape
        if above is None:
            latent_shape = retraced.posterior.latent_shape
        else:  # all latents of the level, side by side
            if above.merge is not None:
                features_shape = above.merge.out_shape
            one = above.latent_shape
            latent_shape = (*one[:-1], len(spec.branches) * one[-1])
        self.latent_map = ToMap(latent_shape, features_shape, name=f"dense2conv_{level - 1}")
        shape = self.latent_map.out_shape
        self.blocks = []
        for j, block in enumerate(reversed(stage.blocks)):
            self.blocks.append(
                GatedBlock(
                    block,
                    shape,
                    above.blocks[j].out_shape if above and spec.generative_skips else None,
                    out_size=retraced.bu_blocks[-1 - j].in_shape[:2],
                    residual=j > 0,
                    dropout=spec.dropout_generative,
                    name=f"deterministic_generative_{spec.num_levels - level}_{j}",
                )
            )
            shape = self.blocks[-1].out_shape
        self.priors, self.merge, self.posterior_td = {}, None, None
        if level > 1:
            self._make_heads(spec, stage.blocks[0], inference[level - 2], shape)

    def _make_heads(
        self, spec: ModelSpec, block: BlockSpec, below: InferenceStage, shape: MapShape
    ):
        latent = spec.stages[below.level - 1].latent

        def head(scope, features_shape):
            name = f"{scope}_{below.level}"
            return GaussianHead(latent, features_shape, spec.log_variance, name=name)

        if Branch.BOTTOM_UP in spec.branches:
            self.priors[Branch.BOTTOM_UP.value] = head("pz_bottom_up", shape)
        if Branch.TOP_DOWN in spec.branches:
            self.priors[Branch.TOP_DOWN.value] = head("pz_top_down", shape)
            self.merge = GatedBlock(
                dataclasses.replace(block, stride=(1, 1)),
                below.td_shape,
                shape,
                dropout=spec.dropout_generative,
                name=f"qz_top_down_pz_merge_{below.level}",
            )
            self.posterior_td = head("qz_top_down", self.merge.out_shape)
        self.latent_shape = next(iter(self.priors.values())).latent_shape

    def prior(self, branch: Branch, d: tf.Tensor) -> DiagonalGaussian:
        """The prior of z_{i-1}^branch given d_i."""
        return self.priors[branch.value](d)

    def infer(
        self, td_map: tf.Tensor, d: tf.Tensor, noise: Noise, training: bool
    ) -> DiagonalGaussian:
        """The posterior of z_{i-1}^td, from td_{i-1} of the bottom-up pass and d_i."""
        return self.posterior_td(self.merge(td_map, tf.nn.elu(d), noise=noise, training=training))

    def deterministic(
        self, z: tf.Tensor, skips: list[tf.Tensor] | None, noise: Noise, training: bool
    ) -> list[tf.Tensor]:
        """The output of every block; the last is d_i. `skips` are those of the stage above."""
        d = self.latent_map(z)
        outputs = []
        for j, block in enumerate(self.blocks):
            aux = tf.nn.elu(skips[j]) if skips and self._skips else None
            d = block(d, aux, noise=noise, training=training)
            outputs.append(d)
        return outputs
