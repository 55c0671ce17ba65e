"""Likelihoods p(x|z): how the network's output parameterises a distribution over images.

A likelihood says how many output channels it needs, how images enter the network, which TFP
distribution the output stands for, and how an image is drawn from it for the eye.
"""

from typing import Protocol

import tensorflow as tf
import tensorflow_probability as tfp

from biva_tf.distributions import DiscretizedLogisticMixture, bernoulli_image
from biva_tf.noise import Noise
from biva_tf.spec import ModelSpec

_STREAM = "x/likelihood"


class Likelihood(Protocol):
    """What the model asks of p(x|z)."""

    num_parameters: int

    def network_input(self, images: tf.Tensor) -> tf.Tensor:
        """Images in [0, 1] as the inference network reads them."""

    def distribution(self, parameters: tf.Tensor) -> tfp.distributions.Distribution:
        """p(x|z) over images in [0, 1], from [rows, height, width, num_parameters]."""

    def image(self, px: tfp.distributions.Distribution, noise: Noise) -> tf.Tensor:
        """An image in [0, 1] to look at, [rows, height, width, channels]."""


class Bernoulli:
    """Binary pixels, from one logit each. Its image is the mean: the probability of each pixel."""

    def __init__(self, spec: ModelSpec):
        self.num_parameters = spec.image_shape[-1]

    def network_input(self, images: tf.Tensor) -> tf.Tensor:
        """The images themselves."""
        return images

    def distribution(self, parameters: tf.Tensor) -> tfp.distributions.Distribution:
        """Independent Bernoulli pixels."""
        return bernoulli_image(parameters)

    def image(self, px: tfp.distributions.Distribution, noise: Noise) -> tf.Tensor:
        """The probability of each pixel."""
        return px.mean()


class LogisticMixture:
    """8-bit pixels, from a discretized mixture of logistics. Its image is a draw."""

    def __init__(self, spec: ModelSpec):
        self._channels = spec.image_shape[-1]
        per_component = DiscretizedLogisticMixture.parameters_per_component(self._channels)
        self.num_parameters = spec.num_mixtures * per_component
        self._uniforms_shape = (*spec.image_shape[:2], spec.num_mixtures + self._channels)

    def network_input(self, images: tf.Tensor) -> tf.Tensor:
        """The images rescaled to [-1, 1]."""
        return 2.0 * images - 1.0

    def distribution(self, parameters: tf.Tensor) -> tfp.distributions.Distribution:
        """The mixture at every pixel."""
        return DiscretizedLogisticMixture(parameters, self._channels)

    def image(self, px: tfp.distributions.Distribution, noise: Noise) -> tf.Tensor:
        """A draw, a multiple of 1/255 in every channel."""
        rows = px.batch_shape_tensor()[0]
        return px.from_uniforms(noise.uniform(_STREAM, (rows, *self._uniforms_shape)))


_LIKELIHOODS = {"bernoulli": Bernoulli, "discretized_logistic_mixture": LogisticMixture}


def make(spec: ModelSpec) -> Likelihood:
    """The likelihood that the spec names."""
    return _LIKELIHOODS[spec.likelihood](spec)
