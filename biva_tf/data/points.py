"""Points of a density as the model reads them: images of 1 x 1 pixels, a channel per coordinate."""

import dataclasses
from typing import ClassVar

import numpy as np

from biva_tf.data.batches import Batches
from biva_tf.data.densities import Density
from biva_tf.data.images import NO_LABEL, Batch
from biva_tf.model.observed import REALS

SHAPE = (1, 1, 2)  # of a point, as an image
VALIDATION, TEST = 1_000, 10_000  # points
_SEEDS = {"train": 1, "validation": 2, "test": 3}


def as_images(points: np.ndarray) -> np.ndarray:
    """Points [n, 2] as float32 [n, 1, 1, 2]."""
    return points.astype(np.float32).reshape(-1, *SHAPE)


@dataclasses.dataclass(frozen=True)
class Points:
    """The points of a split; `points[indices]` is float32 [n, 1, 1, 2].

    Attributes:
      array: float32 [n, 1, 1, 2].
    """

    array: np.ndarray

    image_shape = SHAPE
    values = REALS
    labels: ClassVar[None] = None
    tokens: ClassVar[None] = None  # there are none to count

    def __len__(self) -> int:
        return len(self.array)

    def __getitem__(self, indices) -> np.ndarray:
        return self.array[indices]

    def first(self, number: int) -> "Points":
        """The first `number` points."""
        return Points(self.array[:number])


@dataclasses.dataclass(frozen=True)
class EndlessPoints(Batches):
    """Training points, drawn anew for every batch.

    A point is a function of (seed, step, its row in the batch).

    Attributes:
      density: that they are drawn from.
      seed: the seed of the draws.
    """

    density: Density
    seed: int

    image_shape = SHAPE
    number = None

    def batch(self, step: int, size: int, part: int = 0, parts: int = 1) -> Batch:
        """See `Batches.batch`."""
        rows = size // parts
        drawn = draw(self.density, size, key=(self.seed, step), use=0)
        points = drawn[part * rows : (part + 1) * rows]
        return Batch(as_images(points), np.full(rows, NO_LABEL, np.int64))


def split(density: Density, name: str) -> Points:
    """The validation or the test split, the same in every run; of "train", as many as of "test"."""
    number = VALIDATION if name == "validation" else TEST
    return Points(as_images(draw(density, number, key=(_SEEDS[name], 0), use=1)))


def draw(density: Density, number: int, key: tuple[int, int], use: int) -> np.ndarray:
    """Points of a density, [number, 2]; the first ones do not depend on the number.

    Args:
      density: the density.
      number: how many.
      key: the key of the random numbers.
      use: random numbers of different uses have nothing in common.
    """
    rng = np.random.Generator(np.random.Philox(key=key, counter=[0, 0, 0, use]))
    uniforms = rng.random((number, density.uniforms))
    return density.from_uniforms(np.maximum(uniforms, 1e-16))  # 0 has no Gaussian quantile
