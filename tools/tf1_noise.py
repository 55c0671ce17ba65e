"""The bound of an original checkpoint under the noise that the original draws, and under valid one.

The original creates every Gaussian with the same seed, so in each run latents of one shape get the
same noise: z is then no sample of q(z|x), and the mean of log p(x, z) - log q(z|x) bounds nothing.
"""

import dataclasses
from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from biva_tf import objectives, plans
from biva_tf.model import BIVA
from biva_tf.noise import Noise, SeededNoise
from tools.tf1 import ReferenceError

_ROWS = 64  # images at once


class TiedNoise:
    """Noise that is the same for all streams of one shape, as in the original."""

    def __init__(self, noise: Noise):
        self._noise = noise

    def normal(self, stream: str, shape: Sequence) -> tf.Tensor:
        """Standard normal numbers of `shape` = (rows, *event), float32."""
        del stream
        return self._noise.normal("x".join(map(str, shape[1:])), shape)

    def uniform(self, stream: str, shape: Sequence) -> tf.Tensor:
        """Uniform numbers in [0, 1) of `shape` = (rows, *event), float32: not tied."""
        return self._noise.uniform(stream, shape)


@dataclasses.dataclass(frozen=True)
class Bounds:
    """L_K of each image in nats, [images]: under tied noise, which is no bound, and under noise
    that is independent for each latent."""

    tied: np.ndarray
    independent: np.ndarray


def bounds(model: BIVA, images: np.ndarray, iw_samples: int, seed: int = 0) -> Bounds:
    """Both, for images [images, *spec.image_shape] in [0, 1].

    Raises:
      ReferenceError: a bound is not finite; the message names the image.
    """

    @tf.function(autograph=False)
    def terms(batch, first, sample, tied: bool):
        noise = SeededNoise(seed).fold(sample, first)
        if tied:
            noise = TiedNoise(noise)
        output = model(batch, plan=plans.posterior(model.spec), noise=noise)
        return objectives.terms(output, batch)

    def of(tied: bool) -> np.ndarray:
        parts = []
        for first in range(0, len(images), _ROWS):
            batch = tf.constant(images[first : first + _ROWS])
            sums = objectives.ImportanceSums.zero(len(batch), len(model.spec.latents))
            for sample in range(iw_samples):
                place = (tf.constant(first, tf.int64), tf.constant(sample, tf.int64))
                sums = sums.add(terms(batch, *place, tied), 1)
            parts.append(sums.bound.numpy())
        values = np.concatenate(parts)
        if not np.all(np.isfinite(values)):
            at = int(np.argmin(np.isfinite(values)))
            raise ReferenceError(f"image {at}: the bound is {values[at]}")
        return values

    return Bounds(of(True), of(False))
