"""The noise of a batch for other rows: gathered from it, or all the same."""

from collections.abc import Sequence

import tensorflow as tf

from biva_tf.model.noise.protocol import Noise


class GatheredNoise(Noise):
    """The noise of rows that were gathered from a batch: each has the noise of the row it was.

    Args:
      noise: the noise of the batch.
      number: the number of its rows.
      rows: the row of the batch that each gathered row was, [gathered rows].
    """

    def __init__(self, noise: Noise, number: int | tf.Tensor, rows: tf.Tensor):
        self._noise, self._number, self._rows = noise, number, rows

    def normal(self, stream: str, shape: Sequence) -> tf.Tensor:
        """Standard normal numbers of `shape` = (gathered rows, *event), float32."""
        return tf.gather(self._noise.normal(stream, self._of_batch(shape)), self._rows)

    def uniform(self, stream: str, shape: Sequence) -> tf.Tensor:
        """Uniform numbers in [0, 1) of `shape` = (gathered rows, *event), float32."""
        return tf.gather(self._noise.uniform(stream, self._of_batch(shape)), self._rows)

    def dropout_mask(self, stream: str, rate: float, shape: Sequence) -> tf.Tensor:
        """A dropout mask of `shape` = (gathered rows, *event), float32, scaled."""
        return tf.gather(self._noise.dropout_mask(stream, rate, self._of_batch(shape)), self._rows)

    def _of_batch(self, shape: Sequence) -> tuple:
        return (self._number, *shape[1:])


class SameNoise(Noise):
    """Noise that is the same in every row, so that rows differ by their inputs alone.

    Args:
      noise: the noise whose first row all rows have.
    """

    def __init__(self, noise: Noise):
        self._noise = noise

    def normal(self, stream: str, shape: Sequence) -> tf.Tensor:
        """Standard normal numbers of `shape` = (rows, *event), float32."""
        return tf.repeat(self._noise.normal(stream, (1, *shape[1:])), shape[0], axis=0)

    def uniform(self, stream: str, shape: Sequence) -> tf.Tensor:
        """Uniform numbers in [0, 1) of `shape` = (rows, *event), float32."""
        return tf.repeat(self._noise.uniform(stream, (1, *shape[1:])), shape[0], axis=0)

    def dropout_mask(self, stream: str, rate: float, shape: Sequence) -> tf.Tensor:
        """A dropout mask of `shape` = (rows, *event), float32, scaled."""
        return tf.repeat(self._noise.dropout_mask(stream, rate, (1, *shape[1:])), shape[0], axis=0)
