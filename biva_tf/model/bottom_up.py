"""The bottom-up stages, and what the bottom-up pass gives.

Layers bear the scopes of the original's variables as their names, so that its weights and ours have
the same names (`BIVA/<layer name>/{V,g,b}`).
"""

import dataclasses
from typing import NamedTuple

import keras
import tensorflow as tf

from biva_tf.model import blocks, latents
from biva_tf.model.blocks import MapShape
from biva_tf.model.distributions import DiagonalGaussian
from biva_tf.model.heads import Classifier, GaussianHead, LatentMap
from biva_tf.model.noise import Noise
from biva_tf.model.spec import Branch, ModelSpec, StageSpec


class Chains(NamedTuple):
    """The maps of the two chains of blocks of the bottom-up pass at one level.

    `bu` leads to the bottom-up latents; the top-down posteriors read `td`, which is None where
    there are no such posteriors.
    """

    bu: tf.Tensor
    td: tf.Tensor | None


@dataclasses.dataclass(frozen=True)
class Inferred:
    """What a stage infers.

    Attributes:
      q: the posterior of its latent.
      class_logits: of q(y | x, z_{<L}^bu), [rows, classes], at the top of a spec with classes; else
        None.
    """

    q: DiagonalGaussian
    class_logits: tf.Tensor | None


@dataclasses.dataclass(frozen=True)
class ImageFeatures:
    """What the bottom-up pass computes before its first draw, from the images alone.

    All importance samples of an image share it.

    Attributes:
      chains: the chains of the levels computed so far: level 1 if it has a bottom-up latent, else
        all levels.
      q: the posterior of the latent that is drawn first.
      class_logits: as in `Features`, if the bottom-up pass draws no latent.
    """

    chains: tuple[Chains, ...]
    q: DiagonalGaussian
    class_logits: tf.Tensor | None = None

    def tiled(self, copies: int | tf.Tensor) -> "ImageFeatures":
        """The features of `copies` of the batch, one copy after the other."""

        if isinstance(copies, int) and copies == 1:
            return self

        def tile(t):
            return None if t is None else tf.tile(t, [copies, *[1] * (t.shape.rank - 1)])

        chains = tuple(Chains(*map(tile, maps)) for maps in self.chains)
        q = DiagonalGaussian(tile(self.q.mean()), tile(self.q.log_variance))
        return ImageFeatures(chains, q, tile(self.class_logits))


@dataclasses.dataclass(frozen=True)
class Features:
    """What the bottom-up pass gives to the top-down pass.

    Attributes:
      maps: td_i of each level, level 1 first; the top-down posteriors read them.
      bottom_up: the draws of z_1^bu ... z_{L-1}^bu; empty if the spec has no bottom-up latents.
      q_top: q(z_L | x, z_{<L}^bu).
      class_logits: of q(y | x, z_{<L}^bu), [rows, classes]; None if the spec has no classes.
    """

    maps: tuple[tf.Tensor | None, ...]
    bottom_up: tuple[latents.Draw, ...]
    q_top: DiagonalGaussian
    class_logits: tf.Tensor | None = None

    def gather(self, rows: tf.Tensor) -> "Features":
        """The features of some rows, in their order."""
        maps = tuple(None if m is None else tf.gather(m, rows) for m in self.maps)
        draws = tuple(draw.gather(rows) for draw in self.bottom_up)
        logits = None if self.class_logits is None else tf.gather(self.class_logits, rows)
        return Features(maps, draws, self.q_top.gather(rows), logits)


