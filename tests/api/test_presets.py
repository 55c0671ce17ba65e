"""Models by name or folder: what `load` gives, and what `save_to_preset` writes."""

import keras
import numpy as np
import pytest
from conftest import perturbed, random_images, run

import biva_tf
from biva_tf import pretrained


def test_a_shipped_model_is_loaded_by_name_and_knows_its_training():
    model = biva_tf.load("mnist_10k_small")
    assert isinstance(model, biva_tf.BIVA)
    training = model.training
    assert training.weights == "averaged" and training.weights_step > 0
    assert training.dataset == training.settings["dataset"] == "mnist_10k"
    assert model.images()[:2].shape == (2, 28, 28, 1)
    again = biva_tf.BIVA.from_preset(pretrained.FOLDER / "mnist_10k_small")
    assert again.training == training


def test_a_preset_has_the_weights_to_the_last_bit(tmp_path):
    model = perturbed("tiny_dense")
    images = random_images(model.spec, 3)
    model.save_to_preset(tmp_path / "preset")
    again = biva_tf.load(tmp_path / "preset")
    assert again.spec == model.spec
    for a, b in zip(model.trainable_variables, again.trainable_variables, strict=True):
        np.testing.assert_array_equal(a, b)
    np.testing.assert_array_equal(
        model.score(images, seed=1).bound_nats, again.score(images, seed=1).bound_nats
    )


def test_a_model_of_a_run_keeps_its_training_in_a_preset(tmp_path):
    model = biva_tf.load("mnist_10k_small")
    model.save_to_preset(tmp_path)
    again = biva_tf.load(tmp_path)
    assert again.training == model.training


def test_a_model_that_no_run_trained_asks_for_a_data_set(tmp_path):
    perturbed("tiny_dense").save_to_preset(tmp_path)
    model = biva_tf.load(tmp_path)
    assert model.training.settings == {}
    with pytest.raises(biva_tf.SettingsError, match="expected the name of a data set"):
        model.images()


def test_the_step_of_a_preset_counts_those_of_fit(tmp_path):
    model = biva_tf.build("tiny_dense")
    model.compile()
    model.fit(random_images(model.spec, 8), batch_size=4, epochs=3, verbose=0)
    model.save_to_preset(tmp_path)
    training = biva_tf.load(tmp_path).training
    assert training.weights_step == 6


def test_a_run_is_not_written_over(tmp_path):
    (tmp_path / "checkpoints").mkdir()
    with pytest.raises(biva_tf.RunDirError, match="got a run's"):
        perturbed("tiny_dense").save_to_preset(tmp_path)


def test_nothing_to_load_names_the_models_that_ship(tmp_path):
    with pytest.raises(biva_tf.RunDirError, match=r"no such file.*mnist_10k_small"):
        biva_tf.load(tmp_path)


def test_commands_read_a_preset_that_no_run_trained(tmp_path):
    spec = biva_tf.load("mnist_10k_small").spec
    model = biva_tf.BIVA(spec)
    keras.utils.set_random_seed(0)
    model.save_to_preset(tmp_path)
    sampled = run("-m", "biva_tf.sample", f"--model_dir={tmp_path}", "--num_samples=2")
    assert sampled.returncode == 0, sampled.stderr
    wanted = (f"--model_dir={tmp_path}", "--num_examples=2", "--iw_samples=1")
    scored = run("-m", "biva_tf.evaluate", *wanted, "--dataset=mnist_10k")
    assert scored.returncode == 0, scored.stderr
    for name in ("evaluate", "report"):
        refused = run("-m", f"biva_tf.{name}", f"--model_dir={tmp_path}")
        assert refused.returncode == 1
        (line,) = refused.stderr.strip().splitlines()
        assert line.startswith(f"{name}: ")
