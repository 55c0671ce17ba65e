"""Noise that is no random number: given as arrays, or none."""

from collections.abc import Mapping, Sequence

import tensorflow as tf

from biva_tf.model import latent_distributions
from biva_tf.model.latent_distributions import LatentDistribution
from biva_tf.model.noise.protocol import Noise, posterior_stream, prior_stream


class GivenNoise(Noise):
    """Standard normal noise given as arrays, for comparisons with another program.

    Args:
      posterior: the noise of each posterior draw by latent name, each [rows, *latent shape].
      prior: the same for prior draws.
    """

    def __init__(self, posterior: Mapping = {}, prior: Mapping = {}):
        self._arrays = {posterior_stream(name): array for name, array in posterior.items()}
        self._arrays |= {prior_stream(name): array for name, array in prior.items()}

    def normal(self, stream: str, shape: Sequence) -> tf.Tensor:
        """The array given for `stream`. Raises ValueError if there is none, or of another shape."""
        if stream not in self._arrays:
            raise ValueError(f"no noise was given for {stream}; given: {sorted(self._arrays)}")
        array = tf.convert_to_tensor(self._arrays[stream], tf.float32)
        if not array.shape[1:].is_compatible_with(shape[1:]):
            raise ValueError(f"noise for {stream}: expected {shape[1:]}, got {array.shape[1:]}")
        return array

    def uniform(self, stream: str, shape: Sequence) -> tf.Tensor:
        """Raises ValueError: only Gaussian noise can be given."""
        raise ValueError(f"given noise has no uniform numbers (asked for {stream}, {shape})")

    def dropout_mask(self, stream: str, rate: float, shape: Sequence) -> tf.Tensor:
        """Raises ValueError: only Gaussian noise can be given."""
        raise ValueError(f"given noise has no dropout masks (asked for {stream}, {shape})")


class ConstantNoise(Noise):
    """Standard normal numbers that all have one value: the draw at that many deviations.

    Args:
      value: the value.
      noise: the noise whose uniform numbers are taken, such as to choose a component of a mixture.
    """

    def __init__(self, value: float, noise: Noise):
        self._value, self._noise = value, noise

    def normal(self, stream: str, shape: Sequence) -> tf.Tensor:
        """The value, in all places."""
        return tf.fill(shape, tf.constant(self._value, tf.float32))

    def uniform(self, stream: str, shape: Sequence) -> tf.Tensor:
        """Uniform numbers in [0, 1) of `shape` = (rows, *event), float32."""
        return self._noise.uniform(stream, shape)

    def dropout_mask(self, stream: str, rate: float, shape: Sequence) -> tf.Tensor:
        """Raises ValueError: it is no noise to train with."""
        raise ValueError(f"constant noise has no dropout masks (asked for {stream}, {shape})")


class NoNoise(Noise):
    """No noise: a draw is the mode."""

    def draw(
        self, distribution: LatentDistribution, stream: str, temperature: float | tf.Tensor = 1.0
    ) -> tf.Tensor:
        """The mode, [rows, *latent shape]."""
        return latent_distributions.mode(distribution)

    def normal(self, stream: str, shape: Sequence) -> tf.Tensor:
        """Zeros."""
        del stream
        return tf.zeros(shape)

    def uniform(self, stream: str, shape: Sequence) -> tf.Tensor:
        """Raises ValueError: a mode needs no uniform numbers."""
        raise ValueError(f"asked for uniform numbers ({stream}, {shape}) where there is no noise")

    def dropout_mask(self, stream: str, rate: float, shape: Sequence) -> tf.Tensor:
        """Raises ValueError: dropout is noise."""
        raise ValueError(f"asked for a dropout mask ({stream}, {shape}) where there is no noise")
