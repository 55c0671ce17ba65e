"""The top-down stages, and the state of the top-down pass.

    level   prior                 posterior                     map
    L       p(z_L), e.g. N(0, I)  q(z_L | x, z_{<L}^bu)         d_L = blocks(z_L)
    i       p(z_i^bu | d_{i+1})   that of the bottom-up pass    d_i = blocks(z_i | d_{i+1})
            p(z_i^td | d_{i+1})   q(z_i^td | td_i, d_{i+1})
    0       p(x | d_1)

Block j of the chain to d_i reads the map of block j of the stage above, as a skip connection. That
is BIVA ("bidirectional"). "top_down" inference (LVAE) has the z_i^td alone, "bottom_up" inference
(VAE) the z_i^bu.
"""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import keras
import tensorflow as tf

from biva_tf.model import latents, plans, posteriors, scopes, top_priors
from biva_tf.model.assignments import Assignment
from biva_tf.model.blocks import MapShape
from biva_tf.model.bottom_up import DeterministicStage, Features
from biva_tf.model.chains import Chain, generative_chain
from biva_tf.model.heads import LatentMap
from biva_tf.model.latent_distributions import LatentDistribution
from biva_tf.model.latents import LatentStats
from biva_tf.model.noise import GatheredNoise, Noise
from biva_tf.model.spec import Branch, LatentSpec, ModelSpec


@dataclasses.dataclass(frozen=True)
class Descent:
    """The state of a top-down pass.

    Attributes:
      rows: the batch size.
      noise: the noise of the draws and the dropout.
      features: the result of the bottom-up pass; None if no latent is drawn from its posterior.
      latents: the latents so far, in the order of `ModelSpec.latents`.
      maps: the maps of the blocks of the stage above, the last of which is d_{i+1}; None at the
        top.
      y: the class, [rows, classes], once it has entered.
    """

    rows: int | tf.Tensor
    noise: Noise
    features: Features | None
    latents: tuple[LatentStats, ...] = ()
    maps: Sequence[tf.Tensor] | None = None
    y: tf.Tensor | None = None

    @property
    def d(self) -> tf.Tensor | None:
        """d_{i+1}, the map that the stage above ended with; None at the top."""
        return None if self.maps is None else self.maps[-1]

    def with_latents(self, level: tuple[LatentStats, ...]) -> "Descent":
        """The state after the latents of a level."""
        return dataclasses.replace(self, latents=(*level, *self.latents))

    def with_maps(self, maps: Sequence[tf.Tensor]) -> "Descent":
        """The state after the maps of a level."""
        return dataclasses.replace(self, maps=maps)

    def with_class(self, classes: Assignment) -> "Descent":
        """The state with y, in the rows that go on with it. Once y is there, it stays as it is."""
        if self.y is not None:
            return self
        if classes.rows is None:
            return dataclasses.replace(self, y=classes.y)
        return Descent(
            rows=tf.shape(classes.y)[0],
            noise=GatheredNoise(self.noise, self.rows, classes.rows),
            features=self.features and self.features.gather(classes.rows),
            latents=tuple(latent.gather(classes.rows) for latent in self.latents),
            maps=self.maps and [tf.gather(m, classes.rows) for m in self.maps],
            y=classes.y,
        )


class LatentLayer(keras.layers.Layer):
    """A latent of a level: its prior, and its value from a source.

    Args:
      latent: the latent.
      prior: the layer that gives its prior.
      latent_shape: the shape of the latent, per example.
      features_shape: the shape of the map that its posterior is made from.

    Its attributes are the arguments.
    """

    def __init__(
        self,
        latent: LatentSpec,
        prior: Any,
        latent_shape: tuple[int, ...],
        features_shape: MapShape,
    ):
        super().__init__(name=latent.name)
        self.latent, self.prior = latent, prior
        self.latent_shape, self.features_shape = latent_shape, features_shape

    def build(self, input_shape):
        """Does nothing: the constructor made the layers."""

    def call(
        self,
        d: tf.Tensor | None,
        *,
        source: plans.LatentSource,
        state: Descent,
        training: bool = False,
    ) -> LatentStats:
        """Its value, from its source, with its prior and, if it is drawn from it, its posterior.

        Args:
          d: d_{i+1}, the map of the level above; None at the top.
          source: where its value comes from.
          state: the state of the pass.
          training: whether dropout is active.
        """
        p, draw = self.prior_given(d, state), None
        if plans.draws_from_posterior(source):
            draw = self.posterior_draw(d, p, state, training)
        return latents.resolve(self.latent, source, p, draw, state.noise)

    def prior_given(self, d: tf.Tensor | None, state: Descent) -> LatentDistribution:
        """Its prior, given d_{i+1}."""
        return self.prior(d)

    def posterior_draw(
        self, d: tf.Tensor | None, p: LatentDistribution, state: Descent, training: bool
    ) -> latents.Draw:
        """Its draw from its posterior, given d_{i+1} and its prior p."""
        raise NotImplementedError


