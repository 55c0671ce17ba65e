"""Bounds of a linear Gaussian hierarchy z2 -> z1 -> x, whose log p(x) is known in closed form.

A test double has the three methods of a model that scoring calls; the scoring is the real one.
"""

import functools

import keras
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
from scipy import stats

from biva_tf.inference.scoring import scores
from biva_tf.model.bottom_up import Features, ImageFeatures, Maps
from biva_tf.model.distributions import DiagonalGaussian
from biva_tf.model.latents import draw_posterior, resolve
from biva_tf.model.network import Output
from biva_tf.model.spec import BlockSpec, DenseLatent, ModelSpec, StageSpec
from biva_tf.nn.fixed_weights import FixedWeights

RNG = np.random.default_rng(0)
CENTRE, NOISE, NOISE_1 = 0.5, 0.06, 0.7
A = RNG.normal(size=(2, 2)) * 0.8  # maps z2 to the mean of z1
B = RNG.normal(size=(4, 2)) * 0.08  # maps z1 to the mean of x
COV_1 = A @ A.T + NOISE_1**2 * np.eye(2)
COV_X = B @ COV_1 @ B.T + NOISE**2 * np.eye(4)
# The posteriors are close to the true ones, but wrong on purpose, so that L_1 is not tight.
GAIN_2 = 0.8 * (B @ A).T @ np.linalg.inv(COV_X)
VAR_2 = np.array([0.5, 0.7])
VAR_1 = np.array([0.3, 0.4])


def _gaussian(mean, variance):
    mean = tf.cast(mean, tf.float32)
    return DiagonalGaussian(mean, tf.zeros_like(mean) + np.log(variance).astype(np.float32))


def _linear(x, matrix):
    return tf.matmul(x, np.float32(matrix), transpose_b=True)


class LinearGaussian(keras.Model):
    spec = ModelSpec(
        (2, 2, 1),
        tuple(StageSpec((BlockSpec(1, (1, 1)),), DenseLatent(2)) for _ in range(2)),
        inference="top_down",
    )
    latent_shapes = ((2,), (2,))

    @functools.cached_property
    def fixed_weights(self):
        return FixedWeights([self])

    def image_features(self, images, noise):
        x = tf.reshape(images, (-1, 4)) - CENTRE
        return ImageFeatures((Maps(x, x),), _gaussian(_linear(x, GAIN_2), VAR_2))

    def bottom_up(self, image_features, noise):
        return Features((image_features.maps[0].td,), (), image_features.q)

    def top_down(self, features, plan, noise, training):
        z1, z2 = self.spec.latents
        x = features.td[0]
        prior_2 = _gaussian(tf.zeros_like(features.q_top.mean()), np.ones(2))
        top = resolve(z2, plan[1], prior_2, draw_posterior(features.q_top, z2, noise), noise)
        prior_1 = _gaussian(_linear(top.z, A), NOISE_1**2)
        # The exact posterior mean given z2, with a variance that is not the exact one.
        gain = NOISE_1**2 * B.T @ np.linalg.inv(NOISE_1**2 * B @ B.T + NOISE**2 * np.eye(4))
        mean = prior_1.mean() + _linear(x - _linear(prior_1.mean(), B), gain)
        draw = draw_posterior(_gaussian(mean, VAR_1), z1, noise)
        below = resolve(z1, plan[0], prior_1, draw, noise)
        pixels = tf.reshape(_linear(below.z, B) + CENTRE, (-1, 2, 2, 1))
        px = tfp.distributions.Independent(tfp.distributions.Normal(pixels, NOISE), 3)
        return Output(px, pixels, (below, top))


@pytest.fixture(scope="module")
def images():
    flat = RNG.multivariate_normal(np.full(4, CENTRE), COV_X, size=2000)
    assert flat.min() > 0 and flat.max() < 1
    return np.float32(flat).reshape(-1, 2, 2, 1)


@pytest.fixture(scope="module")
def log_p(images):
    return stats.multivariate_normal(np.full(4, CENTRE), COV_X).logpdf(images.reshape(-1, 4))


def _bound(images, samples):
    (score,) = scores(LinearGaussian(), images, (0,), num_importance_samples=samples, max_rows=8000)
    return score.bound_nats


def test_the_bounds_rise_with_the_samples_towards_log_p(images, log_p):
    """E[L_1] < E[L_10] < E[L_100] beyond Monte-Carlo error, and E[L_100] <= log p(x) within it."""
    one, ten, hundred = (_bound(images, samples) for samples in (1, 10, 100))
    for gap, least in ((ten - one, 3), (hundred - ten, 3), (log_p - hundred, -3)):
        assert gap.mean() > least * gap.std() / np.sqrt(len(gap))
    assert (log_p - one).mean() > 0.3  # L_1 is not tight


def test_1000_samples_are_close_to_log_p(images, log_p):
    gap = log_p - _bound(images, 1000)
    assert abs(gap.mean()) < 0.01
    assert np.abs(gap).max() < 1.0


def test_l_above_1_agrees_with_its_closed_form(images):
    """It is the mean of log p(x|z1) over q(z2|x) p(z1|z2), minus KL(q(z2|x) || p(z2))."""
    x = images.reshape(-1, 4) - CENTRE
    mean_2 = x @ GAIN_2.T
    cov_x = B @ (A @ np.diag(VAR_2) @ A.T + NOISE_1**2 * np.eye(2)) @ B.T
    squares = ((x - mean_2 @ (B @ A).T) ** 2).sum(1) + np.trace(cov_x)
    expected = -2 * np.log(2 * np.pi * NOISE**2) - squares / (2 * NOISE**2)
    expected -= 0.5 * (VAR_2 + mean_2**2 - 1 - np.log(VAR_2)).sum(1)
    (score,) = scores(LinearGaussian(), images, (1,), num_importance_samples=2000, max_rows=8000)
    error = (score.elbo_nats - expected).mean()
    assert abs(error) < 0.05
    np.testing.assert_array_equal(score.kl_nats[:, 0], 0)
