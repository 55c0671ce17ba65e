"""One rule for grey pictures, the same in NumPy and in a graph."""

import numpy as np
import pytest
import tensorflow as tf

from biva_tf.data.grey import GreyRule
from biva_tf.data.images import Images
from biva_tf.nn import numpy_philox
from biva_tf.runs import config


def test_the_graph_draws_the_numbers_of_numpy():
    numbers = [0, 1, 2**40 + 7]
    expected = [
        np.random.Generator(np.random.Philox(key=[3, n], counter=[0, 0, 1, 5])).random(
            45, np.float32
        )
        for n in numbers
    ]
    np.testing.assert_array_equal(
        numpy_philox.uniforms(3, tf.constant(numbers), (1, 5), 45), expected
    )


@pytest.mark.parametrize("binarize", ["none", "threshold", "bernoulli"])
def test_a_grey_picture_is_the_same_in_a_data_set_and_in_a_graph(binarize):
    pixels = np.random.default_rng(0).integers(0, 256, (6, 5, 7, 3)).astype(np.uint8)
    rule = GreyRule(binarize, threshold=99)
    numbers = np.array([2, 0, 5])
    expected = Images(pixels, binarize, rule.seed, threshold=99)[numbers]
    np.testing.assert_array_equal(rule.read(pixels[numbers], numbers), expected)
    in_graph = tf.function(rule.read_in_graph, autograph=False)
    found = in_graph(tf.constant(pixels[numbers]), tf.constant(numbers))
    np.testing.assert_array_equal(found, expected)
    black_and_white = np.uint8(pixels > 128) * np.uint8(255)
    np.testing.assert_array_equal(rule.read(black_and_white, np.arange(6)), black_and_white / 255)


def test_the_rule_is_that_of_the_training():
    settings = config.defaults() | {"dataset": "omniglot", "binarize": "auto"}
    assert GreyRule.of(config.evaluation_data(settings)).binarize == "bernoulli"
    settings |= {"binarize": "threshold", "threshold": 60}
    assert GreyRule.of(config.evaluation_data(settings)) == GreyRule("threshold", 60, seed=3)
