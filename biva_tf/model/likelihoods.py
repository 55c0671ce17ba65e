"""Likelihoods p(x|z): how the network's output parameterises a distribution over images.

A likelihood says how many output channels it needs, how images enter the network, which TFP
distribution the output parameterises, and how an image is made of that distribution for a picture.
One with weights is a Keras layer, which the network owns as it does its other layers.
"""

from typing import Protocol

import tensorflow as tf
import tensorflow_probability as tfp

from biva_tf.model import spec
from biva_tf.model.distributions import DiscretizedLogisticMixture, bernoulli_image, gaussian_point
from biva_tf.model.kinds import LikelihoodKind
from biva_tf.model.noise import Noise
from biva_tf.model.text import TextLikelihood

_STREAM = "x/likelihood"


class Likelihood(Protocol):
    """What the model asks of p(x|z); one derived from this class has the defaults below.

    A likelihood whose spec says `codes_pixels` also has `channel_probabilities`, as
    `BernoulliLikelihood` has it.

    Attributes:
      num_parameters: the channels of the network's output.
    """

    num_parameters: int

    def network_input(self, images: tf.Tensor) -> tf.Tensor:
        """Images, of the likelihood's range of values, as the inference network reads them.

        By default as they are; of another shape than images if the spec's `input_shape` says so.
        """
        return images

    def distribution(
        self, parameters: tf.Tensor, training_noise: Noise | None = None
    ) -> tfp.distributions.Distribution:
        """p(x|z) over images, from [rows, height, width, num_parameters].

        `training_noise` is the noise of the pass if it is one of training, else None.
        """

    def image(self, px: tfp.distributions.Distribution, noise: Noise) -> tf.Tensor:
        """An image to look at, [rows, height, width, channels]."""

    def reconstruction(self, px: tfp.distributions.Distribution, noise: Noise) -> tf.Tensor:
        """An image to compare with the one that the latents were inferred from; as `image`."""
        return self.image(px, noise)


class BernoulliLikelihood(Likelihood):
    """Binary pixels. Its image is the mean: the probability of each pixel."""

    def __init__(self, image_shape: tuple[int, int, int]):
        self.num_parameters = image_shape[-1]

    def distribution(
        self, parameters: tf.Tensor, training_noise: Noise | None = None
    ) -> tfp.distributions.Distribution:
        """Independent Bernoulli pixels."""
        return bernoulli_image(parameters)

    def channel_probabilities(
        self, px: tfp.distributions.Distribution, before: tf.Tensor
    ) -> tf.Tensor:
        """The probabilities of the values 0 and 1 of a channel, [rows, height, width, 2].

        `before` are the channels before it, [rows, height, width, channel].
        """
        logits = px.distribution.logits[..., before.shape[-1]]
        return tf.stack([tf.sigmoid(-logits), tf.sigmoid(logits)], axis=-1)

    def image(self, px: tfp.distributions.Distribution, noise: Noise) -> tf.Tensor:
        """The probability of each pixel."""
        return px.mean()


class LogisticMixtureLikelihood(Likelihood):
    """8-bit pixels. Its image is a draw."""

    def __init__(self, image_shape: tuple[int, int, int], num_mixtures: int):
        self._channels = image_shape[-1]
        per_component = DiscretizedLogisticMixture.parameters_per_component(self._channels)
        self.num_parameters = num_mixtures * per_component
        self._uniforms_shape = (*image_shape[:2], num_mixtures + self._channels)

    def network_input(self, images: tf.Tensor) -> tf.Tensor:
        """The images rescaled to [-1, 1]."""
        return 2.0 * images - 1.0

    def distribution(
        self, parameters: tf.Tensor, training_noise: Noise | None = None
    ) -> tfp.distributions.Distribution:
        """The mixture at every pixel."""
        return DiscretizedLogisticMixture(parameters, self._channels)

    def channel_probabilities(
        self, px: tfp.distributions.Distribution, before: tf.Tensor
    ) -> tf.Tensor:
        """The probabilities of the values 0/255 ... 255/255 of a channel.

        [rows, height, width, 256]; `before` are the channels before it, [rows, height, width,
        channel].
        """
        return px.channel_probabilities(before)

    def image(self, px: tfp.distributions.Distribution, noise: Noise) -> tf.Tensor:
        """A draw, a multiple of 1/255 in every channel."""
        rows = px.batch_shape_tensor()[0]
        return px.from_uniforms(noise.uniform(_STREAM, (rows, *self._uniforms_shape)))


class GaussianLikelihood(Likelihood):
    """Real numbers. Its image is a draw."""

    def __init__(self, image_shape: tuple[int, int, int]):
        self._image_shape = image_shape
        self.num_parameters = 2 * image_shape[-1]

    def distribution(
        self, parameters: tf.Tensor, training_noise: Noise | None = None
    ) -> tfp.distributions.Distribution:
        """Independent Gaussians: the mean of each channel, then the log-variance of each."""
        return gaussian_point(*tf.split(parameters, 2, axis=-1))

    def image(self, px: tfp.distributions.Distribution, noise: Noise) -> tf.Tensor:
        """A draw."""
        rows = px.batch_shape_tensor()[0]
        return px.from_noise(noise.normal(_STREAM, (rows, *self._image_shape)))


def make(likelihood: LikelihoodKind, image_shape: tuple[int, int, int]) -> Likelihood:
    """The likelihood that a spec describes, for images of a shape."""
    if likelihood.makes_itself():
        return likelihood.make(image_shape)
    match likelihood:
        case spec.Bernoulli():
            return BernoulliLikelihood(image_shape)
        case spec.LogisticMixture(num_mixtures):
            return LogisticMixtureLikelihood(image_shape, num_mixtures)
        case spec.Gaussian():
            return GaussianLikelihood(image_shape)
        case spec.Text():
            return TextLikelihood(likelihood, image_shape)
    raise NotImplementedError(f"no likelihood is made of {likelihood!r}")
