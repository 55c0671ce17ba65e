from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from conftest import run

import biva_tf


def _sample(model_dir, *args):
    return run("-m", "biva_tf.sample", f"--model_dir={model_dir}", *args)


def test_the_same_seed_gives_the_same_files(trained, tmp_path):
    files = {}
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        result = _sample(
            trained, "--num_samples=5", f"--seed={seed}", f"--output={tmp_path / name}"
        )
        assert result.returncode == 0, result.stderr[-3000:]
        files[name] = [(tmp_path / f"{name}{s}").read_bytes() for s in (".npz", ".png")]
    assert files["a"] == files["b"] and files["a"] != files["c"]
    with np.load(tmp_path / "a.npz") as file:
        expected = biva_tf.load(trained).sample(5, seed=1)
        np.testing.assert_allclose(file["images"], expected, atol=1e-5)


@pytest.mark.parametrize(
    ("args", "shape", "cells"),
    [
        (("--mode=levels", "--num_samples=3"), (3, 3), (3, 3)),
        (("--mode=reconstruct", "--examples=4,9"), (2, 3), (2, 4)),
        (("--mode=interpolate", "--examples=4,9", "--steps=5", "--k=1"), (1, 5), (1, 7)),
        (("--mode=traverse", "--latent=z2_bu", "--steps=3"), (3, 3), (3, 3)),
    ],
)
def test_every_mode_writes_arrays_and_a_picture(trained, tmp_path, args, shape, cells):
    result = _sample(trained, *args)
    assert result.returncode == 0, result.stderr[-3000:]
    npz, png = result.stdout.split()
    with np.load(npz) as file:
        assert file["images"].shape == (*shape, 28, 28, 1)
    picture = tf.io.decode_png(Path(png).read_bytes())
    assert picture.shape[:2] == tuple(n * 58 + 2 for n in cells)


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (("--mode=interpolate", "--examples=1"), "--examples: expected pairs of images, got 1"),
        (("--mode=reconstruct", "--examples=5000"), "--examples: expected places in 0..999"),
    ],
)
def test_what_cannot_be_drawn_gives_one_message(finished, args, message):
    result = _sample(finished[0], *args)
    assert result.returncode == 1
    assert message in result.stderr and "Traceback" not in result.stderr
