"""A batch whose code would be longer than its pixels is stored as pixels."""

import numpy as np
import pytest
from conftest import perturbed, random_images

from biva_tf.compression import stored
from biva_tf.compression.codec import Codec
from biva_tf.compression.container import Reader
from biva_tf.compression.options import Options
from biva_tf.compression.stack import RandomWords, Stack
from biva_tf.model import architectures

SMALL = Options(rows=4, block=6, seed=3)


@pytest.fixture(scope="module")
def sure():
    """A codec of a model that is nearly sure that pixels are white."""
    model = perturbed("tiny_dense")
    for variable in model.trainable_variables:
        variable.assign(variable * 20)
    return Codec(model)


def test_a_batch_whose_code_is_longer_than_its_pixels_is_stored_as_pixels(sure):
    """So a file is longer than its pixels by its headers alone: 20 bytes a block, 5 a run."""
    shape = (20, 8, 8, 1)
    for images in (np.zeros(shape), np.ones(shape), random_images(architectures.tiny_dense(), 20)):
        compressed = sure.compress(images, SMALL)
        assert compressed.stored_batches == compressed.batches > 0
        assert compressed.data[4] == 2  # the format
        assert compressed.stack_bits <= images.size + 64
        header = len(Reader(compressed.data).header.pack())
        assert len(compressed.data) <= images.size // 8 + header + 4 * (20 + 5) + 8
        np.testing.assert_array_equal(sure.decompress(compressed.data), images)


@pytest.mark.parametrize("values", [2, 256])
def test_stored_pixels_come_back_and_look_random(values):
    """Also those of a black picture, and at a cost of log2(values) bits each."""
    stack = Stack(RandomWords(0).last_to_first(0, 4))
    black = np.zeros((3, 40, 40, 1), np.uint8)
    stored.push(stack, black, values, (1, 2))
    bits = np.unpackbits(stack.words().view(np.uint8))
    assert bits.mean() == pytest.approx(0.5, abs=0.05)
    assert abs(len(bits) - 4 * 32 - black.size * np.log2(values)) <= 64
    back = stored.pop(stack, black.shape, values, (1, 2))
    assert back.dtype == np.uint8 and not back.any()
