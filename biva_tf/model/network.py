"""The network of BIVA (Maaløe et al. 2019): one bottom-up pass and one top-down pass.

    image_features(x)          computes the part of the bottom-up pass that needs no draw: stage 1
                               in BIVA, all stages in an LVAE
    bottom_up(image_features)  computes the rest, and draws the bottom-up latents on the way:
                               q(z_i^bu | x, z_{<i}^bu), and for the top q(z_L | x, z_{<L}^bu)
    top_down(features, plan)   goes from level L to level 1: computes the prior p(z_i | z_{>i}) of
                               each latent and, if the plan asks for it, the posterior
                               q(z_i^td | x, z_{<i}^bu, z_{>i}), and takes the latent's value from
                               the source that the plan names; ends with p(x | z)

Level i has two latents, z_i^bu and z_i^td (of bottom-up and of top-down inference); the top level L
has one. A plan (`plans`) says for each latent where its value comes from: its source.

Training, bounds, L^{>k} and reconstruction are these two passes under different plans. Sampling and
decoding are the top-down pass alone. LVAE, LVAE+ and VAE are the same two passes with fewer parts
(`ModelSpec.inference`, `ModelSpec.generative_skips`).
"""

import dataclasses
import functools
import itertools
from typing import TypeVar

import keras
import tensorflow as tf
import tensorflow_probability as tfp

from biva_tf.errors import SettingsError
from biva_tf.model import assignments, latents, likelihoods, plans, scopes, stages
from biva_tf.model.assignments import Assignment
from biva_tf.model.bottom_up import BottomUpLevel, Features, ImageFeatures, Maps
from biva_tf.model.latents import LatentStats
from biva_tf.model.noise import Noise, SeededNoise
from biva_tf.model.pixels import as_floats
from biva_tf.model.spec import ModelSpec
from biva_tf.model.top_down import Descent
from biva_tf.nn.compute import Compute
from biva_tf.nn.fixed_weights import FixedWeights
from biva_tf.nn.weight_norm import Dense

# `spec.py` imports no Keras: commands read specs before they import it.
keras.saving.register_keras_serializable("biva_tf")(ModelSpec)


_Self = TypeVar("_Self", bound="Network")  # typing.Self is of Python 3.11


@dataclasses.dataclass(frozen=True)
class Output:
    """What the top-down pass gives.

    Attributes:
      px: p(x|z), batch [rows], event `spec.image_shape`, over images of `spec.likelihood.values`.
      px_parameters: the network's output that parameterises it, [rows, height, width, parameters].
      latents: one for each of `ModelSpec.latents`, in that order.
      y: the class of each row, one-hot or a mixture of classes, [rows, classes]; None if the spec
        has no classes.
    """

    px: tfp.distributions.Distribution
    px_parameters: tf.Tensor
    latents: tuple[LatentStats, ...]
    y: tf.Tensor | None = None


