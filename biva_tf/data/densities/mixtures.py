"""Eight Gaussians, a checkerboard and a pinwheel: mixtures of parts that are drawn alike."""

import numpy as np

from biva_tf.data.densities.density import Density, special

_LOG_2PI = np.log(2 * np.pi)


def _part(uniforms: np.ndarray, parts: int) -> np.ndarray:
    """The number of a part, 0 to parts - 1, each as probable as the others, [n]."""
    return np.minimum((uniforms * parts).astype(np.int64), parts - 1)


class EightGaussians(Density):
    """Eight Gaussians of deviation 1 / sqrt(8) on a circle of radius sqrt(8)."""

    box = ((-5.0, 5.0), (-5.0, 5.0))
    uniforms = 3

    _scale = 8**-0.5
    _angles = np.arange(8) * np.pi / 4
    _centres = 8**0.5 * np.stack([np.cos(_angles), np.sin(_angles)], axis=-1)

    def log_prob(self, points):
        """See `Density.log_prob`."""
        squares = np.square(points[:, np.newaxis] - self._centres).sum(axis=-1) / self._scale**2
        each = -0.5 * squares - _LOG_2PI - 2 * np.log(self._scale) - np.log(8)
        return special().logsumexp(each, axis=1)

    def from_uniforms(self, uniforms):
        """See `Density.from_uniforms`."""
        noise = self._scale * special().ndtri(uniforms[:, 1:])
        return self._centres[_part(uniforms[:, 0], 8)] + noise


class Checkerboard(Density):
    """Uniform on the eight dark squares, 2 x 2 each, of a board of 4 x 4 on [-4, 4]^2."""

    box = ((-4.0, 4.0), (-4.0, 4.0))
    uniforms = 3

    def log_prob(self, points):
        """See `Density.log_prob`."""
        inside = (np.abs(points) <= 4).all(axis=-1)
        dark = np.floor(points / 2).sum(axis=-1) % 2 == 0
        return np.where(inside & dark, -np.log(32), -np.inf)

    def from_uniforms(self, uniforms):
        """See `Density.from_uniforms`."""
        row, pair = np.divmod(_part(uniforms[:, 0], 8), 2)
        column = 2 * pair + row % 2
        return 2 * (np.stack([column, row], axis=-1) - 2 + uniforms[:, 1:])


class Pinwheel(Density):
    """Five blades: Gaussians around (2, 0), long and thin, turned by 72 degrees each and twisted.

    A point f of a Gaussian with means (1, 0) and deviations (0.3, 0.1) becomes 2 f, turned by an
    angle that grows as exp(|f|) / 4. In the pinwheel of Johnson et al. 2016 it grows with the first
    coordinate of f in place of |f|; with |f|, the twist keeps areas and can be undone, so that the
    density is known.
    """

    box = ((-5.0, 5.0), (-5.0, 5.0))
    uniforms = 3

    _scales = np.array([0.3, 0.1])

    def log_prob(self, points):
        """See `Density.log_prob`."""
        halves = points / 2
        twist = self._twist(halves)
        each = []
        for blade in range(5):
            scaled = (_turned(halves, -twist - self._angle(blade)) - [1, 0]) / self._scales
            each.append(-0.5 * np.square(scaled).sum(axis=-1))
        log_normaliser = _LOG_2PI + np.log(self._scales).sum() + np.log(4) + np.log(5)
        return special().logsumexp(each, axis=0) - log_normaliser

    def from_uniforms(self, uniforms):
        """See `Density.from_uniforms`."""
        flat = [1, 0] + self._scales * special().ndtri(uniforms[:, 1:])
        blade = _part(uniforms[:, 0], 5)
        return 2 * _turned(flat, self._twist(flat) + self._angle(blade))

    @staticmethod
    def _twist(points: np.ndarray) -> np.ndarray:
        return 0.25 * np.exp(np.hypot(*points.T))

    @staticmethod
    def _angle(blade):
        return 2 * np.pi / 5 * blade


def _turned(points: np.ndarray, angles: np.ndarray) -> np.ndarray:
    """Points [n, 2] turned by angles [n] about the origin."""
    x, y = points.T
    cosine, sine = np.cos(angles), np.sin(angles)
    return np.stack([cosine * x - sine * y, sine * x + cosine * y], axis=-1)
