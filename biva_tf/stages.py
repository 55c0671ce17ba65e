"""The stages of the two passes: each makes its layers, and knows the shapes that flow through it.

Layers bear the scopes of the original's variables as their names, so that its weights and ours
have the same names (`BIVA/<layer name>/{V,g,b}`).
"""

import dataclasses

import keras
import tensorflow as tf

from biva_tf.blocks import GatedBlock, GaussianHead, MapShape, ToMap
from biva_tf.noise import Noise
from biva_tf.spec import BlockSpec, ModelSpec, StageSpec


class InferenceStage(keras.layers.Layer):
    """Level i of the bottom-up pass: two chains of blocks, and the latent they lead to.

    Below the top, the latent is z_i^bu and `latent_map` is what the next stage goes on from. At the
    top, a last block merges the chains and the latent is z_L.

    Args:
      spec: of the model.
      level: i.
      bu_shape, td_shape: what enters the chain of bottom-up latents and the other one.
      skip_shape: of the maps of the stage below, concatenated; None at level 1.
    """

    def __init__(
        self,
        spec: ModelSpec,
        level: int,
        bu_shape: MapShape,
        td_shape: MapShape,
        skip_shape: MapShape | None,
    ):
        super().__init__(name=f"inference_{level}")
        stage = spec.stages[level - 1]
        self.level = level
        self.bu_blocks = self._chain(spec, stage, "bottom_up", bu_shape, skip_shape)
        bu_shape = self.bu_blocks[-1].out_shape
        self.td_blocks = self._chain(spec, stage, "top_down", td_shape, bu_shape)
        self.td_shape = self.td_blocks[-1].out_shape
        self.skip_shape = (*bu_shape[:2], bu_shape[2] + self.td_shape[2])
        if level < spec.num_levels:
            self.merge = None
            self.features_shape = bu_shape
            scope = f"qz_bottom_up_{level}"
        else:
            self.merge = GatedBlock(
                dataclasses.replace(stage.blocks[-1], stride=(1, 1)),
                self.skip_shape,
                dropout=spec.dropout_inference,
                name="deterministic_top",
            )
            self.features_shape = self.merge.out_shape
            scope = f"qz_top_{level}"
        self.posterior = GaussianHead(
            stage.latent, self.features_shape, spec.log_variance, name=scope
        )
        self.latent_map = None
        if level < spec.num_levels:
            self.latent_map = ToMap(
                self.posterior.latent_shape, bu_shape, name=f"dense2conv_bottom_up_{level}"
            )

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

    def deterministic(
        self, d_bu: tf.Tensor, d_td: tf.Tensor, skip: tf.Tensor | None, noise: Noise, training: bool
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """The maps (bu_i, td_i) of the two chains."""
        for block in self.bu_blocks:
            d_bu = block(d_bu, skip, noise=noise, training=training)
        for block in self.td_blocks:
            d_td = block(d_td, d_bu, noise=noise, training=training)
        return d_bu, d_td


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
        stage = spec.stages[level - 1]
        self.level = level
        retraced = inference[level - 1]
        latent_shape = retraced.posterior.latent_shape
        features_shape = retraced.features_shape
        if above is not None:  # both latents of the level, inferred from the merged features
            latent_shape = (*latent_shape[:-1], 2 * latent_shape[-1])
            features_shape = above.merge.out_shape
        self.latent_map = ToMap(latent_shape, features_shape, name=f"dense2conv_{level - 1}")
        shape = self.latent_map.out_shape
        self.blocks = []
        for j, block in enumerate(reversed(stage.blocks)):
            self.blocks.append(
                GatedBlock(
                    block,
                    shape,
                    None if above is None else above.blocks[j].out_shape,
                    out_size=retraced.bu_blocks[-1 - j].in_shape[:2],
                    residual=j > 0,
                    dropout=spec.dropout_generative,
                    name=f"deterministic_generative_{spec.num_levels - level}_{j}",
                )
            )
            shape = self.blocks[-1].out_shape
        if level > 1:
            self._make_heads(spec, stage.blocks[0], inference[level - 2], shape)

    def _make_heads(
        self, spec: ModelSpec, block: BlockSpec, below: InferenceStage, shape: MapShape
    ):
        latent = spec.stages[below.level - 1].latent

        def head(scope, features_shape):
            return GaussianHead(latent, features_shape, spec.log_variance, name=scope)

        self.prior_bu = head(f"pz_bottom_up_{below.level}", shape)
        self.prior_td = head(f"pz_top_down_{below.level}", shape)
        self.merge = GatedBlock(
            dataclasses.replace(block, stride=(1, 1)),
            below.td_shape,
            shape,
            dropout=spec.dropout_generative,
            name=f"qz_top_down_pz_merge_{below.level}",
        )
        self.posterior_td = head(f"qz_top_down_{below.level}", self.merge.out_shape)

    def deterministic(
        self, z: tf.Tensor, skips: list[tf.Tensor] | None, noise: Noise, training: bool
    ) -> list[tf.Tensor]:
        """The output of every block; the last is d_i. `skips` are those of the stage above."""
        d = self.latent_map(z)
        outputs = []
        for j, block in enumerate(self.blocks):
            d = block(d, skips[j] if skips else None, noise=noise, training=training)
            outputs.append(d)
        return outputs
