"""What every density over the plane is asked for, and integrals over the plane."""

import abc
import functools
import types
from collections.abc import Callable
from typing import ClassVar

import numpy as np

from biva_tf import extras


def special() -> types.ModuleType:
    """SciPy's special functions; raises MissingPackageError if SciPy is not installed."""
    extras.require("a density", "scipy")
    from scipy import special

    return special


class Density(abc.ABC):
    """A probability density over the plane. All numbers are float64, all logarithms natural.

    Attributes:
      box: ((x low, x high), (y low, y high)), outside of which there is less than 1e-5 of the
        probability.
      uniforms: how many uniform numbers a draw takes.
      cells: the number of cells per axis in an integral over the box.
    """

    box: tuple[tuple[float, float], tuple[float, float]]
    uniforms: ClassVar[int]
    cells: ClassVar[int] = 400

    @abc.abstractmethod
    def log_prob(self, points: np.ndarray) -> np.ndarray:
        """log p of points [n, 2], nats, [n]; -inf where the density is 0."""

    @abc.abstractmethod
    def from_uniforms(self, uniforms: np.ndarray) -> np.ndarray:
        """A draw, [n, 2], from each row of uniform numbers in (0, 1), [n, `uniforms`]."""

    @functools.cached_property
    def entropy(self) -> float:
        """-E[log p], nats, by integration over the box; its error is below 5e-4."""

        def integrand(points):
            log_p = self.log_prob(points)
            return -np.exp(log_p) * np.where(np.isfinite(log_p), log_p, 0.0)

        return self.integral(integrand)

    def integral(self, function: Callable[[np.ndarray], np.ndarray]) -> float:
        """The integral over the box of a function of points [n, 2], by the midpoint rule."""
        points, area = midpoints(self.box, self.cells)
        return float(function(points).sum() * area)


def midpoints(
    box: tuple[tuple[float, float], tuple[float, float]], cells: int
) -> tuple[np.ndarray, float]:
    """The midpoints of cells x cells equal cells of a box, [cells^2, 2], and a cell's area.

    The first coordinate changes fastest, so that reshaping to (cells, cells) gives rows of y.
    """
    (left, right), (low, high) = box
    steps = (np.arange(cells) + 0.5) / cells
    x, y = np.meshgrid(left + steps * (right - left), low + steps * (high - low))
    area = (right - left) * (high - low) / cells**2
    return np.stack([x.ravel(), y.ravel()], axis=-1), area
