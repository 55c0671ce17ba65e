"""What a model draws, as a picture: images as a grid, points as a scatter plot."""

import numpy as np

from biva_tf.model.spec import ModelSpec
from biva_tf.plotting.figures import pixels, scatter
from biva_tf.plotting.grid import grid

_IMAGES, _POINTS, _SENTENCES = 64, 2048, 20


def number(spec: ModelSpec) -> int:
    """How many samples a picture, or a page, shows by default."""
    if spec.of_text:
        return _SENTENCES
    return _POINTS if spec.of_points else _IMAGES


def picture(samples: np.ndarray, spec: ModelSpec) -> np.ndarray:
    """Samples as a picture, uint8 [height, width, 1 or 3].

    Args:
      samples: [n, *spec.image_shape], or [n, columns, *spec.image_shape] with a column for each of
        several kinds of samples. A grid has them as its columns, a scatter plot as its panels.
      spec: the spec of the model that drew them.
    """
    columns = None
    if samples.ndim == 5:
        columns = samples.shape[1]
    if spec.of_points:
        points = samples.reshape(len(samples), columns or 1, -1)
        return pixels(scatter(points.swapaxes(0, 1)))
    return grid(samples.reshape(-1, *samples.shape[-3:]), columns)
