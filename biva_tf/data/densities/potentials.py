"""The four potentials of Rezende & Mohamed 2015, Table 1: p(z) proportional to exp(-U(z)).

Potentials 2 to 4 have no end along z1, so that they are no densities; here |z1| <= 4. Then z1 is
uniform, and z2 given z1 is a mixture of Gaussians, since the integral over z2 is the same for every
z1. The first potential is a ring, pinched at two ends; it is tabulated.
"""

import functools

import numpy as np

from biva_tf.data.densities.density import Density, midpoints, special

_REACH = 4.0  # |z1| is at most this
_HALF_LOG_2PI = 0.5 * np.log(2 * np.pi)


def _w1(z1: np.ndarray) -> np.ndarray:
    return np.sin(2 * np.pi * z1 / 4)


def _w2(z1: np.ndarray) -> np.ndarray:
    return 3 * np.exp(-0.5 * ((z1 - 1) / 0.6) ** 2)


def _w3(z1: np.ndarray) -> np.ndarray:
    return 3 * special().expit((z1 - 1) / 0.3)


class Ridges(Density):
    """z1 uniform in [-4, 4]; z2 given z1 a mixture of Gaussians around one ridge or more.

    exp(-U) is the sum over the ridges of exp(-((z2 - m(z1)) / s)^2 / 2), so a ridge has the
    probability s / (the sum of all s).

    Args:
      ridges: pairs of m, a function of z1 [n], and s.
    """

    box = ((-_REACH, _REACH), (-7.0, 4.0))
    uniforms = 3

    def __init__(self, *ridges):
        self._means = [mean for mean, _ in ridges]
        self._scales = np.array([scale for _, scale in ridges])

    def log_prob(self, points):
        """See `Density.log_prob`."""
        z1, z2 = points.T
        scaled = [(z2 - m(z1)) / s for m, s in zip(self._means, self._scales, strict=True)]
        log_sum = special().logsumexp(-0.5 * np.square(scaled), axis=0)
        log_normaliser = np.log(2 * _REACH * self._scales.sum()) + _HALF_LOG_2PI
        return np.where(np.abs(z1) <= _REACH, log_sum - log_normaliser, -np.inf)

    def from_uniforms(self, uniforms):
        """See `Density.from_uniforms`."""
        z1 = _REACH * (2 * uniforms[:, 0] - 1)
        shares = np.cumsum(self._scales / self._scales.sum())
        ridge = np.searchsorted(shares[:-1], uniforms[:, 1])
        means = np.stack([mean(z1) for mean in self._means])
        z2 = means[ridge, np.arange(len(z1))] + self._scales[ridge] * special().ndtri(
            uniforms[:, 2]
        )
        return np.stack([z1, z2], axis=-1)


RIDGES = {
    2: Ridges((_w1, 0.4)),
    3: Ridges((_w1, 0.35), (lambda z1: _w1(z1) - _w2(z1), 0.35)),
    4: Ridges((_w1, 0.4), (lambda z1: _w1(z1) - _w3(z1), 0.35)),
}


class Ring(Density):
    """Potential 1: a ring of radius 2, with most of its probability at z1 = -2 and z1 = 2.

    A draw chooses one of 1024 x 1024 cells by its probability and is uniform in it. Its density
    then differs from p by a KL divergence below 1e-4 nats.
    """

    box = ((-_REACH, _REACH), (-_REACH, _REACH))
    uniforms = 3

    _table = 1024

    def log_prob(self, points):
        """See `Density.log_prob`."""
        log_p = self._unnormalised(points) - self._log_normaliser
        return np.where(np.abs(points[:, 0]) <= _REACH, log_p, -np.inf)

    def from_uniforms(self, uniforms):
        """See `Density.from_uniforms`."""
        centres, _ = midpoints(self.box, self._table)
        width = 2 * _REACH / self._table
        cell = np.searchsorted(self._cumulative, uniforms[:, 0])
        return centres[cell] + width * (uniforms[:, 1:] - 0.5)

    @staticmethod
    def _unnormalised(points):
        radius = np.hypot(*points.T)
        ends = [-0.5 * ((points[:, 0] + end) / 0.6) ** 2 for end in (-2, 2)]
        return special().logsumexp(ends, axis=0) - 0.5 * ((radius - 2) / 0.4) ** 2

    @functools.cached_property
    def _log_normaliser(self) -> float:
        return np.log(self.integral(lambda points: np.exp(self._unnormalised(points))))

    @functools.cached_property
    def _cumulative(self) -> np.ndarray:
        centres, _ = midpoints(self.box, self._table)
        sums = np.cumsum(np.exp(self._unnormalised(centres)))
        return sums / sums[-1]
