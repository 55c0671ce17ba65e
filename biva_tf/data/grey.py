"""How a model of binary images reads grey ones: the same wherever they come from.

The rule is that of the model's own data set, which its `config.json` and the metadata of its export
have as `settings["binarize"]` and `settings["threshold"]`. Data sets, `score_dataset`, `--input`
and the signatures of an export that take pictures follow it.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import numpy as np

from biva_tf.data.images import as_read
from biva_tf.data.pipeline import SEEDS, DataConfig

if TYPE_CHECKING:
    import tensorflow as tf


@dataclasses.dataclass(frozen=True)
class GreyRule:
    """How grey pixels become the values that a model reads.

    A picture that has only 0 and 255 comes out as 0 and 1 by every rule.

    Attributes:
      binarize: "none": value / 255. "threshold": 1 above the threshold, else 0. "bernoulli": 1 with
        probability value / 255, drawn by the picture's number.
      threshold: a pixel value, 0 to 254.
      seed: the seed of the draws.
    """

    binarize: str
    threshold: int
    seed: int = SEEDS["test"]

    @staticmethod
    def of(data: DataConfig) -> GreyRule:
        """The rule of a model whose training read its data set like this.

        `runs.config.evaluation_data(settings)` gives `data` of the settings of a run or an export.
        """
        return GreyRule(data.evaluation_binarize, data.threshold)

    def read(self, pixels: np.ndarray, numbers: np.ndarray) -> np.ndarray:
        """Pictures as the model reads them, float32 in [0, 1].

        Args:
          pixels: [n, height, width, channels], from 0 to 255.
          numbers: int [n], of each picture its number, by which it has its draws: its place in the
            input.
        """
        return as_read(pixels, numbers, self.binarize, self.seed, self.threshold)

    def read_in_graph(self, pixels: tf.Tensor, numbers: tf.Tensor) -> tf.Tensor:
        """`read` in a graph, the same bits: uint8 pixels of a known shape, numbers int64 [n]."""
        import tensorflow as tf

        from biva_tf.model.pixels import FLOATS
        from biva_tf.nn import numpy_philox

        if self.binarize == "none":
            return tf.gather(FLOATS, tf.cast(pixels, tf.int32))
        pixels = tf.cast(pixels, tf.float32)
        if self.binarize == "threshold":
            return tf.cast(pixels > float(self.threshold), tf.float32)
        shape = pixels.shape[1:]
        draws = numpy_philox.uniforms(self.seed, numbers, (1, 0), shape.num_elements())
        draws = tf.reshape(draws, (-1, *shape))
        return tf.cast(draws * 255.0 < pixels, tf.float32)
