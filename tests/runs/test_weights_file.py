"""Weights in one file: they come back as they were written, and a damaged file is refused."""

import dataclasses

import keras
import numpy as np
import pytest

from biva_tf.model import architectures
from biva_tf.model.network import Network
from biva_tf.runs import weights_file
from biva_tf.runs.checkpoints import CheckpointError


def _model(seed, spec=None):
    keras.utils.set_random_seed(seed)
    return Network(spec or architectures.get("tiny_dense"))


def test_the_weights_come_back_as_float16_has_them_and_their_step_too(tmp_path):
    model, other = _model(0), _model(1)
    weights_file.write(tmp_path, model, 123)
    assert weights_file.restore(tmp_path, other) == 123
    for written, read in zip(model.trainable_variables, other.trainable_variables, strict=True):
        expected = written.numpy().astype(np.float16).astype(np.float32)
        np.testing.assert_array_equal(read.numpy(), expected, strict=True)


@pytest.mark.parametrize("place", [200, -200])
def test_a_changed_byte_is_refused(place, tmp_path):
    weights_file.write(tmp_path, _model(0), 1)
    path = weights_file.path(tmp_path)
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match=r"weights.npz: expected sha256 \w{64}, got \w{64}"):
        weights_file.restore(tmp_path, _model(0))


def test_weights_of_another_model_are_refused(tmp_path):
    weights_file.write(tmp_path, _model(0), 1)
    spec = architectures.get("tiny_dense")
    other = dataclasses.replace(spec, generative_skips=False)
    with pytest.raises(
        CheckpointError, match=r"than the one built: expected \S+ of shape None, got \("
    ):
        weights_file.restore(tmp_path, _model(0, other))


@pytest.mark.parametrize("name", ["weights.npz", "weights.json"])
def test_the_error_for_a_missing_file_names_it(name, tmp_path):
    weights_file.write(tmp_path, _model(0), 1)
    (tmp_path / name).unlink()
    with pytest.raises(CheckpointError, match=rf"FileNotFoundError.*/{name}"):
        weights_file.restore(tmp_path, _model(0))
