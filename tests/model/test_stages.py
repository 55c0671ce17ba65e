"""Stages: a residual posterior, stages of one's own, and what becomes of the class."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf
from conftest import perturbed, random_images

import biva_tf
from biva_tf.model import architectures, assignments
from biva_tf.model.latents import LatentStats
from biva_tf.model.noise import SeededNoise
from biva_tf.model.spec import ModelSpec, SpecError
from biva_tf.model.top_down import Descent


def residual(name, **fields):
    return dataclasses.replace(architectures.get(name), posterior="residual", **fields)


def _top_down_latents(model, mean=0.0, log_variance=0.0):
    """The latents z_i^td of a pass in which their heads give constants."""
    for v in model.trainable_variables:
        if v.path.startswith("qz_top_down_") and "merge" not in v.path:
            of_variance = v.path.split("/")[0].endswith("_var")
            constant = log_variance if of_variance else mean
            if not v.path.endswith("/V"):
                v.assign(tf.fill(v.shape, constant if v.path.endswith("/b") else 0.0))
    output = model(random_images(model.spec), noise=SeededNoise(1))
    names = [latent.name for latent in model.spec.latents]
    pairs = zip(names, output.latents, strict=True)
    return [latent for name, latent in pairs if name.endswith("_td")]


@pytest.mark.parametrize(("name", "ceiling"), [("tiny_dense", None), ("tiny_conv", 0.75)])
def test_a_residual_posterior_whose_head_gives_zero_is_the_prior(name, ceiling):
    model = perturbed(residual(name, log_variance_ceiling=ceiling))
    latents = _top_down_latents(model)
    assert latents
    for latent in latents:
        assert np.std(latent.p.mean()) > 0
        np.testing.assert_array_equal(latent.q.mean(), latent.p.mean())
        np.testing.assert_array_equal(latent.q.log_variance, latent.p.log_variance)
        np.testing.assert_array_equal(latent.log_q, latent.log_p)


def test_the_head_of_a_residual_posterior_adds_to_mean_and_log_variance():
    spec = residual("tiny_conv", log_variance_ceiling=1.0)
    for latent in _top_down_latents(perturbed(spec), 0.25, 0.5):
        np.testing.assert_allclose(latent.q.mean() - latent.p.mean(), 0.25, atol=1e-6)
        expected = np.minimum(latent.p.log_variance + 0.5, 1.0)
        np.testing.assert_allclose(latent.q.log_variance, expected, atol=1e-6)
    for latent in _top_down_latents(perturbed(spec), 0.0, -5.0):  # variances below 1, too
        np.testing.assert_allclose(latent.q.log_variance - latent.p.log_variance, -5, atol=1e-5)


def test_the_json_of_a_spec_names_the_posterior_if_it_is_not_that_of_the_original():
    spec = residual("tiny_dense")
    assert ModelSpec.from_json(spec.to_json()) == spec
    assert '"posterior": "residual"' in spec.to_json()
    assert "posterior" not in architectures.get("tiny_dense").to_json()


@pytest.mark.slow
def test_a_model_with_residual_posteriors_is_trained_saved_and_scored(tmp_path):
    model = biva_tf.build(residual("tiny_dense"))
    images = random_images(model.spec, 4)
    model.compile()
    model.fit(images, batch_size=2, verbose=0)
    model.save_to_preset(tmp_path / "preset")
    again = biva_tf.load(tmp_path / "preset")
    scores = [m.score(images, seed=0).bound_nats for m in (model, again)]
    np.testing.assert_array_equal(*scores)
    assert np.isfinite(scores[0]).all()


@pytest.mark.parametrize("name", ["tiny_dense", "tiny_dense_lvae", "tiny_dense_vae"])
def test_every_layer_is_built_and_a_pass_adds_no_weights(name):
    model = biva_tf.build(name)
    layers, weights = model._flatten_layers(), len(model.weights)
    assert all(layer.built for layer in layers)
    model(random_images(model.spec), noise=SeededNoise(0), training=True)
    assert len(model.weights) == weights


def test_bottom_up_inference_has_no_residual_posterior():
    with pytest.raises(SpecError, match="posterior: expected direct, since bottom_up inference"):
        residual("tiny_dense_vae")


def test_the_class_enters_a_descent_once_and_takes_all_of_it_along():
    rows = tf.constant([[1.0], [2.0], [3.0]])
    gaussian = biva_tf.model.distributions.DiagonalGaussian(rows, rows)
    latent = LatentStats(rows, gaussian, None, rows[:, 0], rows[:, 0])
    state = Descent(3, SeededNoise(0), None).with_latents((latent,)).with_maps([rows, 10 * rows])
    classes = assignments.every_class(tf.constant([2, 0]), 2)
    entered = state.with_class(classes)
    assert int(entered.rows) == 4
    np.testing.assert_array_equal(entered.d[:, 0], [30, 10, 30, 10])
    np.testing.assert_array_equal(entered.latents[0].z[:, 0], [3, 1, 3, 1])
    np.testing.assert_array_equal(entered.y, classes.y)
    drawn = [n.normal("z", (r, 2)) for n, r in ((state.noise, 3), (entered.noise, 4))]
    np.testing.assert_array_equal(tf.gather(drawn[0], [2, 0, 2, 0]), drawn[1])
    assert entered.with_class(classes) is entered
