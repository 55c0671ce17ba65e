"""Noise that is no random number: given as arrays, or none."""

from collections.abc import Mapping, Sequence

import tensorflow as tf

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


class NoNoise(Noise):
    """No noise: a draw from a Gaussian is its mean."""

    def normal(self, stream: str, shape: Sequence) -> tf.Tensor:
        """Zeros."""
        del stream
        return tf.zeros(shape)

    def uniform(self, stream: str, shape: Sequence) -> tf.Tensor:
        """Raises ValueError: a mean needs no uniform numbers."""
        raise ValueError(f"asked for uniform numbers ({stream}, {shape}) where there is no noise")

    def dropout_mask(self, stream: str, rate: float, shape: Sequence) -> tf.Tensor:
        """Raises ValueError: dropout is noise."""
        raise ValueError(f"asked for a dropout mask ({stream}, {shape}) where there is no noise")
