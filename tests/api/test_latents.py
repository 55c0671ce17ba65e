"""What the model can do with its latents in Python, and how its methods draw."""

import warnings

import keras
import numpy as np
import pytest
from conftest import perturbed, random_images

import biva_tf


@pytest.fixture(scope="module")
def model():
    return perturbed("tiny_dense")


@pytest.fixture(scope="module")
def images(model):
    return random_images(model.spec, 5)


def test_encode_gives_posterior_means_by_name(model, images):
    latents = model.encode(images)
    names = [latent.name for latent in model.spec.latents]
    assert list(latents) == names
    for name, shape in zip(names, model.latent_shapes, strict=True):
        assert latents[name].shape == (5, *shape) and latents[name].dtype == np.float32
    again = model.encode(images)
    for name in names:
        np.testing.assert_array_equal(latents[name], again[name])


def test_encode_draws_around_the_mean_of_the_lowest_latents(model, images):
    """The lowest latent of the bottom-up branch depends on the image alone."""
    lowest = model.spec.latents[0].name
    same = np.repeat(images[:1], 300, axis=0)
    mean = model.encode(images[:1])[lowest]
    draws = model.encode(same, draws=True, seed=1)[lowest]
    error = draws.std(axis=0) / np.sqrt(len(draws))
    assert np.mean(np.abs(draws.mean(axis=0) - mean[0]) < 3 * error) > 0.97
    np.testing.assert_array_equal(draws, model.encode(same, draws=True, seed=1)[lowest])


def test_decoding_an_encoding_reconstructs_from_all_means(model, images):
    latents = model.encode(images)
    decoded = model.decode(latents)
    assert decoded.shape == images.shape and decoded.dtype == np.float32
    each = [model.decode({name: z[i : i + 1] for name, z in latents.items()}) for i in range(5)]
    np.testing.assert_allclose(decoded, np.concatenate(each), atol=1e-6)
    draws = model.encode(images, draws=True, seed=2)
    np.testing.assert_allclose(model.decode(draws), model.reconstruct(images, seed=2), atol=1e-5)


def test_decode_names_what_does_not_fit(model, images):
    latents = model.encode(images)
    top = model.spec.latents[-1].name
    without = {name: z for name, z in latents.items() if name != top}
    with pytest.raises(ValueError, match=f"latents: expected .*{top}, got"):
        model.decode(without)
    with pytest.raises(ValueError, match=f"{top}: expected shape"):
        model.decode({**latents, top: latents[top][:2]})
    with pytest.raises(ValueError, match=f"{top}: expected finite numbers"):
        model.decode({**latents, top: latents[top] * np.nan})


def test_every_method_gives_numpy_arrays_of_its_shape(model, images):
    shape = model.spec.image_shape
    top = model.spec.latents[-1].name
    results = {
        (2, *shape): model.sample(2),
        (5, *shape): model.reconstruct(images, k=1),
        (2, 4, *shape): model.interpolate(images[:2], images[2:4], steps=4),
        (1, 7, *shape): model.traverse(top, (0,), image=images[0]),
        (3, model.spec.num_levels, *shape): model.levels(3),
    }
    for expected, result in results.items():
        assert type(result) is np.ndarray and result.dtype == np.float32
        assert result.shape == expected


def test_without_a_seed_every_call_draws_anew_and_keras_makes_it_reproducible(model, images):
    def draws():
        return model.sample(2), model.score(images).bound_nats, model.reconstruct(images)

    keras.utils.set_random_seed(3)
    first, second = draws(), draws()
    keras.utils.set_random_seed(3)
    again = draws()
    for a, b, c in zip(first, second, again, strict=True):
        assert not np.array_equal(a, b)
        np.testing.assert_array_equal(a, c)


def test_an_untrained_model_says_so_once(images):
    untrained = biva_tf.build("tiny_dense")
    with pytest.warns(UserWarning, match="neither trained nor loaded"):
        untrained.sample(1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        untrained.score(images)
        perturbed("tiny_dense").sample(1)


def test_the_public_names_are_those_of_the_package():
    assert set(biva_tf.__all__) == set(biva_tf._MODULES)
    for name in biva_tf.__all__:
        assert getattr(biva_tf, name) is not None
    assert biva_tf.evaluate.run and biva_tf.evaluate.EvaluateSettings
