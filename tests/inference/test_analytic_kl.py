"""KL(q||p) in closed form, in place of log q - log p at the draw."""

import dataclasses
import types

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
from conftest import perturbed, random_images

from biva_tf.data.images import Batch
from biva_tf.errors import SettingsError
from biva_tf.inference import objectives
from biva_tf.model import architectures, plans
from biva_tf.model.distributions import DiagonalGaussian
from biva_tf.model.noise import SeededNoise
from biva_tf.runs.config import RunConfig
from biva_tf.training.devices import make_strategy
from biva_tf.training.trainer import Trainer

tfd = tfp.distributions


def _gaussians(seed=0, rows=5, event=(2, 3)):
    """The parameters of q and p, each [rows, *event]: means and log-variances."""
    rng = np.random.default_rng(seed)
    return [rng.normal(0, 2, (rows, *event)).astype(np.float32) for _ in range(4)]


def _kl(q_mean, q_log_variance, p_mean, p_log_variance):
    q, p = DiagonalGaussian(q_mean, q_log_variance), DiagonalGaussian(p_mean, p_log_variance)
    return q.kl_divergence(p)


def test_the_kl_of_gaussians_is_that_of_the_textbook():
    parameters = _gaussians()
    (m, s), (mu, sigma) = (
        (np.float64(mean), np.exp(0.5 * np.float64(log_variance)))
        for mean, log_variance in (parameters[:2], parameters[2:])
    )
    by_unit = np.log(sigma / s) + (s**2 + (m - mu) ** 2) / (2 * sigma**2) - 0.5
    np.testing.assert_allclose(_kl(*parameters), by_unit.sum(axis=(1, 2)), rtol=1e-5)


def test_it_is_0_between_equals_and_keeps_small_differences():
    mean, log_variance, *_ = _gaussians()
    np.testing.assert_array_equal(_kl(mean, log_variance, mean, log_variance), 0.0)
    # To second order in a difference d of log-variances, it is d^2 / 4 for each unit.
    near = _kl(mean, np.full_like(mean, 1e-3), mean, np.zeros_like(mean))
    np.testing.assert_allclose(near, 6 * 1e-6 / 4, rtol=2e-2)


@pytest.mark.parametrize("log_variance", [-20.0, 0.0, 20.0])
def test_its_gradient_is_finite(log_variance):
    values = [tf.constant(v) for v in _gaussians()]
    values[1] = tf.fill(values[1].shape, log_variance)
    with tf.GradientTape() as tape:
        tape.watch(values)
        kl = _kl(*values)
    for gradient in tape.gradient(kl, values):
        assert np.isfinite(gradient).all() and np.any(gradient != 0)


def test_the_mean_of_the_sampled_kl_is_the_analytic_one():
    model = perturbed("tiny_dense")
    draws = 4000
    image = tf.constant(random_images(model.spec, rows=1))
    images = tf.tile(image, [draws, 1, 1, 1])
    output = model(images, plan=plans.posterior(model.spec), noise=SeededNoise(3))
    sampled, analytic = (
        objectives.terms(output, images, kl).kl.numpy().astype(np.float64)
        for kl in ("sampled", "analytic")
    )
    # Of every draw of the latents that q and p depend on, the difference has the mean 0.
    difference = sampled - analytic
    error = difference.std(axis=0, ddof=1) / np.sqrt(draws)
    assert (np.abs(difference.mean(axis=0)) < 4 * error).all()
    assert (analytic >= 0).all() and (sampled.std(axis=0) > analytic.std(axis=0)).all()


def test_a_latent_that_is_drawn_from_its_prior_has_no_kl():
    model = perturbed("tiny_dense")
    images = tf.constant(random_images(model.spec, rows=2))
    output = model(images, plan=plans.prior_up_to(model.spec, 1), noise=SeededNoise(0))
    kl = objectives.terms(output, images, "analytic").kl
    from_prior = [latent.q is None for latent in output.latents]
    np.testing.assert_array_equal((kl.numpy() == 0).all(axis=0), from_prior)


def test_latents_without_a_closed_form_are_refused_in_one_line():
    mean, log_variance, *_ = _gaussians(event=(4,))
    q = DiagonalGaussian(mean, log_variance)
    mixture = tfd.MixtureSameFamily(
        tfd.Categorical(logits=np.zeros((5, 2), np.float32)),
        tfd.MultivariateNormalDiag(np.zeros((5, 2, 4), np.float32)),
    )
    zeros = tf.zeros([5])
    latent = types.SimpleNamespace(q=q, p=mixture, log_q=zeros, log_p=zeros)
    px = types.SimpleNamespace(log_prob=lambda images: zeros)
    output = types.SimpleNamespace(latents=(latent,), px=px)
    objectives.terms(output, None)
    with pytest.raises(SettingsError, match=r"^kl: expected sampled, .*, got analytic$") as caught:
        objectives.terms(output, None, "analytic")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("posterior", ["direct", "residual"])
def test_a_step_with_the_analytic_kl_trains_on_it_and_reports_it(posterior):
    spec = dataclasses.replace(architectures.get("tiny_dense"), posterior=posterior)
    config = RunConfig(batch_size=6, free_bits=0.0, kl="analytic")
    trainer = Trainer(spec, config, make_strategy("one_device"))
    images = random_images(spec, rows=6)
    trainer.initialise(images)
    batch = Batch(tf.constant(images), tf.zeros([6], tf.int64))
    losses = []
    for _ in range(4):
        loss, metrics = trainer.train_step(batch)
        kls = [metrics[f"kl/{latent.name}"].numpy() for latent in spec.latents]
        assert min(kls) >= 0
        np.testing.assert_allclose(loss, -metrics["reconstruction"] + sum(kls), rtol=1e-5)
        losses.append(float(loss))
    assert losses[-1] < losses[0]
