"""The bottom-up stages, and what the bottom-up pass gives.

    level   input              maps                                        latent
    1       x                  bu_1 = blocks(x)                            z_1^bu ~ q(. | bu_1)
                               td_1 = blocks(x | bu_1)
    i       z_{i-1}^bu         bu_i = blocks(input | bu_{i-1}, td_{i-1})   z_i^bu ~ q(. | bu_i)
                               td_i = blocks(td_{i-1} | bu_i)
    L                                                                      z_L ~ q(. | td_L, bu_L)

What stands after | is read by all blocks of a chain, as a skip connection. That is BIVA
("bidirectional"). A model of "top_down" inference (LVAE) draws z_L alone, and the input of stage i
is bu_{i-1}. One of "bottom_up" inference (VAE) has no td_i.
"""

import dataclasses
from typing import Any, NamedTuple

import keras
import tensorflow as tf

from biva_tf.model import latent_distributions, latents, posteriors, scopes
from biva_tf.model.blocks import MapShape
from biva_tf.model.chains import inference_chain
from biva_tf.model.heads import LatentMap
from biva_tf.model.latent_distributions import LatentDistribution
from biva_tf.model.noise import Noise
from biva_tf.model.spec import Branch, LatentSpec, ModelSpec


class Maps(NamedTuple):
    """bu_i and td_i of a level: the maps, or their shapes. Without top-down posteriors td is None.

    For level 0, both are the image.
    """

    bu: Any
    td: Any


@dataclasses.dataclass(frozen=True)
class BottomUpLevel:
    """What a bottom-up stage gives.

    Attributes:
      maps: bu_i and td_i.
      q: the posterior of the latent of the level that the bottom-up pass draws; None if it draws
        none here.
      class_logits: of q(y | x, z_{<L}^bu), [rows, classes], at the top of a spec with classes; else
        None.
    """

    maps: Maps
    q: LatentDistribution | None = None
    class_logits: tf.Tensor | None = None


@dataclasses.dataclass(frozen=True)
class ImageFeatures:
    """What the bottom-up pass computes before its first draw, from the images alone.

    All importance samples of an image share it.

    Attributes:
      maps: bu_i and td_i of the levels computed so far: level 1 if it has a bottom-up latent, else
        all levels.
      q: the posterior of the latent that is drawn first.
      class_logits: as in `Features`, if the bottom-up pass draws no latent.
    """

    maps: tuple[Maps, ...]
    q: LatentDistribution
    class_logits: tf.Tensor | None = None

    def tiled(self, copies: int | tf.Tensor) -> "ImageFeatures":
        """The features of `copies` of the batch, one copy after the other."""

        if isinstance(copies, int) and copies == 1:
            return self

        def tile(t):
            return None if t is None else tf.tile(t, [copies, *[1] * (t.shape.rank - 1)])

        maps = tuple(Maps(*map(tile, level)) for level in self.maps)
        q = latent_distributions.tiled(self.q, copies)
        return ImageFeatures(maps, q, tile(self.class_logits))


@dataclasses.dataclass(frozen=True)
class Features:
    """What the bottom-up pass gives to the top-down pass.

    Attributes:
      td: td_i of each level, level 1 first; the top-down posteriors read them.
      bottom_up: the draws of z_1^bu ... z_{L-1}^bu; empty if the spec has no bottom-up latents.
      q_top: q(z_L | x, z_{<L}^bu).
      class_logits: of q(y | x, z_{<L}^bu), [rows, classes]; None if the spec has no classes.
    """

    td: tuple[tf.Tensor | None, ...]
    bottom_up: tuple[latents.Draw, ...]
    q_top: LatentDistribution
    class_logits: tf.Tensor | None = None

    def gather(self, rows: tf.Tensor) -> "Features":
        """The features of some rows, in their order."""
        td = tuple(None if m is None else tf.gather(m, rows) for m in self.td)
        draws = tuple(draw.gather(rows) for draw in self.bottom_up)
        logits = None if self.class_logits is None else tf.gather(self.class_logits, rows)
        q_top = latent_distributions.gather(self.q_top, rows)
        return Features(td, draws, q_top, logits)


class OneChain(keras.layers.Layer):
    """bu_i alone, where the inference is bottom-up.

    Args:
      spec: the model's spec.
      level: i.
      in_shape: the shape of the map that the chain begins with.
      below: the shapes of bu_{i-1} and td_{i-1}.

    Attributes:
      shapes: the shapes of the maps.
      bu: the chain to bu_i.
    """

    def __init__(self, spec: ModelSpec, level: int, in_shape: MapShape, below: Maps):
        super().__init__(name=f"maps_{level}")
        self.bu = inference_chain(spec, Branch.BOTTOM_UP, level, in_shape, None)
        self.shapes = Maps(self.bu.out_shape, None)
        self.built = True

    def call(self, x: tf.Tensor, *, below: Maps, noise: Noise, training: bool = False) -> Maps:
        """The maps, from the map that the chain begins with and those of the level below."""
        return Maps(self.bu(x, noise=noise, training=training)[-1], None)


