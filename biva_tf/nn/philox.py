"""Philox4x32-10, the counter-based generator of TensorFlow's stateless kernels, for any counters.

The kernels number the words of one draw from a single counter on. Here every row has a counter of
its own, so that a row's numbers follow it wherever it stands in a batch. Reference: Salmon et al.,
"Parallel random numbers: as easy as 1, 2, 3" (2011).
"""

import tensorflow as tf

_ROUNDS = 10
_MULTIPLIERS = (0xD2511F53, 0xCD9E8D57)
_KEY_STEPS = (0x9E3779B9, 0xBB67AE85)
_LOWER = 0xFFFFFFFF


def words(key: tf.Tensor, counters: tf.Tensor, upper: tf.Tensor) -> tf.Tensor:
    """The four words of each counter, uint32 [*shape, 4].

    The arguments are int64 and are broadcast to `shape`.

    Args:
      key: whose bits are the two words of the key.
      counters: the lower halves of the 128-bit counters.
      upper: their upper halves.
    """
    # In int64, which has kernels on every device: the lower 64 bits of products are those of
    # unsigned numbers, and a mask undoes the sign that a shift brings in.
    keys = [_low(key), _high(key)]
    x = [_low(counters), _high(counters)]
    x += [tf.zeros_like(counters) + half for half in (_low(upper), _high(upper))]
    for _ in range(_ROUNDS):
        first, second = x[0] * _MULTIPLIERS[0], x[2] * _MULTIPLIERS[1]
        x = [
            _xor(_high(second), _xor(x[1], keys[0])),
            _low(second),
            _xor(_high(first), _xor(x[3], keys[1])),
            _low(first),
        ]
        keys = [_low(k + step) for k, step in zip(keys, _KEY_STEPS, strict=True)]
    return tf.cast(tf.stack(x, axis=-1), tf.uint32)


def _low(value: tf.Tensor) -> tf.Tensor:
    return tf.bitwise.bitwise_and(value, tf.constant(_LOWER, tf.int64))


def _high(value: tf.Tensor) -> tf.Tensor:
    return _low(tf.bitwise.right_shift(value, tf.constant(32, tf.int64)))


_xor = tf.bitwise.bitwise_xor
