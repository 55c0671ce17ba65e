"""The words are those of TensorFlow's kernels."""

import numpy as np
import tensorflow as tf

from biva_tf.nn import philox


def test_the_words_are_those_of_the_kernels():
    rng = np.random.default_rng(0)
    for _ in range(10):
        key, upper = rng.integers(-(2**63), 2**63, 2)
        first = int(rng.integers(0, 2**62))
        counter = np.array([first, upper.astype(np.uint64)], np.uint64)
        expected = tf.raw_ops.StatelessRandomUniformFullIntV2(
            shape=(6, 4), key=[key.astype(np.uint64)], counter=counter, alg=1, dtype=tf.uint32
        )
        counters = first + tf.range(6, dtype=tf.int64)
        np.testing.assert_array_equal(philox.words(key, counters, upper), expected)


def test_keys_and_counters_are_broadcast():
    keys, counters, uppers = np.array([[1], [2]]), np.array([[3, 4, 5]]), np.array([[6], [7]])
    words = philox.words(*(tf.constant(v, tf.int64) for v in (keys, counters, uppers)))
    assert words.shape == (2, 3, 4)
    for i in range(2):
        for j in range(3):
            one = (tf.constant(v, tf.int64) for v in (keys[i, 0], counters[0, j], uppers[i, 0]))
            np.testing.assert_array_equal(words[i, j], philox.words(*one))
