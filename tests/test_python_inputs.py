"""What Python users give: seeds, images without channels, grey values, paths, Keras's callbacks."""

import itertools
import warnings

import keras
import numpy as np
import pytest
import tensorflow as tf
from conftest import perturbed, random_images

import biva_tf
from biva_tf.model import architectures
from biva_tf.training import keras_callbacks


@pytest.fixture(scope="module")
def model():
    model = perturbed("tiny_dense")
    model.compile(biva_tf.Adamax(0.002), seed=3)
    return model


def _datasets(images):
    return tf.data.Dataset.from_tensor_slices(images).batch(4)


@pytest.mark.parametrize("seed", [np.int64(3), np.uint8(3)])
def test_any_integer_is_a_seed(model, seed):
    np.testing.assert_array_equal(model.sample(2, seed=seed), model.sample(2, seed=3))
    images = random_images(model.spec, 2)
    found, expected = (model.score(images, seed=s).bound_nats for s in (seed, 3))
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("seed", [2**63, 0.5, "3"])
def test_a_seed_that_is_none_is_refused_in_one_line(model, seed):
    message = r"^seed: expected an integer.*, got "
    images = random_images(model.spec, 2)
    for call in (
        lambda: model.sample(1, seed=seed),
        lambda: model.score(images, seed=seed),
        lambda: perturbed("tiny_dense").compile(seed=seed),
    ):
        with pytest.raises(ValueError, match=message):
            call()


def test_grey_images_come_with_or_without_an_axis_of_channels(model):
    images = random_images(model.spec, 6)
    flat = images[..., 0]
    for call in (
        lambda x: model.score(x, seed=1).bound_nats,
        lambda x: model.reconstruct(x, seed=1),
        lambda x: model.predict(x, verbose=0),
        lambda x: model.predict(_datasets(x), verbose=0),
    ):
        np.testing.assert_array_equal(call(flat), call(images))
    with pytest.raises(ValueError, match=r"expected shape \[n >= 1, 8, 8, 1\], got \(6, 8\)"):
        model.score(flat[:, 0])


def test_grey_values_of_a_binary_model_come_with_one_warning():
    model = perturbed("tiny_dense")
    binary = random_images(model.spec, 2)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model.score(binary)
        model.score(np.uint8(binary * 255))
    with pytest.warns(UserWarning, match="binary images, got grey values") as caught:
        model.score(binary * 0.5)
    assert caught[0].filename == __file__
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model.score(binary * 0.5)


@pytest.mark.parametrize("scale", [255, -1, np.nan])
@pytest.mark.parametrize("call", ["fit", "evaluate", "predict"])
def test_tensors_and_data_sets_out_of_range_are_refused(model, call, scale):
    """By the check of arrays; in a data set, in the graph."""
    images = (random_images(model.spec, 4) * scale).astype(np.float32)
    message = r"images: expected values in \[0, 1\] or uint8 of 0 to 255, got"
    with pytest.raises(ValueError, match=message):
        getattr(model, call)(tf.constant(images), verbose=0)
    with pytest.raises(ValueError, match=message):
        getattr(model, call)(_datasets(images), verbose=0)


def test_a_home_folder_is_expanded(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    model = perturbed("tiny_dense")
    model.save_to_preset("~/models/a")
    assert (tmp_path / "models" / "a" / "config.json").exists()
    loaded = biva_tf.load("~/models/a")
    np.testing.assert_array_equal(loaded.sample(1, seed=0), model.sample(1, seed=0))


def test_a_model_is_built_from_the_file_of_a_spec(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    spec = architectures.get("tiny_conv")
    path = tmp_path / "my_spec.json"
    path.write_text(spec.to_json())
    for given in (path, str(path), "~/my_spec.json"):
        assert biva_tf.build(given).spec == spec
    with pytest.raises(ValueError, match=r"absent.json: cannot read it"):
        biva_tf.build(tmp_path / "absent.json")


def test_callbacks_of_keras_know_which_way_a_metric_goes():
    names = ["loss", "elbo", "kl/z1_bu"]
    stop = keras.callbacks.EarlyStopping("val_elbo")
    plateau = keras.callbacks.ReduceLROnPlateau("elbo")
    others = [
        keras.callbacks.EarlyStopping("val_kl/z1_bu"),
        keras.callbacks.EarlyStopping("val_elbo", mode="min"),
        keras.callbacks.EarlyStopping("val_mine"),
        keras.callbacks.LambdaCallback(),
    ]
    for callbacks in ([stop, plateau, *others], stop, None):
        keras_callbacks.direct(callbacks, names)
    assert (stop.mode, plateau.mode) == ("max", "max")
    assert [callback.mode for callback in others[:3]] == ["min", "min", "auto"]


def test_fit_takes_the_callbacks_of_keras(model):
    images = random_images(model.spec, 8)
    rates = []
    callbacks = [
        keras.callbacks.LearningRateScheduler(lambda epoch, rate: 0.01 if epoch else 0.0),
        keras.callbacks.EarlyStopping("val_elbo", patience=0),
        keras.callbacks.LambdaCallback(
            on_epoch_end=lambda epoch, logs: rates.append(logs["learning_rate"])
        ),
    ]
    history = model.fit(
        images, validation_data=(images,), epochs=9, callbacks=callbacks, verbose=0
    ).history
    # With a rate of 0 the first epoch changes nothing; training then goes on while it helps.
    np.testing.assert_allclose(rates[:2], [0, 0.01])
    elbo = history["val_elbo"]
    assert all(later > before for before, later in itertools.pairwise(elbo[:-1]))
