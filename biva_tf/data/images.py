"""A split as the model reads it: uint8 pixels, and how they become float32 in [0, 1].

Grey images are binarised in one of four ways. Every draw is a function of (seed, epoch, example),
and not of the batch, the order or the host that an example is read on.
"""

import dataclasses
from typing import NamedTuple

import numpy as np
import tensorflow as tf

BINARIZATIONS = ("none", "threshold", "bernoulli", "dynamic")
_THRESHOLD = 127
NO_LABEL = -1  # of an image whose class is not known


class Batch(NamedTuple):
    """A batch of examples.

    Attributes:
      images: float32 [rows, height, width, channels] in [0, 1].
      labels: int64 [rows]; `NO_LABEL` where there is none.
    """

    images: np.ndarray | tf.Tensor
    labels: np.ndarray | tf.Tensor


@dataclasses.dataclass(frozen=True)
class Images:
    """The images of a split, and their labels.

    `images[indices]`, with a slice or an array, is float32 [n, height, width, channels] in [0, 1].

    Attributes:
      pixels: uint8 [n, height, width, channels], in memory or mapped from disk.
      binarize: "none": value / 255. "threshold": 1 above 127, else 0. "bernoulli": 1 with
        probability value / 255, drawn once. "dynamic": the same, drawn anew in every epoch.
      seed: of the draws.
      labels: int64 [n]; None if the split has none.
    """

    pixels: np.ndarray
    binarize: str
    seed: int
    labels: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.pixels)

    def __getitem__(self, indices) -> np.ndarray:
        return self.batch(np.arange(len(self))[indices]).images

    @property
    def image_shape(self) -> tuple[int, ...]:
        """(height, width, channels)."""
        return self.pixels.shape[1:]

    def batch(self, examples: np.ndarray, epoch: int = 0) -> Batch:
        """A batch of examples by their places in the split.

        Args:
          examples: the places.
          epoch: how often the split was gone through before. Only "dynamic" depends on it.
        """
        labels = np.full(len(examples), NO_LABEL, np.int64)
        if self.labels is not None:
            labels = np.asarray(self.labels[examples], np.int64)
        return Batch(self._binarized(examples, epoch), labels)

    def _binarized(self, examples: np.ndarray, epoch: int) -> np.ndarray:
        pixels = self.pixels[examples]
        if self.binarize == "none":
            return pixels.astype(np.float32) / np.float32(255)
        if self.binarize == "threshold":
            return (pixels > _THRESHOLD).astype(np.float32)
        epoch = epoch if self.binarize == "dynamic" else 0
        uniforms = np.empty(pixels.shape, np.float32)
        for row, example in enumerate(examples):
            # The third number keeps these draws apart from those of the order of the batches.
            philox = np.random.Philox(key=[self.seed, example], counter=[0, 0, 1, epoch])
            uniforms[row] = np.random.Generator(philox).random(self.image_shape, np.float32)
        return (uniforms * 255 < pixels).astype(np.float32)

    def first(self, number: int) -> "Images":
        """The first so many."""
        labels = None if self.labels is None else self.labels[:number]
        return dataclasses.replace(self, pixels=self.pixels[:number], labels=labels)
