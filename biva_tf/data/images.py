"""The images of a split: stored as uint8 pixels, read by the model as float32 in [0, 1].

`Images.binarize` says how grey images are binarised. Each random draw depends only on the seed, the
epoch and the example, not on the batch, the order of the examples or the host that reads them.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, ClassVar, NamedTuple

import numpy as np

from biva_tf.model.observed import UNIT

if TYPE_CHECKING:
    import tensorflow as tf

BINARIZATIONS = ("none", "threshold", "bernoulli", "dynamic")
NO_LABEL = -1  # the label of an image whose class is unknown


class Batch(NamedTuple):
    """A batch of examples.

    Attributes:
      images: float32 [rows, height, width, channels]: in [0, 1], points of a density, or the ids of
        sentences.
      labels: int64 [rows]; `NO_LABEL` for an image without a label.
    """

    images: np.ndarray | tf.Tensor
    labels: np.ndarray | tf.Tensor

    @staticmethod
    def unlabelled(images: tf.Tensor) -> Batch:
        """A batch of tensors without labels."""
        import tensorflow as tf

        return Batch(images, tf.fill(tf.shape(images)[:1], tf.constant(NO_LABEL, tf.int64)))


@dataclasses.dataclass(frozen=True)
class Images:
    """The images of a split, and their labels.

    `images[indices]` takes a slice or an array and returns float32 [n, height, width, channels] in
    [0, 1].

    Attributes:
      pixels: uint8 [n, height, width, channels], in memory or mapped from disk.
      binarize: "none": value / 255. "threshold": 1 above the threshold, else 0. "bernoulli": 1
        with probability value / 255, drawn once. "dynamic": as "bernoulli", but drawn again in
        every epoch.
      seed: the seed of the draws.
      labels: int64 [n]; None if the split has none.
      threshold: a pixel value, 0 to 254.
    """

    pixels: np.ndarray
    binarize: str
    seed: int
    labels: np.ndarray | None = None
    threshold: int = 127

    tokens: ClassVar[None] = None  # there are none to count

    def __len__(self) -> int:
        return len(self.pixels)

    def __getitem__(self, indices) -> np.ndarray:
        places = np.arange(len(self))[indices]
        images = self.batch(np.atleast_1d(places)).images
        return images if np.ndim(places) else images[0]

    @property
    def values(self) -> tuple[float, float]:
        """The least and the greatest value that a pixel can have."""
        return UNIT

    @property
    def image_shape(self) -> tuple[int, ...]:
        """(height, width, channels)."""
        return self.pixels.shape[1:]

    def batch(self, examples: np.ndarray, epoch: int = 0) -> Batch:
        """A batch of examples.

        Args:
          examples: the indices of the examples in the split.
          epoch: the number of completed passes over the split. Only "dynamic" depends on it.
        """
        labels = np.full(len(examples), NO_LABEL, np.int64)
        if self.labels is not None:
            labels = np.asarray(self.labels[examples], np.int64)
        pixels = self.pixels[examples]
        epoch = epoch if self.binarize == "dynamic" else 0
        images = as_read(pixels, examples, self.binarize, self.seed, self.threshold, epoch)
        return Batch(images, labels)

    def first(self, number: int) -> Images:
        """The first `number` images."""
        labels = None if self.labels is None else self.labels[:number]
        return dataclasses.replace(self, pixels=self.pixels[:number], labels=labels)


def as_read(
    pixels: np.ndarray,
    examples: np.ndarray,
    binarize: str,
    seed: int,
    threshold: int,
    epoch: int = 0,
) -> np.ndarray:
    """Images as the model reads them, float32 [n, height, width, channels] in [0, 1].

    Args:
      pixels: [n, height, width, channels], from 0 to 255.
      examples: the number of each image, by which it has its draws.
      binarize, seed, threshold: as in `Images`.
      epoch: the epoch of the draws.
    """
    if binarize == "none":
        return pixels.astype(np.float32) / np.float32(255)
    if binarize == "threshold":
        return (pixels > threshold).astype(np.float32)
    uniforms = np.empty(pixels.shape, np.float32)
    for row, example in enumerate(examples):
        # The 1 keeps these draws apart from those that choose the examples of a batch.
        philox = np.random.Philox(key=[seed, example], counter=[0, 0, 1, epoch])
        uniforms[row] = np.random.Generator(philox).random(pixels.shape[1:], np.float32)
    return (uniforms * 255 < pixels).astype(np.float32)
