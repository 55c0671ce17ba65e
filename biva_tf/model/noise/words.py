"""The random words of a stream by TensorFlow's generator, Philox, and the floats made of them."""

import math
import zlib

import tensorflow as tf

PHILOX = 1  # the value of the raw ops' `alg` argument
_PER_COUNTER = 4  # 32-bit numbers that Philox gives per value of its counter
_MIXING_KEY = 0x02461E293EC8F720  # by which TensorFlow's kernels turn a seed into key and counter


def number_of(stream: str) -> tf.Tensor:
    """The number by which a stream is told from others, int64: a hash of its name."""
    return tf.constant(zlib.crc32(stream.encode()), tf.int64)


def counters_per_row(size: int) -> int:
    """The values of the counter that a row of `size` numbers takes.

    Each row starts at a counter of its own, so its numbers do not depend on its neighbours.
    """
    return -(-size // _PER_COUNTER)


def per_row(size: int) -> int:
    """The numbers that Philox gives a row of `size` numbers: as many, or up to 3 more."""
    return counters_per_row(size) * _PER_COUNTER


def fold_in(seed: tf.Tensor, data: tf.Tensor) -> tf.Tensor:
    """`tf.random.experimental.stateless_fold_in`, in XLA too."""
    key, counter = key_counter(seed)
    words = tf.raw_ops.StatelessRandomUniformFullIntV2
    folded = words(shape=(), key=key, counter=counter, alg=PHILOX, dtype=tf.int64)
    return tf.stack([folded, data])


def key_counter(seed: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """The op StatelessRandomGetKeyCounter, which in XLA drops the upper half of each int64."""
    words = tf.raw_ops.StatelessRandomUniformFullIntV2
    key, counter = tf.constant([_MIXING_KEY], tf.uint64), tf.bitcast(seed, tf.uint64)
    mixed = words(shape=(2, 2), key=key, counter=counter, alg=PHILOX, dtype=tf.uint32)
    key, upper = tf.unstack(tf.bitcast(mixed, tf.uint64))
    return key[tf.newaxis], tf.stack([tf.constant(0, tf.uint64), upper])


def uniform_of(words: tf.Tensor) -> tf.Tensor:
    """What StatelessRandomUniformV2 gives outside XLA: the lower 23 bits of each word."""
    words = tf.bitwise.bitwise_and(words, tf.constant(0x7FFFFF, tf.uint32))
    return tf.cast(tf.bitcast(words, tf.int32), tf.float32) * 2.0**-23


def normal_of(words: tf.Tensor) -> tf.Tensor:
    """What StatelessRandomNormalV2 gives outside XLA, up to rounding: Box-Muller of each pair."""
    pairs = tf.reshape(uniform_of(words), (-1, words.shape[1] // 2, 2))
    radius = tf.sqrt(-2.0 * tf.math.log(tf.maximum(pairs[..., 0], 1e-7)))
    angle = 2.0 * math.pi * pairs[..., 1]
    points = tf.stack([radius * tf.sin(angle), radius * tf.cos(angle)], axis=-1)
    return tf.reshape(points, (-1, words.shape[1]))