class TwoChains(keras.layers.Layer):
    """bu_i, which reads both maps of the level below, and td_i, which reads bu_i.

    Args and attributes are those of `OneChain`, and `td` is the chain to td_i.
    """

    def __init__(self, spec: ModelSpec, level: int, in_shape: MapShape, below: Maps):
        super().__init__(name=f"maps_{level}")
        self.reads_below = level > 1
        skip_shape = stacked(below) if self.reads_below else None
        self.bu = inference_chain(spec, Branch.BOTTOM_UP, level, in_shape, skip_shape)
        bu_shape = self.bu.out_shape
        self.td = inference_chain(spec, Branch.TOP_DOWN, level, below.td, bu_shape)
        self.shapes = Maps(bu_shape, self.td.out_shape)
        self.built = True

    def call(self, x: tf.Tensor, *, below: Maps, noise: Noise, training: bool = False) -> Maps:
        """The maps, from the map that the chain begins with and those of the level below."""
        depth, skips = len(self.bu.blocks), None
        if self.reads_below:
            skips = [tf.nn.elu(tf.concat(below, axis=-1))] * depth
        bu = self.bu(x, skips, noise=noise, training=training)[-1]
        td = self.td(below.td, [tf.nn.elu(bu)] * depth, noise=noise, training=training)[-1]
        return Maps(bu, td)


class DeterministicStage(keras.layers.Layer):
    """Level i of a bottom-up pass that draws no latent here: bu_i and td_i.

    Args:
      spec: the model's spec.
      level: i.
      below: the shapes of bu_{i-1} and td_{i-1}.

    Attributes:
      level: i.
      latent: the latent of the level that the bottom-up pass draws; None.
      in_shape: the shape of what the stage reads, per example.
      entry: that as a map.
      maps: the chains to bu_i and td_i.
      shapes: the shapes of bu_i and td_i.
      features_shape: the shape of the map that the latents of the level are inferred from.
    """

    latent: LatentSpec | None = None

    def __init__(self, spec: ModelSpec, level: int, below: Maps):
        super().__init__(name=f"bottom_up_{level}")
        self.level = level
        self.in_shape: tuple[int, ...] = below.bu
        if level > 1 and Branch.BOTTOM_UP in spec.branches:
            self.in_shape = spec.stages[level - 2].latent.shape(below.bu)
        name = scopes.bottom_up_map(level - 1)
        self.entry = LatentMap(self.in_shape, below.bu, name=name)
        chains = TwoChains if Branch.TOP_DOWN in spec.branches else OneChain
        self.maps = chains(spec, level, self.entry.out_shape, below)
        self.shapes = self.maps.shapes
        self.features_shape: MapShape = self.shapes.bu

    def build(self, input_shape):
        """Does nothing: the constructor made the layers. `summary` needs the call."""

    def compute_output_shape(self, input_shape):
        """The shapes of the map and of the latent that it leads to, for `summary`."""
        shapes = {"map": (None, *self.features_shape)}
        if self.latent is not None:
            shapes[self.latent.name] = (None, *self.posterior.latent_shape)
        return shapes

    def call(
        self, x: tf.Tensor, *, below: Maps, noise: Noise, training: bool = False
    ) -> BottomUpLevel:
        """bu_i and td_i, and the posterior of the latent that they lead to.

        Args:
          x: the image at level 1; then z_{i-1}^bu, or bu_{i-1} if there is none.
          below: bu_{i-1} and td_{i-1}.
          noise: the noise of the dropout.
          training: whether dropout is active.
        """
        maps = self.maps(self.entry(x), below=below, noise=noise, training=training)
        return self.inferred(maps, noise, training)

    def inferred(self, maps: Maps, noise: Noise, training: bool) -> BottomUpLevel:
        """The maps with what is inferred from them: here nothing."""
        return BottomUpLevel(maps)


class StochasticStage(DeterministicStage):
    """Level i below the top of a bottom-up pass that draws z_i^bu here, from bu_i.

    Args and attributes are those of `DeterministicStage`; `posterior` gives q(z_i^bu | bu_i).
    """

    def __init__(self, spec: ModelSpec, level: int, below: Maps):
        super().__init__(spec, level, below)
        self.latent = spec.level_latents(level)[0]  # the bottom-up one, where there are two
        name = scopes.posterior(Branch.BOTTOM_UP, level)
        self.posterior = posteriors.head(spec, level, self.shapes.bu, name)

    def inferred(self, maps: Maps, noise: Noise, training: bool) -> BottomUpLevel:
        """The maps, with q(z_i^bu | bu_i)."""
        return BottomUpLevel(maps, self.posterior(maps.bu))


class TopStage(DeterministicStage):
    """Level L of a bottom-up pass: z_L is drawn from td_L and bu_L.

    Args and attributes are those of `DeterministicStage`; `posterior` gives
    q(z_L | x, z_{<L}^bu) and, of a spec with classes, q(y | x, z_{<L}^bu).
    """

    def __init__(self, spec: ModelSpec, level: int, below: Maps):
        super().__init__(spec, level, below)
        (self.latent,) = spec.level_latents(level)
        self.posterior = posteriors.TopPosterior(spec, stacked(self.shapes))
        self.features_shape = self.posterior.features_shape

    def inferred(self, maps: Maps, noise: Noise, training: bool) -> BottomUpLevel:
        """The maps, with the posteriors of z_L and y."""
        # Top-down before bottom-up, as in the original's weights.
        merged = maps.bu if maps.td is None else tf.concat(maps[::-1], axis=-1)
        return BottomUpLevel(maps, *self.posterior(merged, noise=noise, training=training))


def make_stage(spec: ModelSpec, level: int, below: Maps) -> DeterministicStage:
    """The bottom-up stage of a level, as the spec's inference asks for it."""
    if level == spec.num_levels:
        return TopStage(spec, level, below)
    if Branch.BOTTOM_UP in spec.branches:
        return StochasticStage(spec, level, below)
    return DeterministicStage(spec, level, below)


def stacked(shapes: Maps) -> MapShape:
    """The shape of bu_i and td_i on top of each other; of bu_i if there is no td_i."""
    if shapes.td is None:
        return shapes.bu
    return (*shapes.bu[:2], shapes.bu[2] + shapes.td[2])