class TopLatent(LatentLayer):
    """z_L: the bottom-up pass gives its posterior.

    Args:
      spec: the model's spec.
      latent: z_L.
      posterior: the layer that gives its posterior in the bottom-up pass.
    """

    def __init__(self, spec: ModelSpec, latent: LatentSpec, posterior: posteriors.TopPosterior):
        bounds = spec.log_variance_floor, spec.log_variance_ceiling
        prior = top_priors.make(spec.top_prior, posterior.head, bounds, name=scopes.TOP_PRIOR)
        super().__init__(latent, prior, posterior.latent_shape, posterior.features_shape)
        self.built = True

    def prior_given(self, d, state):
        """p(z_L), which no map gives."""
        return self.prior(rows=state.rows)

    def posterior_draw(self, d, p, state, training):
        """A draw from q(z_L | x, z_{<L}^bu)."""
        return latents.draw_posterior(state.features.q_top, self.latent, state.noise)


class BottomUpLatent(LatentLayer):
    """z_i^bu, with its prior p(z_i^bu | d_{i+1}): the bottom-up pass draws it from its posterior.

    Args:
      spec: the model's spec.
      latent: z_i^bu.
      d_shape: the shape of d_{i+1}.
      bu_shape: the shape of bu_i.
    """

    def __init__(self, spec: ModelSpec, latent: LatentSpec, d_shape: MapShape, bu_shape: MapShape):
        name = scopes.prior(latent.branch, latent.level)
        prior = posteriors.head(spec, latent.level, d_shape, name)
        super().__init__(latent, prior, prior.latent_shape, bu_shape)
        self.built = True

    def posterior_draw(self, d, p, state, training):
        """The draw of the bottom-up pass."""
        return state.features.bottom_up[self.latent.level - 1]


class TopDownLatent(LatentLayer):
    """z_i^td, with its prior p(z_i^td | d_{i+1}) and its posterior q(z_i^td | td_i, d_{i+1}).

    Args:
      spec: the model's spec.
      latent: z_i^td.
      d_shape: the shape of d_{i+1}.
      td_shape: the shape of td_i.
      make_posterior: makes the layer of the posterior from the spec, i, td_shape and d_shape.
    """

    def __init__(
        self,
        spec: ModelSpec,
        latent: LatentSpec,
        d_shape: MapShape,
        td_shape: MapShape,
        make_posterior: Callable[..., posteriors.TopDownPosterior] = posteriors.top_down,
    ):
        name = scopes.prior(latent.branch, latent.level)
        prior = posteriors.head(spec, latent.level, d_shape, name)
        posterior = make_posterior(spec, latent.level, td_shape, d_shape)
        super().__init__(latent, prior, prior.latent_shape, posterior.features_shape)
        self.posterior = posterior
        self.built = True

    def posterior_draw(self, d, p, state, training):
        """A draw from q(z_i^td | td_i, d_{i+1})."""
        td = state.features.td[self.latent.level - 1]
        q = self.posterior(td, d, prior=p, noise=state.noise, training=training)
        return latents.draw_posterior(q, self.latent, state.noise)


