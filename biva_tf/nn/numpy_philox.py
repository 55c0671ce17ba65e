"""NumPy's Philox4x64-10 in a graph: the floats of `numpy.random.Generator(Philox(...))`.

Reference: Salmon et al., "Parallel random numbers: as easy as 1, 2, 3" (2011).
"""

import tensorflow as tf

_ROUNDS = 10
_MULTIPLIERS = (0xD2E7470EE14C6C93, 0xCA5A826395121157)
_KEY_STEPS = (0x9E3779B97F4A7C15, 0xBB67AE8584CAA73B)
_LOWER = 0xFFFFFFFF


def uniforms(seed: int, numbers: tf.Tensor, counter: tuple[int, int], size: int) -> tf.Tensor:
    """Numbers in [0, 1), float32 [n, size], the same bits as NumPy's.

    Row i is `Generator(Philox(key=[seed, numbers[i]], counter=[0, 0, *counter])).random(size,
    numpy.float32)`.

    Args:
      seed: the first word of the keys, an integer >= 0.
      numbers: int64 [n], >= 0, the second words.
      counter: the upper two words of the counters.
      size: the number of floats of a row.
    """
    blocks = -(-size // 8)  # of four words of 64 bits, each two floats
    keys = [_word(seed), tf.cast(numbers, tf.uint64)[:, tf.newaxis]]
    counters = tf.cast(tf.range(1, blocks + 1), tf.uint64)[tf.newaxis]
    zeros = tf.zeros_like(counters + keys[1])
    x = [zeros + counters, zeros, zeros + _word(counter[0]), zeros + _word(counter[1])]
    for _ in range(_ROUNDS):
        (high, low), (other_high, other_low) = (
            _product(word, multiplier)
            for word, multiplier in zip((x[0], x[2]), _MULTIPLIERS, strict=True)
        )
        x = [
            _xor(_xor(other_high, x[1]), keys[0]),
            other_low,
            _xor(_xor(high, x[3]), keys[1]),
            low,
        ]
        keys = [key + _word(step) for key, step in zip(keys, _KEY_STEPS, strict=True)]
    words = tf.stack(x, axis=-1)
    halves = tf.stack([_low(words), _high(words)], axis=-1)
    floats = tf.cast(_shifted(halves, 8), tf.float32) * tf.constant(2.0**-24)
    return tf.reshape(floats, (-1, 8 * blocks))[:, :size]


def _product(word: tf.Tensor, multiplier: int) -> tuple[tf.Tensor, tf.Tensor]:
    """The upper and the lower half of a product of 128 bits."""
    low, high = _word(multiplier & _LOWER), _word(multiplier >> 32)
    a, b = _low(word) * low, _low(word) * high
    c, d = _high(word) * low, _high(word) * high
    middle = _high(a) + _low(b) + _low(c)
    return d + _high(b) + _high(c) + _high(middle), word * _word(multiplier)


def _word(value: int) -> tf.Tensor:
    return tf.constant(value, tf.uint64)


def _low(value: tf.Tensor) -> tf.Tensor:
    return tf.bitwise.bitwise_and(value, _word(_LOWER))


def _high(value: tf.Tensor) -> tf.Tensor:
    return _shifted(value, 32)


def _shifted(value: tf.Tensor, bits: int) -> tf.Tensor:
    return tf.bitwise.right_shift(value, _word(bits))


_xor = tf.bitwise.bitwise_xor
