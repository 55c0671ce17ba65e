from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from conftest import run

import biva_tf
from biva_tf import pretrained, sample
from biva_tf.data import picture_files
from biva_tf.errors import UserError


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


def test_of_fewer_images_than_the_default_all_are_drawn(finished, tmp_path):
    np.save(tmp_path / "x.npy", np.random.default_rng(0).integers(0, 2, (3, 28, 28)) * 255)

    def drawn(mode, **others):
        output = str(tmp_path / mode)
        settings = {"model_dir": str(finished[0]), "input": str(tmp_path / "x.npy"), "steps": 3}
        made = sample.run(sample.SampleSettings(mode=mode, output=output, **settings, **others))
        return made.arrays["images"].shape[:2]

    assert drawn("reconstruct") == (3, 3)
    assert drawn("interpolate") == (1, 3)  # the third has no partner
    with pytest.raises(UserError, match="at most the 3 images that there are, got 4"):
        drawn("reconstruct", num_samples=4)


@pytest.mark.parametrize("mode", ["reconstruct", "interpolate"])
def test_a_shipped_model_draws_from_images_that_ship_with_it(mode, tmp_path):
    """On a machine without the data set; and the same as on a machine with it."""
    result = run(
        *("-m", "biva_tf.sample", "--pretrained=fashion_small", f"--mode={mode}", "--steps=3"),
        *("--examples=0,63", f"--data_dir={tmp_path}", f"--output={tmp_path / 'drawn'}"),
    )
    assert result.returncode == 0, result.stderr[-3000:]
    with np.load(tmp_path / "drawn.npz") as file:
        first = file["originals"] if mode == "reconstruct" else file["first"]
    shipped = pretrained.examples(pretrained.run_dir("fashion_small"))
    np.testing.assert_array_equal(first[0], shipped[0:1][0])
    assert set(np.unique(first)) == {0, 1}


def test_images_of_a_data_set_that_is_not_there_can_be_given(tmp_path):
    result = run(
        *("-m", "biva_tf.sample", "--pretrained=fashion_small", "--mode=reconstruct"),
        *("--split=train", f"--data_dir={tmp_path}"),
    )
    assert result.returncode == 1
    assert "--dataset=fashion_mnist: not found in --data_dir" in result.stderr
    assert "Or give images of your own: --input" in result.stderr


def test_the_users_own_images_are_reconstructed_as_the_model_reads_them(tmp_path):
    grey = np.random.default_rng(0).integers(0, 256, (3, 28, 28)).astype(np.uint8)
    np.save(tmp_path / "images.npy", grey)
    np.savez(tmp_path / "images.npz", images=grey[..., np.newaxis] / 255)
    picture_files.write(tmp_path / "pictures", grey[..., np.newaxis])
    drawn = {}
    for name in ("images.npy", "images.npz", "pictures"):
        settings = sample.SampleSettings(
            pretrained="fashion_small",
            mode="reconstruct",
            input=str(tmp_path / name),
            examples=(2, 0),
            k=(0,),
            output=str(tmp_path / "drawn"),
        )
        drawn[name] = sample.run(settings).arrays
        binary = (grey[[2, 0], ..., np.newaxis] > 127).astype(np.float32)
        np.testing.assert_array_equal(drawn[name]["originals"], binary)
        np.testing.assert_array_equal(drawn[name]["images"], drawn["images.npy"]["images"])


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (np.zeros((2, 8, 8), np.uint8), r"images\.npy: expected an image of 28x28x1, got 8x8"),
        (np.full((2, 28, 28), 3.0), r"images\.npy: expected values from 0 to 1, got 3"),
        (None, r"input=.*: expected files, folders of pictures"),
    ],
)
def test_wrong_input_is_named(images, message, tmp_path):
    path = tmp_path / ("images.npy" if images is not None else "images.txt")
    if images is not None:
        np.save(path, images)
    settings = sample.SampleSettings(
        pretrained="fashion_small", mode="reconstruct", input=str(path), examples=(0,)
    )
    with pytest.raises(UserError, match=message):
        sample.run(settings)
