"""The model's random numbers: drawn from one seed, or given.

Each posterior draw, prior draw and dropout mask asks for its numbers under a stream name of its
own. The noise of a stream is one long sequence in which every row (example) of the whole batch has
its own place. So the same seed gives the same draw on any number of replicas and in chunks of any
size, and no two rows or streams ever share noise.
"""

import contextlib
import functools
import math
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Protocol

import numpy as np
import tensorflow as tf

from biva_tf.nn import graphs, philox

_PHILOX = 1  # the value of the raw ops' `alg` argument
_PER_COUNTER = 4  # 32-bit numbers that Philox gives per value of its counter
_MIXING_KEY = 0x02461E293EC8F720  # by which TensorFlow's kernels turn a seed into key and counter
_DROPOUT_STEPS = 2**16  # dropout rates are multiples of 1 / this: 16 bits decide about a unit


class Noise(Protocol):
    """A source of random numbers for one pass through the model.

    A training pass with dropout also needs `dropout_mask`: a `SeededNoise`, or rows gathered from
    it (`GatheredNoise`).
    """

    def normal(self, stream: str, shape: Sequence) -> tf.Tensor:
        """Standard normal numbers of `shape` = (rows, *event), float32."""

    def uniform(self, stream: str, shape: Sequence) -> tf.Tensor:
        """Uniform numbers in [0, 1) of `shape` = (rows, *event), float32."""


class SeededNoise:
    """Noise drawn statelessly from one seed.

    Args:
      seed: an int, or an int32 or int64 tensor of shape [2].
      first_row: the index of this batch's first row in the whole batch, an int or a scalar tensor:
        the offset of a replica or of a chunk.
    """

    def __init__(self, seed, first_row=0):
        if isinstance(seed, int):
            seed = (seed, 0)
        self._seed = tf.cast(seed, tf.int64)
        self._first_row = tf.cast(first_row, tf.uint64)
        # Hashing the seed spreads seeds that are close to each other (0, 1, 2, ...), so that no
        # stream of one seed equals another stream of the next seed.
        self._root = _fold_in(self._seed, tf.constant(0, tf.int64))[0]

    def fold(self, data, first_row=0) -> "SeededNoise":
        """Independent noise for each value of the integer `data`, such as the training step."""
        return SeededNoise(_fold_in(self._seed, tf.cast(data, tf.int64)), first_row)

    def normal(self, stream: str, shape: Sequence) -> tf.Tensor:
        """Standard normal numbers of `shape` = (rows, *event), float32."""
        return self._draw(_ops.normal, stream, shape)

    def uniform(self, stream: str, shape: Sequence) -> tf.Tensor:
        """Uniform numbers in [0, 1) of `shape` = (rows, *event), float32."""
        return self._draw(_ops.uniform, stream, shape)

    def dropout_mask(self, stream: str, rate: float, shape: Sequence) -> tf.Tensor:
        """A dropout mask of `shape` = (rows, *event), float32, scaled.

        0 with probability `rate` (rounded to 16 bits), else 1 / (1 - rate).
        """
        return _dropout_mask(*self._stream(stream), rate, *_static(shape))

    def _draw(self, op, stream, shape):
        return _floats(*self._stream(stream), op, *_static(shape))

    def _stream(self, stream):
        return self._root, tf.constant(zlib.crc32(stream.encode()), tf.int64), self._first_row


# A graph holds many draws of few kinds and shapes; each kind and shape is traced once.


@graphs.traced_once
def _floats(root, stream, first_row, op, rows, event):
    return _numbers(root, stream, first_row, op, tf.float32, rows, event)


