"""Two moons and spirals: points of curves with Gaussian noise added.

The density is an integral along the curves, computed as a sum over equally probable points that are
much closer to each other than the noise is wide.
"""

from collections.abc import Callable

import numpy as np

from biva_tf.data.densities.density import Density, special

_NODES = 400  # of the sum, per curve
_CHUNK = 256  # points whose distances to all nodes are in memory together


class NoisyCurves(Density):
    """One curve of several, each as probable as the others, plus Gaussian noise.

    Args:
      curves: each maps numbers in (0, 1), [n], to points, [n, 2]; a uniform number gives a point.
      scale: the standard deviation of the noise.
      box: see `Density`.
    """

    uniforms = 4
    cells = 200  # the noise makes it smooth

    def __init__(self, curves: tuple[Callable[[np.ndarray], np.ndarray], ...], scale: float, box):
        self._curves, self._scale, self.box = curves, scale, box
        at = (np.arange(_NODES) + 0.5) / _NODES
        self._nodes = np.concatenate([curve(at) for curve in curves])

    def log_prob(self, points):
        """See `Density.log_prob`."""
        log_normaliser = np.log(2 * np.pi * self._scale**2 * len(self._nodes))
        nodes = self._nodes / self._scale
        half_squares = 0.5 * np.square(nodes).sum(axis=-1)
        log_prob = np.empty(len(points))
        for start in range(0, len(points), _CHUNK):
            part = points[start : start + _CHUNK] / self._scale
            exponents = part @ nodes.T - half_squares
            largest = exponents.max(axis=1)
            exponents -= largest[:, np.newaxis]
            sums = np.exp(exponents, out=exponents).sum(axis=1)
            outer = largest - 0.5 * np.square(part).sum(axis=-1)
            log_prob[start : start + _CHUNK] = outer + np.log(sums)
        return log_prob - log_normaliser

    def from_uniforms(self, uniforms):
        """See `Density.from_uniforms`."""
        number = len(self._curves)
        chosen = np.minimum((uniforms[:, 0] * number).astype(np.int64), number - 1)
        on_curves = np.stack([curve(uniforms[:, 1]) for curve in self._curves])
        noise = self._scale * special().ndtri(uniforms[:, 2:])
        return on_curves[chosen, np.arange(len(uniforms))] + noise


def two_moons() -> NoisyCurves:
    """Two half circles of radius 2 that reach into each other; noise of deviation 0.2."""

    def upper(t):
        return np.stack([2 * np.cos(np.pi * t) - 1, 2 * np.sin(np.pi * t) - 0.5], axis=-1)

    def lower(t):
        return -upper(t)

    return NoisyCurves((upper, lower), 0.2, ((-4.5, 4.5), (-3.0, 3.0)))


def spirals() -> NoisyCurves:
    """Two spirals of one turn and a half, even in area; noise of deviation 0.1."""

    def one(t):
        angle = 3 * np.pi * np.sqrt(t)
        return angle[:, np.newaxis] / 3 * np.stack([-np.cos(angle), np.sin(angle)], axis=-1)

    def other(t):
        return -one(t)

    return NoisyCurves((one, other), 0.1, ((-4.0, 4.0), (-4.0, 4.0)))
