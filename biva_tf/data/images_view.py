"""A split as the model reads it: uint8 pixels, and how they become float32 in [0, 1].

Grey images are binarised in one of four ways. Every draw is a function of (seed, visit, example):
not of the batch, the order or the host that an example is read on.
"""

import dataclasses

import numpy as np

MODES = ("none", "threshold", "bernoulli", "dynamic")
_THRESHOLD = 127


@dataclasses.dataclass(frozen=True)
class Images:
    """The images of a split.

    `images[indices]`, with a slice or an array, is float32 [n, height, width, channels] in [0, 1].

    Attributes:
      pixels: uint8 [n, height, width, channels], in memory or mapped from disk.
      binarize: "none": value / 255; "threshold": 1 above 127, else 0; "bernoulli": 1 with
        probability value / 255, drawn once; "dynamic": drawn at every visit.
      seed: of the draws.
    """

    pixels: np.ndarray
    binarize: str
    seed: int

    def __len__(self) -> int:
        return len(self.pixels)

    def __getitem__(self, indices) -> np.ndarray:
        return self.batch(np.arange(len(self))[indices])

    @property
    def image_shape(self) -> tuple[int, ...]:
        """(height, width, channels)."""
        return self.pixels.shape[1:]

    def batch(self, examples: np.ndarray, visit: int = 0) -> np.ndarray:
        """Images by their places, float32 [n, height, width, channels] in [0, 1].

        Args:
          examples: the places.
          visit: how often the split was gone through before; only "dynamic" sees it.
        """
        pixels = self.pixels[examples]
        if self.binarize == "none":
            return pixels.astype(np.float32) / np.float32(255)
        if self.binarize == "threshold":
            return (pixels > _THRESHOLD).astype(np.float32)
        visit = visit if self.binarize == "dynamic" else 0
        uniforms = np.empty(pixels.shape, np.float32)
        for row, example in enumerate(examples):
            # The third number keeps these draws apart from those of the order of the batches.
            philox = np.random.Philox(key=[self.seed, example], counter=[0, 0, 1, visit])
            uniforms[row] = np.random.Generator(philox).random(self.image_shape, np.float32)
        return (uniforms * 255 < pixels).astype(np.float32)

    def first(self, number: int) -> "Images":
        """The first so many."""
        return dataclasses.replace(self, pixels=self.pixels[:number])
