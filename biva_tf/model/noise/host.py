"""Draws that the host makes."""

import functools
from collections.abc import Callable, Sequence

import numpy as np
import tensorflow as tf

from biva_tf.model import latent_distributions
from biva_tf.model.latent_distributions import LatentDistribution
from biva_tf.model.noise.protocol import Noise


class NotCodedError(ValueError):
    """The host was to draw from a distribution that is not a Gaussian."""


class HostDraws(Noise):
    """Draws that a function on the host makes, in place of draws by noise.

    A pass calls it once for every latent that it draws, in its order, also inside a graph. So
    whatever knows the values of the latents, such as an entropy coder, needs no pass of its own.

    Args:
      draw: maps (stream, mean, log-variance), float32 arrays of the Gaussian to draw from, each
        [rows, *latent shape], to the value of the latent, float32 of the same shape.

    Attributes:
      refused: the stream of the draw that raised `NotCodedError`. Keras may have put the error into
        another one's words by the time that it is caught.
    """

    def __init__(self, draw: Callable[[str, np.ndarray, np.ndarray], np.ndarray]):
        self._draw = draw
        self.refused: str | None = None

    def draw(
        self, distribution: LatentDistribution, stream: str, temperature: float | tf.Tensor = 1.0
    ) -> tf.Tensor:
        """The value that the host gives, [rows, *latent shape].

        Raises:
          NotCodedError: the distribution is not a Gaussian with diagonal covariance.
          ValueError: there is a temperature; the host would not know of it.
        """
        if tf.is_tensor(temperature) or temperature != 1:
            raise ValueError(
                f"{stream}: expected temperature 1 where the host draws values, got {temperature}"
            )
        parameters = latent_distributions.mean_and_log_variance(distribution)
        if parameters is None:
            self.refused, name = stream, type(distribution).__name__
            raise NotCodedError(f"{stream}: expected a DiagonalGaussian for the host, got {name}")
        mean, log_variance = parameters
        on_host = functools.partial(self._draw, stream)
        z = tf.numpy_function(on_host, (mean, log_variance), tf.float32)
        return tf.ensure_shape(z, mean.shape)

    def normal(self, stream: str, shape: Sequence) -> tf.Tensor:
        """Raises ValueError: the host draws values."""
        raise ValueError(f"asked for noise ({stream}, {shape}) where the host draws values")

    def uniform(self, stream: str, shape: Sequence) -> tf.Tensor:
        """Raises ValueError: the host draws values."""
        raise ValueError(f"asked for noise ({stream}, {shape}) where the host draws values")

    def dropout_mask(self, stream: str, rate: float, shape: Sequence) -> tf.Tensor:
        """Raises ValueError: the host draws values."""
        raise ValueError(f"asked for dropout ({stream}, {shape}) where the host draws values")
