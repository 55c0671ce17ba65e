"""p(x|z) of real numbers."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf
from scipy import stats

import biva_tf
from biva_tf.inference.scoring import check_images
from biva_tf.model import architectures, likelihoods
from biva_tf.model.noise import NoNoise, SeededNoise
from biva_tf.model.observed import Observation
from biva_tf.model.spec import Bernoulli, Gaussian, ModelSpec

SPEC = architectures.get("density_2d")


@pytest.fixture
def px():
    """Of three rows: means -2 to 3, log-variances -1, 0, 1 in turn."""
    mean = np.arange(-2, 4).reshape(3, 1, 1, 2)
    log_variance = np.resize([-1, 0, 1], (3, 1, 1, 2))
    parameters = np.concatenate([mean, log_variance], axis=-1).astype(np.float32)
    return likelihoods.make(Gaussian(), (1, 1, 2)).distribution(tf.constant(parameters))


def test_log_prob_is_the_closed_form(px):
    x = np.random.default_rng(0).normal(size=(3, 1, 1, 2))
    deviations = np.exp(0.5 * np.resize([-1, 0, 1], (3, 1, 1, 2)))
    means = np.arange(-2, 4).reshape(3, 1, 1, 2)
    expected = stats.norm.logpdf(x, means, deviations).sum(axis=(1, 2, 3))
    # The floor of the log-variance, -10, moves -1 by 1e-4.
    np.testing.assert_allclose(px.log_prob(x.astype(np.float32)), expected, rtol=2e-3)


def test_the_log_variance_has_a_floor_and_always_a_gradient():
    likelihood = likelihoods.make(Gaussian(), (1, 1, 1))
    raw = tf.constant([[[[0.0, r]]] for r in (-1000.0, -12.0, 3.0)])
    with tf.GradientTape() as tape:
        tape.watch(raw)
        found = likelihood.distribution(raw).log_variance
    np.testing.assert_allclose(tf.reshape(found, [-1])[::2], [-10, 3], atol=1e-4)
    assert tape.gradient(found, raw)[1, 0, 0, 1] > 0.1


def test_the_image_is_a_draw(px):
    likelihood = likelihoods.make(Gaussian(), (1, 1, 2))
    drawn = np.stack([likelihood.image(px, SeededNoise(seed)) for seed in range(2000)])
    np.testing.assert_allclose(drawn.mean(axis=0), px.mean(), atol=0.15)
    np.testing.assert_allclose(drawn.std(axis=0), px.stddev(), rtol=0.08)
    np.testing.assert_array_equal(likelihood.image(px, NoNoise()), px.mean())


def test_a_spec_with_it_is_read_from_its_json():
    assert SPEC.likelihood.x is Observation.POINT and SPEC.likelihood == Gaussian()
    assert ModelSpec.from_json(SPEC.to_json()) == SPEC


def test_points_are_any_finite_numbers():
    points = np.array([-40.0, 0.5, 7.0, 1e5]).reshape(2, 1, 1, 2)
    np.testing.assert_array_equal(check_images(points, SPEC), points)
    for wrong in (np.nan, np.inf, -np.inf):
        points[1, 0, 0, 0] = wrong
        with pytest.raises(ValueError, match="images: expected finite numbers"):
            check_images(points, SPEC)
    with pytest.raises(ValueError, match=r"expected values in \[0, 1\] .*got -1.0 to 2.0"):
        check_images(np.array([-1.0, 2.0]).reshape(1, 1, 1, 2), _binary())


def _binary():
    return dataclasses.replace(SPEC, likelihood=Bernoulli())


def test_a_model_of_points_samples_and_scores_points():
    model = biva_tf.build(SPEC)
    drawn = model.sample(50, seed=1)
    assert drawn.shape == (50, 1, 1, 2) and drawn.min() < 0
    np.testing.assert_array_equal(drawn, model.sample(50, seed=1))
    score = model.score(drawn, num_importance_samples=5, seed=0)
    assert np.isfinite(score.bound_nats).all()
    assert (score.bound_nats >= score.elbo_nats - 1e-6).all()
