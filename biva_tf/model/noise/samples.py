"""The noise of several importance samples of a batch of images."""

import math
from collections.abc import Sequence

import tensorflow as tf

from biva_tf.model.noise import words
from biva_tf.model.noise.protocol import Noise
from biva_tf.model.noise.seeded import SeededNoise
from biva_tf.nn import graphs, philox


class SampleNoise(Noise):
    """The noise of several importance samples of a batch: rows are [samples, images] in that order.

    The noise of sample s of image n is a function of (noise, s, n) alone. So L_10 uses the first
    ten samples of L_100, however many are drawn at once.

    Args:
      noise: to be folded by the sample.
      first_sample, samples: draw samples first_sample, ..., first_sample + samples - 1.
      first_image: the index of the batch's first image among all images.
    """

    def __init__(self, noise: SeededNoise, first_sample, samples, first_image=0):
        self._noise = noise
        first_sample = tf.cast(first_sample, tf.int64)
        self._samples = first_sample + tf.range(tf.cast(samples, tf.int64))
        self._first_image = first_image
        # A single sample needs no loop over the samples in the graph.
        single = isinstance(samples, int) and samples == 1
        self._only = noise.fold(first_sample, first_image) if single else None

    def normal(self, stream: str, shape: Sequence) -> tf.Tensor:
        """Standard normal numbers of `shape` = (rows, *event), float32."""
        return self._draw(SeededNoise.normal, stream, shape)

    def uniform(self, stream: str, shape: Sequence) -> tf.Tensor:
        """Uniform numbers in [0, 1) of `shape` = (rows, *event), float32."""
        return self._draw(SeededNoise.uniform, stream, shape)

    def dropout_mask(self, stream: str, rate: float, shape: Sequence) -> tf.Tensor:
        """A dropout mask of `shape` = (rows, *event), float32, scaled."""

        def mask(noise, stream, shape):
            return noise.dropout_mask(stream, rate, shape)

        return self._draw(mask, stream, shape)

    def _draw(self, draw, stream, shape):
        rows, *event = shape
        if self._only is not None:
            return draw(self._only, stream, shape)
        images = rows // tf.size(self._samples)

        def one(sample):
            return draw(self._noise.fold(sample, self._first_image), stream, (images, *event))

        drawn = tf.map_fn(one, self._samples, fn_output_signature=tf.float32)
        return tf.ensure_shape(tf.reshape(drawn, (rows, *event)), (None, *event))


class NumberedNoise(Noise):
    """As `SampleNoise`, for images with arbitrary indices; rows are [samples, images].

    Args:
      noise, first_sample, samples: as in `SampleNoise`.
      numbers: int64 [images]. An image of number n has the noise, up to rounding, that
        `SampleNoise` gives image n. It is drawn by `SampleNoise`, which is faster, if the numbers
        follow each other.
    """

    def __init__(self, noise: SeededNoise, first_sample, samples, numbers: tf.Tensor):
        first_sample = tf.cast(first_sample, tf.int64)
        self._numbers = numbers
        following = numbers[0] + tf.range(tf.size(numbers, tf.int64))
        self._in_a_row = tf.reduce_all(numbers == following)
        self._of_a_row = SampleNoise(noise, first_sample, samples, numbers[0])
        self._roots = tf.map_fn(
            lambda sample: noise.fold(sample).root,
            first_sample + tf.range(tf.cast(samples, tf.int64)),
        )

    def normal(self, stream: str, shape: Sequence) -> tf.Tensor:
        """Standard normal numbers of `shape` = (rows, *event), float32."""
        return self._draw(self._of_a_row.normal, words.normal_of, stream, shape)

    def uniform(self, stream: str, shape: Sequence) -> tf.Tensor:
        """Uniform numbers in [0, 1) of `shape` = (rows, *event), float32."""
        return self._draw(self._of_a_row.uniform, words.uniform_of, stream, shape)

    def dropout_mask(self, stream: str, rate: float, shape: Sequence) -> tf.Tensor:
        """Raises ValueError: no model is trained on images with arbitrary numbers."""
        raise ValueError(f"numbered noise has no dropout masks (asked for {stream}, {shape})")

    def _draw(self, of_a_row, of_words, stream, shape):
        _, *event = shape
        name = words.number_of(stream)
        return tf.cond(
            self._in_a_row,
            lambda: of_a_row(stream, shape),
            lambda: _numbered(self._roots, name, self._numbers, of_words, tuple(event)),
        )


@graphs.traced_once
def _numbered(roots, stream, numbers, of_words, event):
    size = math.prod(event)
    seeds = tf.stack([roots, tf.fill(tf.shape(roots), stream)], axis=1)

    def of_sample(seed):
        key, counter = words.key_counter(seed)
        return tf.bitcast(tf.stack([key[0], counter[1]]), tf.int64)

    halves = tf.map_fn(of_sample, seeds)[:, tf.newaxis, tf.newaxis]
    key, upper = tf.unstack(halves, axis=-1)
    counters = numbers[:, tf.newaxis] * words.counters_per_row(size)
    counters += tf.range(tf.constant(words.counters_per_row(size), tf.int64))
    drawn = tf.reshape(philox.words(key, counters, upper), (-1, words.per_row(size)))
    return tf.reshape(of_words(drawn)[:, :size], (-1, *event))


def of_samples(noise: SeededNoise, first_sample, samples, images) -> Noise:
    """The noise of samples of images.

    Args:
      noise, first_sample, samples: as in `SampleNoise`.
      images: the index of the first image, a scalar (the others follow), or of each, [images].
    """
    if tf.is_tensor(images) and images.shape.rank == 1:
        return NumberedNoise(noise, first_sample, samples, images)
    return SampleNoise(noise, first_sample, samples, images)
