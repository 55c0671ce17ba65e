"""Data sets of one or two images, batches of one, and what a run begins with."""

import dataclasses
import shutil

import numpy as np
import pytest
from conftest import last_json, run
from PIL import Image

import biva_tf
from biva_tf.data.images import Images
from biva_tf.data.pipeline import TrainingData
from biva_tf.model import architectures
from biva_tf.runs.config import RunConfig
from biva_tf.training import run as training_run
from biva_tf.training.devices import make_strategy
from biva_tf.training.trainer import Trainer


class _BegunError(Exception):
    """Ends a run before its first step."""


def test_runs_that_differ_in_the_batch_size_begin_with_the_same_weights(
    digits_json, tmp_path, monkeypatch
):
    begun = []

    def stop(run_dir, config, data, trainer, *others):
        begun.append([v.numpy() for v in trainer.model.trainable_variables])
        raise _BegunError

    monkeypatch.setattr(training_run, "Loop", stop)
    config = RunConfig(architecture=str(digits_json), seed=3)
    for size, init_images in ((1, 64), (8, 64), (8, 0)):
        changed = dataclasses.replace(config, batch_size=size, init_images=init_images)
        with pytest.raises(_BegunError):
            training_run.train(changed, tmp_path / f"{size}_{init_images}")
    for one, eight in zip(*begun[:2], strict=True):
        np.testing.assert_array_equal(one, eight)
    # By the first batch, as the original does, they begin with others.
    assert any((a != b).any() for a, b in zip(begun[1], begun[2], strict=True))


@pytest.mark.parametrize("batch_size", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_two_images_that_differ_in_a_pixel_train(batch_size):
    """The features that tell the two apart hardly vary: the initialisation scales them up most."""
    pixels = np.random.default_rng(0).integers(0, 2, (1, 8, 8, 1)).astype(np.uint8).repeat(2, 0)
    pixels[1, 0, 0] ^= 1
    images = Images(255 * pixels, "none", 0, np.zeros(2, np.int64))
    config = RunConfig(architecture="tiny_dense", batch_size=batch_size, learning_rate=0.005)
    data = TrainingData(images, config.seed)
    trainer = Trainer(architectures.get("tiny_dense"), config, make_strategy("one_device"))
    trainer.initialise(data.initial_images(config.init_images))
    losses = [trainer.train_step(batch)[0].numpy() for batch in trainer.distribute(data, 0, 40)]
    assert np.max(losses) < losses[0] + 10  # which NaN is not
    assert np.mean(losses[-5:]) < losses[0] - 10


@pytest.mark.slow
def test_fit_takes_one_image_and_a_last_batch_of_one():
    images = np.random.default_rng(0).integers(0, 2, (5, 8, 8, 1)).astype(np.float32)
    model = biva_tf.build("tiny_dense")
    for some in (images[:1], images):
        history = model.fit(some, batch_size=4, epochs=2, verbose=0).history
        assert np.isfinite(history["loss"]).all()
        metrics = model.evaluate(some, batch_size=4, verbose=0, return_dict=True)
        assert np.isfinite(metrics["elbo"])


@pytest.mark.slow
def test_a_picture_of_ones_own_is_prepared_trained_on_and_evaluated(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (8, 8, 3)).astype(np.uint8)
    (tmp_path / "pictures" / "train").mkdir(parents=True)
    Image.fromarray(pixels).save(tmp_path / "pictures" / "train" / "a.png")
    data_set = ("--dataset=image_folder", f"--data_dir={tmp_path / 'data'}")
    prepare = ("-m", "biva_tf.prepare_data", *data_set, f"--source={tmp_path / 'pictures'}")
    result = run(*prepare)
    assert result.returncode == 1 and "found train/a.png alone" in result.stderr
    shutil.copytree(tmp_path / "pictures" / "train", tmp_path / "pictures" / "test")
    result = run(*prepare)  # what was refused blocks nothing
    assert result.returncode == 0, result.stderr[-3000:]
    model_dir = f"--model_dir={tmp_path / 'run'}"
    steps = ("--steps=60", "--eval_every=30", "--log_every=20", "--batch_size=1")
    result = run(
        *("-m", "biva_tf.train", *data_set, "--architecture=tiny_conv", model_dir, *steps),
        *("--learning_rate=0.01", "--ema_decay=0.9"),
    )
    assert result.returncode == 0, result.stderr[-3000:]
    assert last_json(result.stdout)["bits_per_dim"] < 8.9  # from 9.03
    result = run("-m", "biva_tf.evaluate", model_dir, "--iw_samples=3")
    assert result.returncode == 0, result.stderr[-3000:]
    assert last_json(result.stdout)["l_k_bits_per_dim"] < 8.9
