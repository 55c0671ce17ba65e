"""How samples of x are shown: images as a grid, points as a scatter plot, sentences as lines."""

import dataclasses
from typing import ClassVar

import numpy as np

from biva_tf.data.text.vocabulary import Vocabulary
from biva_tf.model.observed import Observation
from biva_tf.model.spec import ModelSpec
from biva_tf.plotting.figures import pixels, scatter
from biva_tf.plotting.grid import grid
from biva_tf.plotting.pages import page


@dataclasses.dataclass(frozen=True)
class Shown:
    """How samples are shown: as text for a model of sentences, else as a picture.

    Attributes:
      picture: uint8 [height, width, 1 or 3]; None of text.
      text: lines; None of images and points.
    """

    picture: np.ndarray | None
    text: str | None


class Drawer:
    """Shows samples of one kind of x, and has the words for what is seen.

    Attributes:
      samples: how many samples are shown by default.
      originals: how many examples a report reconstructs.
      example: what stands beside its reconstructions.
      direction: the order in which an example and its reconstructions are seen.
      part: what of the picture, or of the page, shows one unit of a traversal.
    """

    samples: ClassVar[int]
    originals: ClassVar[int] = 8
    example: ClassVar[str] = "a test example"
    direction: ClassVar[str] = "From left to right"
    part: ClassVar[str] = "row"

    def show(self, samples: np.ndarray, vocabulary: Vocabulary | None = None) -> Shown:
        """Shows samples.

        Args:
          samples: [n, *spec.image_shape], or [n, columns, *spec.image_shape] with a column for each
            of several kinds of samples.
          vocabulary: that of sentences.
        """
        raise NotImplementedError

    def by_unit(self, traversal: np.ndarray) -> np.ndarray:
        """Images [units, steps, *spec.image_shape] for `show`, so that a `part` has one unit."""
        return traversal


class GridDrawer(Drawer):
    """Images. The columns of a grid are the kinds of samples."""

    samples = 64

    def show(self, samples: np.ndarray, vocabulary: Vocabulary | None = None) -> Shown:
        """A grid."""
        columns = samples.shape[1] if samples.ndim == 5 else None
        return Shown(grid(samples.reshape(-1, *samples.shape[-3:]), columns), None)


class ScatterDrawer(Drawer):
    """Points. There is a panel for each kind of samples."""

    samples = originals = 2048
    example = "the test points"
    part = "panel"

    def show(self, samples: np.ndarray, vocabulary: Vocabulary | None = None) -> Shown:
        """A scatter plot."""
        columns = samples.shape[1] if samples.ndim == 5 else 1
        points = samples.reshape(len(samples), columns, -1)
        return Shown(pixels(scatter(points.swapaxes(0, 1))), None)

    def by_unit(self, traversal: np.ndarray) -> np.ndarray:
        """A panel for each unit, not for each of its values."""
        return traversal.swapaxes(0, 1)


class LinesDrawer(Drawer):
    """Sentences. Those of all kinds follow each other in a paragraph."""

    samples = 20
    direction = "From top to bottom"
    part = "paragraph"

    def show(self, samples: np.ndarray, vocabulary: Vocabulary | None = None) -> Shown:
        """A page of lines."""
        if vocabulary is None:
            raise ValueError("vocabulary: expected that of the sentences, got None")
        return Shown(None, page(vocabulary.texts(samples)))


_DRAWERS = {
    Observation.IMAGE: GridDrawer(),
    Observation.POINT: ScatterDrawer(),
    Observation.SENTENCE: LinesDrawer(),
}


def drawer(spec: ModelSpec) -> Drawer:
    """What shows the samples of a model."""
    return _DRAWERS[spec.likelihood.x]
