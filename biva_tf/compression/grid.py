"""A latent on a uniform grid: a Gaussian gives each point the mass of the cell around it.

The width of the cells cancels: a finer grid takes more bits out of the stack under the posterior
and puts as many more back under the prior. So it need only be fine enough for the mass of a cell
to stand for the density, and a coarse grid needs fewer initial bits.

The coder gives no point less than 2**-24. Under the prior that wastes little, and lets any value be
coded. Under the posterior, from which latents are drawn, it would now and then draw one that is far
off, for which no image is likely. So the posterior is confined to a window around its mean. (One
that is much wider than the narrow ones of its latent is cut short there, which costs bits.)
"""

import dataclasses
import functools
import math

import numpy as np

from biva_tf.compression.errors import MismatchError
from biva_tf.compression.options import WIDTH
from biva_tf.compression.stack import Stack, ans_package

_NARROW = 0.05  # the quantile of the standard deviations that is called narrow

_REACH = 4096  # points on each side of 0
_FAR = 2.0**100  # beyond the last point of every grid
_WINDOW = 64  # points on each side of a posterior's mean


@functools.cache
def _gaussian(reach: int):
    """The family of Gaussians on the points up to a distance from 0."""
    return ans_package().stream.model.QuantizedGaussian(-reach, reach)


@dataclasses.dataclass(frozen=True)
class Grid:
    """The multiples of 2**exponent from -4096 to 4096 times it.

    The Gaussians are given as the model's passes give them: mean and log-variance, float32 of the
    shape of the values. Non-finite parameters only cost bits.
    """

    exponent: int

    @staticmethod
    def from_log_variance(log_variance: np.ndarray, width: float = WIDTH) -> "Grid":
        """The grid of a latent whose posteriors have these log-variances.

        Args:
          log_variance: of any shape.
          width: the largest width of a cell, as a share of a narrow standard deviation.
        """
        narrow = np.quantile(standard_deviation(log_variance), _NARROW)
        return Grid(math.floor(math.log2(width * narrow)))

    def pop_posterior(self, stack: Stack, mean: np.ndarray, log_variance: np.ndarray) -> np.ndarray:
        """Pops values under a posterior, float32 of the shape of the mean."""
        centre, offset, deviation = self._posterior(mean, log_variance)
        return self._values(centre + stack.pop(_gaussian(_WINDOW), offset, deviation), mean.shape)

    def push_posterior(
        self, stack: Stack, values: np.ndarray, mean: np.ndarray, log_variance: np.ndarray
    ) -> None:
        """Pushes values that `pop_posterior` gave.

        Raises:
          MismatchError: it cannot have given them.
        """
        centre, offset, deviation = self._posterior(mean, log_variance)
        points = self._points(values) - centre
        if (np.abs(points) > _WINDOW).any():
            raise MismatchError("a latent is far from its posterior")
        stack.push(points, _gaussian(_WINDOW), offset, deviation)

    def pop_prior(self, stack: Stack, mean: np.ndarray, log_variance: np.ndarray) -> np.ndarray:
        """Pops values under a prior, float32 of the shape of the mean."""
        points = stack.pop(_gaussian(_REACH), *self._scaled(mean, log_variance))
        return self._values(points, mean.shape)

    def push_prior(
        self, stack: Stack, values: np.ndarray, mean: np.ndarray, log_variance: np.ndarray
    ) -> None:
        """Pushes values of the grid under a prior."""
        stack.push(self._points(values), _gaussian(_REACH), *self._scaled(mean, log_variance))

    def _values(self, points: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
        return np.ldexp(points, self.exponent).astype(np.float32).reshape(shape)

    def _points(self, values: np.ndarray) -> np.ndarray:
        return np.ldexp(values.ravel(), -self.exponent).astype(np.int32)

    def _scaled(self, mean, log_variance) -> tuple[np.ndarray, np.ndarray]:
        """Mean and standard deviation in cells, float64."""
        mean = np.clip(np.nan_to_num(mean.ravel().astype(np.float64)), -_FAR, _FAR)
        deviation = standard_deviation(log_variance.ravel())
        mean, deviation = np.ldexp(mean, -self.exponent), np.ldexp(deviation, -self.exponent)
        return np.clip(mean, -_REACH, _REACH), np.clip(deviation, 1e-6, 1e6)

    def _posterior(self, mean, log_variance) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The centre of the window, the mean from there, and the standard deviation."""
        mean, deviation = self._scaled(mean, log_variance)
        centre = np.clip(np.round(mean), _WINDOW - _REACH, _REACH - _WINDOW)
        return centre.astype(np.int32), mean - centre, deviation


def standard_deviation(log_variance: np.ndarray) -> np.ndarray:
    """The finite standard deviations, float64, that log-variances of any value stand for."""
    log_variance = np.nan_to_num(log_variance.astype(np.float64))
    return np.exp(0.5 * np.clip(log_variance, -60.0, 60.0))
