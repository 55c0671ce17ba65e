"""L_K of a checkpoint of the original, under the original's tied noise and independent noise.

The original creates every Gaussian with the same seed, so in each run all latents of the same shape
get the same noise. As a result, z is not a sample from q(z|x), and the mean of
log p(x, z) - log q(z|x) is not a bound.
"""

import dataclasses
from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from biva_tf.inference import chunks, objectives
from biva_tf.model.network import Network
from biva_tf.model.noise import Noise, SeededNoise
from tools.tf1.names import ReferenceFileError

_ROWS = 64  # images at once


class TiedNoise(Noise):
    """Noise that is the same for all streams of the same shape, as in the original."""

    def __init__(self, noise: Noise):
        self._noise = noise

    def normal(self, stream: str, shape: Sequence) -> tf.Tensor:
        """Standard normal numbers of `shape` = (rows, *event), float32."""
        del stream
        return self._noise.normal("x".join(map(str, shape[1:])), shape)

    def uniform(self, stream: str, shape: Sequence) -> tf.Tensor:
        """Uniform numbers in [0, 1) of `shape` = (rows, *event), float32. They are not tied."""
        return self._noise.uniform(stream, shape)

    def dropout_mask(self, stream: str, rate: float, shape: Sequence) -> tf.Tensor:
        """A dropout mask of `shape` = (rows, *event), float32, scaled. It is not tied."""
        return self._noise.dropout_mask(stream, rate, shape)


@dataclasses.dataclass(frozen=True)
class Bounds:
    """L_K of each image in nats, [images].

    Attributes:
      tied: with tied noise. This is not a true bound.
      independent: with independent noise for each latent.
    """

    tied: np.ndarray
    independent: np.ndarray


def bounds(
    model: Network, images: np.ndarray, num_importance_samples: int, seed: int = 0
) -> Bounds:
    """Computes L_K of images [images, *spec.image_shape] in [0, 1] with both kinds of noise.

    Raises:
      ReferenceFileError: a bound is not finite; the message names the image.
    """

    @tf.function(autograph=False)
    def terms(batch, first, sample, tied: bool):
        noise = SeededNoise(seed).fold(sample, first)
        if tied:
            noise = TiedNoise(noise)
        return objectives.terms(model(batch, noise=noise), batch)

    def l_k(tied: bool) -> np.ndarray:
        def l_k_of_rows(first: int, stop: int) -> np.ndarray:
            batch = tf.constant(images[first:stop])
            sums = objectives.ImportanceSums.zero(len(batch), len(model.spec.latents))
            for sample in range(num_importance_samples):
                indices = (tf.constant(first, tf.int64), tf.constant(sample, tf.int64))
                sums = sums.add(terms(batch, *indices, tied), 1)
            return sums.scores().bound.numpy()

        values = chunks.concat_on_host(l_k_of_rows, len(images), _ROWS)
        if not np.all(np.isfinite(values)):
            image = int(np.argmin(np.isfinite(values)))
            raise ReferenceFileError(f"image {image}: the bound is {values[image]}")
        return values

    return Bounds(tied=l_k(True), independent=l_k(False))
