"""What a pass through the model asks of its noise."""

import abc
from collections.abc import Sequence

import tensorflow as tf

from biva_tf.model import latent_distributions
from biva_tf.model.latent_distributions import LatentDistribution


class Noise(abc.ABC):
    """A source of random numbers for one pass through the model.

    The rows of a shape may be a tensor; the event are ints. Not every source has all of them: one
    that is asked for what it does not have raises ValueError.
    """

    @abc.abstractmethod
    def normal(self, stream: str, shape: Sequence) -> tf.Tensor:
        """Standard normal numbers of `shape` = (rows, *event), float32."""

    @abc.abstractmethod
    def uniform(self, stream: str, shape: Sequence) -> tf.Tensor:
        """Uniform numbers in [0, 1) of `shape` = (rows, *event), float32."""

    @abc.abstractmethod
    def dropout_mask(self, stream: str, rate: float, shape: Sequence) -> tf.Tensor:
        """A dropout mask of `shape` = (rows, *event), float32, scaled.

        0 with probability `rate`, else 1 / (1 - rate).
        """

    def draw(
        self, distribution: LatentDistribution, stream: str, temperature: float | tf.Tensor = 1.0
    ) -> tf.Tensor:
        """A draw of a latent, [rows, *latent shape].

        Args:
          distribution: the latent's posterior or prior.
          stream: the draw's stream: `posterior_stream` or `prior_stream`.
          temperature: what scales the standard deviation; see `latent_distributions.draw`.
        """
        return latent_distributions.draw(distribution, self, stream, temperature)


def posterior_stream(latent_name: str) -> str:
    """The stream of a latent's posterior draw."""
    return f"{latent_name}/posterior"


def prior_stream(latent_name: str) -> str:
    """The stream of a latent's prior draw."""
    return f"{latent_name}/prior"