class BottomUpStage(keras.layers.Layer):
    """Level i of the bottom-up pass: two chains of blocks, and the latent they lead to.

    Below the top, that latent is z_i^bu, and the input of the next stage is z_i^bu as a map
    (`latent_map`). If the spec has no bottom-up latents, the input of the next stage is bu_i. At
    the top, a last block merges the chains, and the latent is z_L; the classifier is there, too.

    Call `deterministic`, `infer` and `draw`. It is a Keras layer to hold its layers together.

    Args:
      spec: the model's spec.
      below: the stage of level i-1, or None at level 1.
    """

    td_shape: MapShape
    skip_shape: MapShape
    bu_out_shape: MapShape

    def __init__(self, spec: ModelSpec, below: "BottomUpStage | None"):
        self.level: int = 1 if below is None else below.level + 1
        super().__init__(name=f"bottom_up_{self.level}")
        stage = spec.stages[self.level - 1]
        bu_in = td_in = spec.input_shape
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
        self.merge, self.posterior, self.latent_map, self.classifier = None, None, None, None
        self.features_shape, self.bu_out_shape = bu_shape, bu_shape
        self._latent = spec.level_latents(self.level)[0]  # the bottom-up one, where there are two
        if self._latent.branch is Branch.TOP:
            self.merge = blocks.make(
                stage.blocks[-1].at_one_size(),
                self.skip_shape or bu_shape,
                dropout=spec.dropout_inference,
                name="deterministic_top",
            )
            self.features_shape = self.merge.out_shape
            self.posterior = self._head(spec, f"qz_top_{self.level}")
            if spec.classes is not None:
                self.classifier = Classifier(
                    spec.classes,
                    self.features_shape,
                    spec.dropout_inference,
                    name="qy",
                )
        elif self._latent.branch is Branch.BOTTOM_UP:
            self.posterior = self._head(spec, f"qz_bottom_up_{self.level}")
            self.latent_map = LatentMap(
                self.posterior.latent_shape,
                bu_shape,
                name=f"dense2conv_bottom_up_{self.level}",
            )
            self.bu_out_shape = self.latent_map.out_shape
        self.build((None, *bu_in))

    def build(self, input_shape):
        """Does nothing: the constructor made the layers. `summary` needs the call."""

    def compute_output_shape(self, input_shape):
        """The shapes of the map and of the latent that it leads to, for `summary`."""
        shapes = {"map": (None, *self.features_shape)}
        if self.posterior is not None:
            shapes[self._latent.name] = (None, *self.posterior.latent_shape)
        return shapes

    def _chain(self, spec: ModelSpec, stage: StageSpec, kind: str, shape, skip_shape):
        chain = []
        for j, block in enumerate(stage.blocks):
            chain.append(
                blocks.make(
                    block,
                    shape,
                    skip_shape,
                    residual=(self.level, j) != (1, 0),  # the first block reads the image itself
                    dropout=spec.dropout_inference,
                    name=f"deterministic_{kind}_{self.level - 1}_{j}",
                )
            )
            shape = chain[-1].out_shape
        return chain

    def _head(self, spec: ModelSpec, scope: str) -> GaussianHead:
        latent = spec.stages[self.level - 1].latent
        return GaussianHead(
            latent,
            self.features_shape,
            spec.log_variance,
            spec.log_variance_ceiling,
            name=scope,
        )

    def deterministic(self, below: Chains, d_bu: tf.Tensor, noise: Noise, training: bool) -> Chains:
        """The maps (bu_i, td_i) of the two chains.

        Args:
          below: (bu_{i-1}, td_{i-1}); at level 1, the image twice.
          d_bu: the input of the bottom-up chain.
          noise: the noise of the dropout.
          training: whether dropout is active.
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

    def infer(self, chains: Chains, noise: Noise, training: bool) -> Inferred:
        """The posterior of z_i^bu, from bu_i; at the top those of z_L and y, from both maps."""
        features = chains.bu
        if self.merge is not None:
            # Top-down before bottom-up, as in the original's weights.
            merged = features if chains.td is None else tf.concat(chains[::-1], axis=-1)
            features = self.merge(merged, noise=noise, training=training)
        logits = None
        if self.classifier is not None:
            logits = self.classifier(features, noise=noise, training=training)
        return Inferred(self.posterior(features), logits)

    def draw(self, q: DiagonalGaussian, noise: Noise) -> latents.Draw:
        """A draw of z_i^bu from its posterior."""
        return latents.draw_posterior(q, self._latent, noise)
