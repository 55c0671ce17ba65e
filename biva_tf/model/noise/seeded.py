"""Noise drawn statelessly from one seed."""

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import tensorflow as tf

from biva_tf.model.noise import words
from biva_tf.model.noise.protocol import Noise
from biva_tf.nn import graphs

_DROPOUT_STEPS = 2**16  # dropout rates are multiples of 1 / this: 16 bits decide about a unit


class SeededNoise(Noise):
    """Noise drawn statelessly from one seed.

    Args:
      seed: an int, or an int32 or int64 tensor of shape [2].
      first_row: the index of this batch's first row in the whole batch, an int or a scalar tensor:
        the offset of a replica or of a chunk.
      for_xla: whether the draws are for a graph that XLA compiles. Its own kernels make other
        floats of the same random words, so the graph then makes the floats itself.
    """

    def __init__(self, seed, first_row=0, *, for_xla: bool = False):
        if isinstance(seed, int):
            seed = (seed, 0)
        self._seed = tf.cast(seed, tf.int64)
        self._first_row = tf.cast(first_row, tf.uint64)
        self._for_xla = for_xla
        # Hashing the seed spreads seeds that are close to each other (0, 1, 2, ...), so that no
        # stream of one seed equals another stream of the next seed.
        self._root = words.fold_in(self._seed, tf.constant(0, tf.int64))[0]

    @property
    def root(self) -> tf.Tensor:
        """The hashed seed, a scalar int64: with a stream's number, it seeds the stream."""
        return self._root

    def fold(self, data, first_row=0) -> "SeededNoise":
        """Independent noise for each value of the integer `data`, such as the training step."""
        seed = words.fold_in(self._seed, tf.cast(data, tf.int64))
        return SeededNoise(seed, first_row, for_xla=self._for_xla)

    def normal(self, stream: str, shape: Sequence) -> tf.Tensor:
        """Standard normal numbers of `shape` = (rows, *event), float32."""
        return self._draw((_OF_WORDS if self._for_xla else _OF_KERNELS).normal, stream, shape)

    def uniform(self, stream: str, shape: Sequence) -> tf.Tensor:
        """Uniform numbers in [0, 1) of `shape` = (rows, *event), float32."""
        return self._draw((_OF_WORDS if self._for_xla else _OF_KERNELS).uniform, stream, shape)

    def dropout_mask(self, stream: str, rate: float, shape: Sequence) -> tf.Tensor:
        """A dropout mask of `shape` = (rows, *event), float32, scaled.

        0 with probability `rate` (rounded to 16 bits), else 1 / (1 - rate).
        """
        return _dropout_mask(*self._stream(stream), rate, *_static(shape))

    def _draw(self, op, stream, shape):
        return _floats(*self._stream(stream), op, *_static(shape))

    def _stream(self, stream):
        return self._root, words.number_of(stream), self._first_row


# A graph holds many draws of few kinds and shapes; each kind and shape is traced once.


@graphs.traced_once
def _floats(root, stream, first_row, op, rows, event):
    return _numbers(root, stream, first_row, op, tf.float32, rows, event)


@graphs.traced_once
def _dropout_mask(root, stream, first_row, rate, rows, event):
    size = math.prod(event)
    words_op = tf.raw_ops.StatelessRandomUniformFullIntV2
    # Each 32-bit word serves two units, since drawing the words is what dropout costs.
    numbers = _numbers(root, stream, first_row, words_op, tf.uint32, rows, (-(-size // 2),))
    bits = tf.reshape(tf.bitcast(numbers, tf.uint16), (rows, -1))[:, :size]
    dropped = round(rate * _DROPOUT_STEPS)
    kept = tf.cast(bits >= tf.constant(dropped, tf.uint16), tf.float32)
    return tf.reshape(kept * (_DROPOUT_STEPS / (_DROPOUT_STEPS - dropped)), (rows, *event))


def _numbers(root, stream, first_row, op, dtype, rows, event):
    size = math.prod(event)
    key, counter = words.key_counter(tf.stack([root, stream]))
    offset = first_row * tf.constant(words.counters_per_row(size), tf.uint64)
    counter += tf.stack([offset, tf.constant(0, tf.uint64)])
    shape = (rows, words.per_row(size))
    numbers = op(shape=shape, key=key, counter=counter, alg=words.PHILOX, dtype=dtype)
    return tf.reshape(numbers[:, :size], (rows, *event))


def _static(shape):
    """The rows, as an int if they are statically known, and the event shape."""
    rows, *event = shape
    if tf.is_tensor(rows):
        known = tf.get_static_value(rows)
        rows = rows if known is None else int(known)
    return rows, tuple(event)


class _Floats(NamedTuple):
    """The operations that give floats."""

    normal: Callable
    uniform: Callable


def _of_words(floats: Callable[[tf.Tensor], tf.Tensor]) -> Callable:
    def op(**arguments):
        arguments["dtype"] = tf.uint32
        return floats(tf.raw_ops.StatelessRandomUniformFullIntV2(**arguments))

    return op


_OF_KERNELS = _Floats(tf.raw_ops.StatelessRandomNormalV2, tf.raw_ops.StatelessRandomUniformV2)
_OF_WORDS = _Floats(_of_words(words.normal_of), _of_words(words.uniform_of))
