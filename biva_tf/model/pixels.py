"""8-bit images as the floats that a model reads."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from biva_tf.model.kinds import LikelihoodKind
from biva_tf.model.observed import UNIT

if TYPE_CHECKING:
    import tensorflow as tf

SIXTEEN_BITS = 257  # a pixel of 16 bits is this many times one of 8 bits
BACKGROUND = 255  # white: what shows through a transparent pixel, as in a browser

# What `data.images` gives for each value. In a table, since TensorFlow may turn a division by 255
# into a product, which rounds differently.
FLOATS = np.arange(256, dtype=np.float32) / np.float32(255)


def as_floats(images: np.ndarray | tf.Tensor, likelihood: LikelihoodKind) -> np.ndarray | tf.Tensor:
    """Images of an array as float32: uint8 values v are v / 255, others stay as they are.

    Two kinds of uint8 values stay as they are, too: real numbers and ids; and bits, which are
    the images of a binary likelihood if none of them has a value beyond 1.

    Args:
      images: of any shape; a tensor gives a tensor.
      likelihood: the spec's.
    """
    import tensorflow as tf

    if images.dtype != np.uint8 or likelihood.values != UNIT:
        return _cast(images)
    if tf.is_tensor(images):
        floats = tf.gather(FLOATS, tf.cast(images, tf.int32))
        if not likelihood.binary:
            return floats
        return tf.where(tf.reduce_all(images <= 1), tf.cast(images, tf.float32), floats)
    of_bits = likelihood.binary and images.max(initial=0) <= 1
    return _cast(images) if of_bits else FLOATS[images]


def _cast(images):
    import tensorflow as tf

    if tf.is_tensor(images):
        return tf.cast(images, tf.float32)
    return np.asarray(images, np.float32)