class Network(keras.Model):
    """The network that a `ModelSpec` describes.

    Args:
      spec: the model's spec.
      compute: how its layers compute. It changes no more than rounding.

    Raises:
      SettingsError: Keras's global dtype policy is not float32.
    """

    def __init__(self, spec: ModelSpec, compute: Compute | None = None, name: str = "BIVA"):
        _check_dtype_policy()
        super().__init__(name=name)
        self.spec = spec
        self.compute = compute or Compute()
        with self.compute.scope():
            self.likelihood = likelihoods.make(spec.likelihood, spec.image_shape)
            made = stages.make(spec)
            self.bottom_up_stages = list(made.bottom_up)  # level 1 first
            self.top_down_stages = list(made.top_down)  # level L first
            shape = self.top_down_stages[-1].out_shape
            outputs = self.likelihood.num_parameters
            self.output_layer = Dense(shape[2], outputs, name=scopes.OUTPUT)
        self.output_layer.build((None, *shape))  # for `summary`
        self.built = True

    @property
    def latent_shapes(self) -> tuple[tuple[int, ...], ...]:
        """The shape of each latent, per example, in the order of `spec.latents`."""
        shapes = {stage.level: stage.latent_shape for stage in self.top_down_stages}
        return tuple(shapes[latent.level] for latent in self.spec.latents)

    @functools.cached_property
    def fixed_weights(self) -> FixedWeights:
        """The normalised weights of all layers, for passes during which they do not change."""
        return FixedWeights([self])

    @functools.cached_property
    def fixed_generative_weights(self) -> FixedWeights:
        """Those of the `generative_parts`."""
        return FixedWeights(self.generative_parts)

    @functools.cached_property
    def fixed_bottom_up_weights(self) -> FixedWeights:
        """Those of the bottom-up stages."""
        return FixedWeights(self.bottom_up_stages)

    def with_ceiling(self: _Self, ceiling: float | None) -> _Self:
        """A model with the same weights, whose spec has another `log_variance_ceiling`."""
        made = type(self)(self.spec.with_ceiling(ceiling), self.compute, self.name)
        made.set_weights(self.get_weights())
        return made

    @property
    def generative_parts(self) -> list[keras.layers.Layer]:
        """The layers with weight normalisation that sampling from the prior uses.

        A likelihood with weights (text) is not among them: it has no weight normalisation.
        """
        of_stages = [part for stage in self.top_down_stages for part in stage.generative_parts]
        return [*of_stages, self.output_layer]

    def image_features(
        self, images: tf.Tensor, noise: Noise, *, training: bool = False
    ) -> ImageFeatures:
        """The start of the bottom-up pass, before its first draw.

        Args:
          images: [rows, *spec.image_shape], floats of `spec.likelihood.values`, or uint8
            (`pixels.as_floats`).
          noise: the noise of the dropout.
          training: whether dropout is active.

        Raises:
          ValueError: images of a wrong shape or dtype.
        """
        images = tf.convert_to_tensor(images)
        numbers = images.dtype.is_floating or images.dtype == tf.uint8
        if not numbers or images.shape[1:] != self.spec.image_shape:
            expected = ", ".join(map(str, self.spec.image_shape))
            raise ValueError(
                f"images: expected floats or uint8 of shape [rows, {expected}], got "
                f"{images.dtype.name} of {images.shape}"
            )
        if images.dtype == tf.uint8:
            images = as_floats(images, self.spec.likelihood)
        x = self.likelihood.network_input(images)
        level, maps = BottomUpLevel(Maps(x, x)), []
        for stage in self.bottom_up_stages:  # i = 1, ..., up to the first draw
            bu, below = level.maps.bu, level.maps
            level = stage(bu, below=below, noise=noise, training=training)  # bu_i, td_i
            maps.append(level.maps)
            if level.q is not None:
                break
        return ImageFeatures(tuple(maps), level.q, level.class_logits)

    def bottom_up(
        self, image_features: ImageFeatures, noise: Noise, *, training: bool = False
    ) -> Features:
        """The rest of the bottom-up pass: draw a latent, go up a stage, until the top.

        Args:
          image_features: the images' features, from `image_features`.
          noise: the noise of the bottom-up draws and the dropout.
          training: whether dropout is active.
        """
        maps, draws = list(image_features.maps), []
        level = BottomUpLevel(maps[-1], image_features.q, image_features.class_logits)
        reached = len(maps)
        for below, stage in itertools.pairwise(self.bottom_up_stages[reached - 1 :]):
            # z_{i-1}^bu ~ q(z_{i-1}^bu | x, z_{<i-1}^bu); then bu_i, td_i and q(z_i^bu | bu_i)
            draws.append(latents.draw_posterior(level.q, below.latent, noise))
            level = stage(draws[-1].z, below=level.maps, noise=noise, training=training)
            maps.append(level.maps)
        td = tuple(level.td for level in maps)
        return Features(td, tuple(draws), level.q, level.class_logits)

    def top_down(
        self,
        features: Features | None,
        plan: plans.Plan,
        noise: Noise,
        *,
        rows: int | tf.Tensor | None = None,
        classes: Assignment | None = None,
        training: bool = False,
    ) -> Output:
        """The top-down pass.

        Args:
          features: the result of the bottom-up pass; None if the plan draws no latent from its
            posterior.
          plan: a source for each latent, in the order of `spec.latents`.
          noise: the noise of the draws and the dropout.
          rows: the batch size, if there are no features.
          classes: for a spec with classes, which rows continue below the point where y enters, and
            with which class; the output has these rows. By default each row once, with the most
            probable class under q(y|x), or, without features, a class drawn from p(y).
          training: whether dropout is active.

        Raises:
          ValueError: the plan does not have one source per latent, or features or rows are missing.
        """
        if len(plan) != len(self.spec.latents):
            raise ValueError(f"plan: expected {len(self.spec.latents)} sources, got {len(plan)}")
        if features is not None:
            rows = features.q_top.batch_shape_tensor()[0]
        elif any(map(plans.draws_from_posterior, plan)):
            raise ValueError("plan: it draws from q(z|x), so the top-down pass needs features")
        elif rows is None:
            raise ValueError("rows: without features, the top-down pass needs the batch size")
        sources = dict(zip(self.spec.latents, plan, strict=True))
        if classes is None and self.spec.num_classes:
            classes = self._default_classes(features, rows, noise)
        state = Descent(rows, noise, features)
        for stage in self.top_down_stages:  # i = L, ..., 1
            # p(z_i | z_{>i}); q(z_i^td | x, z_{<i}^bu, z_{>i}) if the plan asks for it; z_i
            level = tuple(
                latent(state.d, source=sources[latent.latent], state=state, training=training)
                for latent in stage.latents
            )
            state = state.with_latents(level)
            if stage.reads_class:
                state = state.with_class(classes)
            # d_i, from z_i and d_{i+1}
            z = [latent.z for latent in state.latents[: len(level)]]
            maps = stage(z, state.y, state.maps, noise=state.noise, training=training)
            state = state.with_maps(maps)
        parameters = self.output_layer(tf.nn.elu(state.d))
        px = self.likelihood.distribution(parameters, noise if training else None)
        return Output(px, parameters, state.latents, state.y)

    def _default_classes(self, features: Features | None, rows, noise: Noise) -> Assignment:
        if features is not None:
            return assignments.most_probable(features.class_logits)
        return assignments.from_prior(rows, self.spec.num_classes, noise)

    def call(
        self,
        images: tf.Tensor,
        *,
        plan: plans.Plan | None = None,
        noise: Noise | None = None,
        classes: Assignment | None = None,
        training: bool = False,
    ) -> Output:
        """Both passes.

        Args:
          images: as in `image_features`.
          plan: a source for each latent; by default, every latent is drawn from its posterior.
          noise: the noise of the draws and the dropout; by default that of the seed 0, so that the
            same images give the same output.
          classes: as in `top_down`.
          training: whether dropout is active.

        Raises:
          ValueError: images of a wrong shape or dtype, or no noise for a training pass.
        """
        if noise is None and training:
            raise ValueError("noise: a training pass needs the noise of its step, got None")
        plan = plans.posterior(self.spec) if plan is None else plan
        noise = SeededNoise(0) if noise is None else noise
        image_features = self.image_features(images, noise, training=training)
        features = self.bottom_up(image_features, noise, training=training)
        return self.top_down(features, plan, noise, classes=classes, training=training)


def _check_dtype_policy() -> None:
    policy = keras.config.dtype_policy().name
    if policy != "float32":
        raise SettingsError(
            f"keras.config.dtype_policy(): expected float32, got {policy}; latents and densities "
            "are computed in float32, and Compute(precision='mixed_bfloat16') puts the products of "
            "the layers in bfloat16"
        )
