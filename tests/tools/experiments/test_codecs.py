"""tools.experiments.codecs: the codecs are lossless, and counted whole."""

import numpy as np
import pytest

from biva_tf.errors import SettingsError, UserError
from tools.experiments import codecs


@pytest.mark.parametrize(
    "shape,values", [((7, 9, 6, 1), 2), ((7, 9, 6, 1), 256), ((4, 8, 8, 3), 256)]
)
def test_every_general_codec_gives_the_pixels_back(shape, values):
    pixels = np.random.default_rng(0).integers(0, values, shape).astype(np.uint8)
    for name, codec in codecs._general(255 // (values - 1)).items():
        row = codecs._measured(name, codec, pixels)
        size = sum(len(codec.encode(part)) for part in codec.form(pixels))
        assert row.bits_per_dim == 8 * size / pixels.size
        # No code of random pixels is shorter than they are.
        assert row.bits_per_dim > np.log2(values), name


def test_a_codec_with_loss_is_refused():
    lossy = codecs.General(lambda part: part.tobytes(), lambda data: np.zeros(1, np.uint8), list)
    with pytest.raises(UserError, match="lossy: expected a lossless codec"):
        codecs._measured("lossy", lossy, np.ones((2, 1, 1, 1), np.uint8))


def test_a_model_beside_them():
    settings = codecs.CodecsSettings(pretrained="mnist_10k_small", num_examples=24, batch=4)
    found = codecs.run(settings)
    own, *general = found.rows
    assert found.images == 24 and own.codec == "biva_tf" and len(general) == 9
    assert found.bound_bits_per_dim + found.initial_bits_per_dim < own.bits_per_dim
    assert own.bits_per_dim < min(row.bits_per_dim for row in general)
    message = "--num_examples: expected at most the 1000 images of mnist_10k test, got 1001"
    with pytest.raises(SettingsError, match=message):
        codecs.run(codecs.CodecsSettings(pretrained="mnist_10k_small", num_examples=1001))
