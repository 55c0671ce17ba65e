"""Grids of images as PNG files."""

import math
from pathlib import Path

import numpy as np
import tensorflow as tf

from biva_tf.files import write_atomically

_MIN_SIDE = 56  # pixels; smaller images are enlarged
_GAP = 2


def grid(images: np.ndarray, columns: int | None = None) -> np.ndarray:
    """Images [n, height, width, 1 or 3] in [0, 1], row by row, as one uint8 picture.

    Args:
      images: the images.
      columns: images per row; by default the number that makes the picture closest to a square.
    """
    n, height, width, channels = images.shape
    columns = columns or math.ceil(math.sqrt(n))
    rows = math.ceil(n / columns)
    scale = math.ceil(_MIN_SIDE / max(height, width))
    pixels = np.round(np.clip(images, 0, 1) * 255).astype(np.uint8)
    pixels = pixels.repeat(scale, axis=1).repeat(scale, axis=2)
    cell_h, cell_w = pixels.shape[1] + _GAP, pixels.shape[2] + _GAP
    picture = np.full((rows * cell_h + _GAP, columns * cell_w + _GAP, channels), 96, np.uint8)
    for i, image in enumerate(pixels):
        top, left = _GAP + i // columns * cell_h, _GAP + i % columns * cell_w
        picture[top : top + image.shape[0], left : left + image.shape[1]] = image
    return picture


def png(picture: np.ndarray) -> bytes:
    """A picture, uint8 [height, width, 1 or 3], as the content of a PNG file."""
    return tf.io.encode_png(picture).numpy()


def write_png(path: Path, picture: np.ndarray) -> None:
    """Writes a picture, uint8 [height, width, 1 or 3], as a PNG file."""
    write_atomically(path, png(picture))