class TopDownStage(keras.layers.Layer):
    """Level i of the top-down pass: its latents, and the chain from them to d_i.

    d_i parameterises the priors of level i-1, or p(x|z) if i = 1. Each of `latents` is called with
    d_{i+1} and gives a latent's value; the stage is called with the values and gives d_i.

    Args:
      spec: the model's spec.
      level: i.
      bottom_up: the bottom-up stage of the level, whose sizes the stage goes through in reverse.
      above: the stage of level i+1, or None at the top.

    Attributes:
      level: i.
      latents: the layers of the latents of the level, in the order of `ModelSpec.latents`.
      latent_shape: the shape of each, per example.
      in_shape: the shape of all of them and the class, per example.
      reads_class: whether the stage reads y.
      latent_map: the latents as a map.
      d: the chain to d_i.
      make_posterior: makes the layer of a top-down posterior; for stages of one's own.
    """

    make_posterior = staticmethod(posteriors.top_down)

    def __init__(
        self,
        spec: ModelSpec,
        level: int,
        bottom_up: DeterministicStage,
        above: "TopDownStage | None",
    ):
        super().__init__(name=f"top_down_{level}")
        self.level = level
        self.latents = self.make_latents(spec, bottom_up, above)
        self.latent_shape: tuple[int, ...] = self.latents[-1].latent_shape
        self.reads_class = spec.class_units(level) > 0
        units = len(self.latents) * self.latent_shape[-1] + spec.class_units(level)
        self.in_shape = (*self.latent_shape[:-1], units)
        features_shape, name = self.latents[-1].features_shape, scopes.generative_map(level)
        self.latent_map = LatentMap(self.in_shape, features_shape, name=name)
        skips = above.d if spec.generative_skips and above is not None else None
        self._skips = skips is not None
        in_shape = self.latent_map.out_shape
        self.d: Chain = generative_chain(spec, level, in_shape, bottom_up.maps.bu, skips)
        self.out_shape = self.d.out_shape

    def make_latents(
        self, spec: ModelSpec, bottom_up: DeterministicStage, above: "TopDownStage | None"
    ) -> list[LatentLayer]:
        """The layers of the latents of the level."""
        made: list[LatentLayer] = []
        for latent in spec.level_latents(self.level):
            match latent.branch:
                case Branch.TOP:
                    made.append(TopLatent(spec, latent, bottom_up.posterior))
                case Branch.BOTTOM_UP:
                    shapes = above.out_shape, bottom_up.shapes.bu
                    made.append(BottomUpLatent(spec, latent, *shapes))
                case Branch.TOP_DOWN:
                    shapes = above.out_shape, bottom_up.shapes.td
                    made.append(TopDownLatent(spec, latent, *shapes, self.make_posterior))
        return made

    @property
    def generative_parts(self) -> list[keras.layers.Layer]:
        """All but the layers of top-down inference."""
        return [*(latent.prior for latent in self.latents), self.latent_map, self.d]

    def build(self, input_shape):
        """Does nothing: the constructor made the layers. `summary` needs the call."""

    def compute_output_shape(self, input_shape):
        """The shapes of the map d_i and of the latents of the level, for `summary`."""
        shapes = {layer.latent.name: (None, *self.latent_shape) for layer in self.latents}
        return {"map": (None, *self.out_shape), **shapes}

    def call(
        self,
        z: Sequence[tf.Tensor],
        y: tf.Tensor | None = None,
        above: Sequence[tf.Tensor] | None = None,
        *,
        noise: Noise,
        training: bool = False,
    ) -> list[tf.Tensor]:
        """The maps of all blocks of the chain; the last one is d_i.

        Args:
          z: the values of the latents of the level, in the order of `ModelSpec.latents`.
          y: the class, [rows, classes], if the stage reads it (`reads_class`).
          above: the maps of the blocks of the stage above, which the skip connections read; None at
            the top.
          noise: the noise of the dropout.
          training: whether dropout is active.
        """
        inputs = list(reversed(z))  # top-down before bottom-up, as in the original's weights
        if self.reads_class:
            inputs.append(_as_map(y, inputs[0].shape[1:-1]))
        z_map = self.latent_map(tf.concat(inputs, axis=-1))
        skips = [tf.nn.elu(m) for m in above] if self._skips else None
        return self.d(z_map, skips, noise=noise, training=training)


def _as_map(y: tf.Tensor, size: tuple[int, ...]) -> tf.Tensor:
    """[rows, classes] to [rows, *size, classes]."""
    for axis, length in enumerate(size, start=1):
        y = tf.repeat(tf.expand_dims(y, axis), length, axis)
    return y
