"""Batches of training data, each a pure function of the seed and the step.

So a resumed run sees the same batches as a run that was never interrupted, and every host can
compute its part of a batch.
"""

from __future__ import annotations

import abc
from typing import TYPE_CHECKING

import numpy as np

from biva_tf.data.images import Batch

if TYPE_CHECKING:
    import tensorflow as tf


class Batches(abc.ABC):
    """Training data, as a run reads it.

    Attributes:
      labelled: for semi-supervised learning, the places of the labelled examples. Then rows 0, 2,
        4, ... of a batch are drawn from them, and the others, without their labels, from all. None:
        all rows are drawn from all examples, with their labels if there are any.
    """

    labelled: np.ndarray | None = None

    @property
    @abc.abstractmethod
    def image_shape(self) -> tuple[int, ...]:
        """(height, width, channels)."""

    @property
    @abc.abstractmethod
    def number(self) -> int | None:
        """The number of different examples; None if they are drawn without end."""

    @abc.abstractmethod
    def batch(self, step: int, size: int, part: int = 0, parts: int = 1) -> Batch:
        """The batch of a step, or one of its equal parts, which has size / parts examples."""

    def initial_images(self, number: int) -> np.ndarray:
        """The images of the data-dependent initialisation, float32 [rows, *image_shape].

        They are a function of the seed and the number alone. With `labelled`, at least one that is
        and one that is not. Fewer examples than `number` are repeated: the model draws its latents
        for each row anew, and the deviation of one or two draws can be almost 0 by chance.
        """
        rows = number if self.number is None else min(number, self.number)
        if self.labelled is not None:
            rows, number = (max(2, each - each % 2) for each in (rows, number))
        return np.resize(self.batch(0, rows).images, (number, *self.image_shape))

    def batches(
        self, first_step: int, last_step: int, size: int, first_part: int, count: int, parts: int
    ) -> tf.data.Dataset:
        """A data set of `Batch`es: for each step, parts first_part ... first_part + count - 1.

        A host has `count` of all `parts` replicas and reads only the parts for its own replicas.
        """
        import tensorflow as tf

        rows = size // parts

        def part(index):
            def read(i):
                step, local = divmod(int(i), count)
                return tuple(self.batch(first_step + step, size, first_part + local, parts))

            images, labels = tf.numpy_function(read, [index], (tf.float32, tf.int64))
            return Batch(
                tf.ensure_shape(images, (rows, *self.image_shape)),
                tf.ensure_shape(labels, (rows,)),
            )

        indices = tf.data.Dataset.range((last_step - first_step) * count)
        return indices.map(part, num_parallel_calls=2).prefetch(2 * count)