@graphs.traced_once
def _dropout_mask(root, stream, first_row, rate, rows, event):
    size = math.prod(event)
    words = tf.raw_ops.StatelessRandomUniformFullIntV2
    # Each 32-bit word serves two units, since drawing the words is what dropout costs.
    numbers = _numbers(root, stream, first_row, words, tf.uint32, rows, (-(-size // 2),))
    bits = tf.reshape(tf.bitcast(numbers, tf.uint16), (rows, -1))[:, :size]
    dropped = round(rate * _DROPOUT_STEPS)
    kept = tf.cast(bits >= tf.constant(dropped, tf.uint16), tf.float32)
    return tf.reshape(kept * (_DROPOUT_STEPS / (_DROPOUT_STEPS - dropped)), (rows, *event))


def _numbers(root, stream, first_row, op, dtype, rows, event):
    size = math.prod(event)
    # Each row starts at a counter of its own, so its numbers do not depend on its neighbours.
    counters_per_row = -(-size // _PER_COUNTER)
    key, counter = _key_counter(tf.stack([root, stream]))
    offset = first_row * tf.constant(counters_per_row, tf.uint64)
    counter += tf.stack([offset, tf.constant(0, tf.uint64)])
    padded = (rows, counters_per_row * _PER_COUNTER)
    numbers = op(shape=padded, key=key, counter=counter, alg=_PHILOX, dtype=dtype)
    return tf.reshape(numbers[:, :size], (rows, *event))


def _fold_in(seed, data):
    """`tf.random.experimental.stateless_fold_in`, in XLA too."""
    key, counter = _key_counter(seed)
    words = tf.raw_ops.StatelessRandomUniformFullIntV2
    folded = words(shape=(), key=key, counter=counter, alg=_PHILOX, dtype=tf.int64)
    return tf.stack([folded, data])


def _key_counter(seed):
    """The op StatelessRandomGetKeyCounter, which in XLA drops the upper half of each int64."""
    words = tf.raw_ops.StatelessRandomUniformFullIntV2
    key, counter = tf.constant([_MIXING_KEY], tf.uint64), tf.bitcast(seed, tf.uint64)
    mixed = words(shape=(2, 2), key=key, counter=counter, alg=_PHILOX, dtype=tf.uint32)
    key, upper = tf.unstack(tf.bitcast(mixed, tf.uint64))
    return key[tf.newaxis], tf.stack([tf.constant(0, tf.uint64), upper])


def _static(shape):
    """The rows, as an int if they are statically known, and the event shape."""
    rows, *event = shape
    if tf.is_tensor(rows):
        known = tf.get_static_value(rows)
        rows = rows if known is None else int(known)
    return rows, tuple(event)


def _words(**arguments):
    arguments["dtype"] = tf.uint32
    return tf.raw_ops.StatelessRandomUniformFullIntV2(**arguments)


def _uniform_of(words):
    """What StatelessRandomUniformV2 gives outside XLA: the lower 23 bits of each word."""
    words = tf.bitwise.bitwise_and(words, tf.constant(0x7FFFFF, tf.uint32))
    return tf.cast(tf.bitcast(words, tf.int32), tf.float32) * 2.0**-23


def _normal_of(words):
    """What StatelessRandomNormalV2 gives outside XLA, up to rounding: Box-Muller of each pair."""
    pairs = tf.reshape(_uniform_of(words), (-1, words.shape[1] // 2, 2))
    radius = tf.sqrt(-2.0 * tf.math.log(tf.maximum(pairs[..., 0], 1e-7)))
    angle = 2.0 * math.pi * pairs[..., 1]
    points = tf.stack([radius * tf.sin(angle), radius * tf.cos(angle)], axis=-1)
    return tf.reshape(points, (-1, words.shape[1]))


class _Ops:
    """The operations that give floats."""

    normal = staticmethod(tf.raw_ops.StatelessRandomNormalV2)
    uniform = staticmethod(tf.raw_ops.StatelessRandomUniformV2)


class _OpsForXla:
    normal = staticmethod(lambda **arguments: _normal_of(_words(**arguments)))
    uniform = staticmethod(lambda **arguments: _uniform_of(_words(**arguments)))


_ops: type[_Ops] | type[_OpsForXla] = _Ops


@contextlib.contextmanager
def for_xla() -> Iterator[None]:
    """Graphs that are traced now are for XLA, which makes other floats of the same words."""
    global _ops
    before, _ops = _ops, _OpsForXla
    try:
        yield
    finally:
        _ops = before


class SampleNoise:
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

    def _draw(self, draw, stream, shape):
        rows, *event = shape
        if self._only is not None:
            return draw(self._only, stream, shape)
        images = rows // tf.size(self._samples)

        def one(sample):
            return draw(self._noise.fold(sample, self._first_image), stream, (images, *event))

        drawn = tf.map_fn(one, self._samples, fn_output_signature=tf.float32)
        return tf.ensure_shape(tf.reshape(drawn, (rows, *event)), (None, *event))


class NumberedNoise:
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
            lambda sample: noise.fold(sample)._root,
            first_sample + tf.range(tf.cast(samples, tf.int64)),
        )

    def normal(self, stream: str, shape: Sequence) -> tf.Tensor:
        """Standard normal numbers of `shape` = (rows, *event), float32."""
        return self._draw(self._of_a_row.normal, _normal_of, stream, shape)

    def uniform(self, stream: str, shape: Sequence) -> tf.Tensor:
        """Uniform numbers in [0, 1) of `shape` = (rows, *event), float32."""
        return self._draw(self._of_a_row.uniform, _uniform_of, stream, shape)

    def _draw(self, of_a_row, of_words, stream, shape):
        _, *event = shape
        name = tf.constant(zlib.crc32(stream.encode()), tf.int64)
        return tf.cond(
            self._in_a_row,
            lambda: of_a_row(stream, shape),
            lambda: _numbered(self._roots, name, self._numbers, of_words, tuple(event)),
        )


@graphs.traced_once
def _numbered(roots, stream, numbers, of_words, event):
    size = math.prod(event)
    counters_per_row = -(-size // _PER_COUNTER)
    seeds = tf.stack([roots, tf.fill(tf.shape(roots), stream)], axis=1)

    def of_sample(seed):
        key, counter = _key_counter(seed)
        return tf.bitcast(tf.stack([key[0], counter[1]]), tf.int64)

    halves = tf.map_fn(of_sample, seeds)[:, tf.newaxis, tf.newaxis]
    key, upper = tf.unstack(halves, axis=-1)
    counters = numbers[:, tf.newaxis] * counters_per_row
    counters += tf.range(tf.constant(counters_per_row, tf.int64))
    words = philox.words(key, counters, upper)
    words = tf.reshape(words, (-1, counters_per_row * _PER_COUNTER))
    return tf.reshape(of_words(words)[:, :size], (-1, *event))


def of_samples(noise: SeededNoise, first_sample, samples, images) -> Noise:
    """The noise of samples of images.

    Args:
      noise, first_sample, samples: as in `SampleNoise`.
      images: the index of the first image, a scalar (the others follow), or of each, [images].
    """
    if tf.is_tensor(images) and images.shape.rank == 1:
        return NumberedNoise(noise, first_sample, samples, images)
    return SampleNoise(noise, first_sample, samples, images)


class GatheredNoise:
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
        mask = self._noise.dropout_mask(  # type: ignore[attr-defined]  # a training pass has it
            stream, rate, self._of_batch(shape)
        )
        return tf.gather(mask, self._rows)

    def _of_batch(self, shape: Sequence) -> tuple:
        return (self._number, *shape[1:])


class GivenNoise:
    """Standard normal noise given as arrays, for comparisons with another program.

    There is no dropout under given noise.

    Args:
      posterior: the noise of each posterior draw by latent name, each [rows, *latent shape].
      prior: the same for prior draws.
    """

    def __init__(self, posterior: Mapping = {}, prior: Mapping = {}):
        self._arrays = {posterior_stream(name): array for name, array in posterior.items()}
        self._arrays |= {prior_stream(name): array for name, array in prior.items()}

    def normal(self, stream: str, shape: Sequence) -> tf.Tensor:
        """The array given for `stream`. Raises ValueError if there is none, or of another shape."""
        if stream not in self._arrays:
            raise ValueError(f"no noise was given for {stream}; given: {sorted(self._arrays)}")
        array = tf.convert_to_tensor(self._arrays[stream], tf.float32)
        if not array.shape[1:].is_compatible_with(shape[1:]):
            raise ValueError(f"noise for {stream}: expected {shape[1:]}, got {array.shape[1:]}")
        return array

    def uniform(self, stream: str, shape: Sequence) -> tf.Tensor:
        """Raises ValueError: only Gaussian noise can be given."""
        raise ValueError(f"given noise has no uniform numbers (asked for {stream}, {shape})")


class SameNoise:
    """Noise that is the same in every row, so that rows differ by their inputs alone."""

    def __init__(self, noise: SeededNoise):
        self._noise = noise

    def normal(self, stream: str, shape: Sequence) -> tf.Tensor:
        """Standard normal numbers of `shape` = (rows, *event), float32."""
        return tf.repeat(self._noise.normal(stream, (1, *shape[1:])), shape[0], axis=0)

    def uniform(self, stream: str, shape: Sequence) -> tf.Tensor:
        """Uniform numbers in [0, 1) of `shape` = (rows, *event), float32."""
        return tf.repeat(self._noise.uniform(stream, (1, *shape[1:])), shape[0], axis=0)


class HostDraws:
    """Draws that a function on the host makes, in place of draws by noise.

    A pass calls it once for every latent that it draws, in its order, also inside a graph. So
    whatever knows the values of the latents, such as an entropy coder, needs no pass of its own.

    Args:
      draw: maps (stream, mean, log-variance), float32 arrays of the Gaussian to draw from, each
        [rows, *latent shape], to the value of the latent, float32 of the same shape.
    """

    def __init__(self, draw: Callable[[str, np.ndarray, np.ndarray], np.ndarray]):
        self._draw = draw

    def draw(self, stream: str, mean: tf.Tensor, log_variance: tf.Tensor) -> tf.Tensor:
        """The value that the host gives, [rows, *latent shape]."""
        on_host = functools.partial(self._draw, stream)
        z = tf.numpy_function(on_host, (mean, log_variance), tf.float32)
        return tf.ensure_shape(z, mean.shape)

    def normal(self, stream: str, shape: Sequence) -> tf.Tensor:
        """Raises ValueError: the host draws values."""
        raise ValueError(f"asked for noise ({stream}, {shape}) where the host draws values")

    def uniform(self, stream: str, shape: Sequence) -> tf.Tensor:
        """Raises ValueError: the host draws values."""
        raise ValueError(f"asked for noise ({stream}, {shape}) where the host draws values")


class NoNoise:
    """No noise: a draw from a Gaussian is its mean."""

    def normal(self, stream: str, shape: Sequence) -> tf.Tensor:
        """Zeros."""
        del stream
        return tf.zeros(shape)

    def uniform(self, stream: str, shape: Sequence) -> tf.Tensor:
        """Raises ValueError: a mean needs no uniform numbers."""
        raise ValueError(f"asked for uniform numbers ({stream}, {shape}) where there is no noise")


def posterior_stream(latent_name: str) -> str:
    """The stream of a latent's posterior draw."""
    return f"{latent_name}/posterior"


def prior_stream(latent_name: str) -> str:
    """The stream of a latent's prior draw."""
    return f"{latent_name}/prior"
