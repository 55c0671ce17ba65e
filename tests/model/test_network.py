import dataclasses

import numpy as np
import pytest
import tensorflow as tf
from conftest import random_images, stage

import biva_tf
from biva_tf.inference import objectives
from biva_tf.model import plans
from biva_tf.model.noise import SeededNoise
from biva_tf.model.spec import ConvLatent, DenseLatent, LogisticMixture, ModelSpec
from biva_tf.nn.weight_norm import data_dependent_initialisation


def _run(model, images, plan=None, noise=None):
    return model(images, plan=plan, noise=noise or SeededNoise(0))


SPECS = {
    "one level": ModelSpec((8, 8, 1), (stage(DenseLatent(3), (2, 2)),)),
    "dense over conv, odd and not square": ModelSpec(
        (11, 7, 3),
        (
            stage(ConvLatent(2, (3, 2)), (1, 1), (2, 1), filters=5),
            stage(DenseLatent(4), (2, 2), (1, 1), filters=3),
            stage(ConvLatent(1, (2, 2)), (1, 2), (1, 1), filters=6),
        ),
        likelihood=LogisticMixture(2),
    ),
    "conv over dense, strides everywhere": ModelSpec(
        (16, 12, 1),
        (
            stage(DenseLatent(4), (2, 2), (1, 3), filters=4),
            stage(ConvLatent(3, (3, 3)), (2, 1), (2, 1), filters=6),
        ),
        likelihood=LogisticMixture(),
        log_variance="free",
    ),
    "top-down inference": ModelSpec(
        (8, 8, 1),
        (stage(ConvLatent(2, (3, 3)), (2, 2)), stage(DenseLatent(2), (1, 1), filters=5)),
        inference="top_down",
    ),
    "top-down inference without skips": ModelSpec(
        (8, 8, 1),
        (stage(DenseLatent(3), (2, 2)), stage(ConvLatent(2, (2, 2)), (1, 1))),
        inference="top_down",
        generative_skips=False,
    ),
    "bottom-up inference without skips": ModelSpec(
        (8, 8, 3),
        (
            stage(ConvLatent(2, (3, 3)), (2, 2), filters=3),
            stage(DenseLatent(2), (1, 1)),
            stage(ConvLatent(1, (2, 2)), (2, 2)),
        ),
        likelihood=LogisticMixture(2),
        inference="bottom_up",
        generative_skips=False,
    ),
    "a map of one pixel": ModelSpec(
        (5, 5, 2), (stage(ConvLatent(2, (1, 1)), (3, 3)), stage(DenseLatent(2), (2, 2)))
    ),
}


@pytest.mark.parametrize("name", SPECS)
def test_any_mix_of_latents_strides_and_sizes_trains_and_samples(name):
    spec = SPECS[name]
    model = biva_tf.build(spec)
    images = random_images(spec, 3)
    with data_dependent_initialisation(model):
        _run(model, images)
    with tf.GradientTape() as tape:
        output = _run(model, images)
        loss = -tf.reduce_mean(objectives.terms(output, images).bound)
    assert np.isfinite(loss)
    for latent, shape in zip(output.latents, model.latent_shapes, strict=True):
        assert latent.z.shape == (3, *shape)
    gradients = tape.gradient(loss, [v.value for v in model.trainable_variables])
    for variable, gradient in zip(model.trainable_variables, gradients, strict=True):
        assert gradient is not None and np.all(np.isfinite(gradient)), variable.path
    assert model.sample(2).shape == (2, *spec.image_shape)


def test_a_free_log_variance_can_be_negative_and_the_softplus_one_cannot():
    spec = SPECS["conv over dense, strides everywhere"]
    for log_variance, negative in (("free", True), ("softplus", False)):
        model = biva_tf.build(dataclasses.replace(spec, log_variance=log_variance))
        values = [z.q.log_variance for z in _run(model, random_images(spec)).latents]
        assert any(np.any(v < 0) for v in values) == negative


def test_the_bound_is_the_log_joint_minus_log_q(model):
    images = random_images(model.spec)
    output = _run(model, images)
    t = objectives.terms(output, images)
    log_joint = output.px.log_prob(images) + sum(z.p.log_prob(z.z) for z in output.latents)
    log_q = sum(z.q.log_prob(z.z) for z in output.latents)
    np.testing.assert_allclose(t.bound, log_joint - log_q, rtol=1e-5, atol=1e-3)


def test_prior_up_to_0_is_the_elbo_bit_for_bit(model):
    images = random_images(model.spec)
    elbo = objectives.terms(_run(model, images), images).bound
    plan = plans.prior_up_to(model.spec, 0)
    np.testing.assert_array_equal(elbo, objectives.terms(_run(model, images, plan), images).bound)


def test_prior_up_to_k_keeps_the_posteriors_above_k(model):
    """Levels <= k are drawn from their priors; q(z_L) follows from the same bottom-up draws."""
    images = random_images(model.spec)
    plain, mixed = (_run(model, images, plan) for plan in (None, plans.prior_up_to(model.spec, 1)))
    for latent, a, b in zip(model.spec.latents, plain.latents, mixed.latents, strict=True):
        if latent.level <= 1:
            assert b.q is None
            np.testing.assert_array_equal(b.log_p, b.log_q)
            np.testing.assert_allclose(b.log_p, b.p.log_prob(b.z), rtol=1e-6)
        else:
            np.testing.assert_array_equal(a.z, b.z)
            np.testing.assert_array_equal(a.log_q, b.log_q)


@pytest.mark.parametrize("k", [-1, 2])
def test_a_k_out_of_range_is_refused(model, k):
    with pytest.raises(ValueError, match=r"k: expected an integer in 0..1"):
        plans.prior_up_to(model.spec, k)


def test_given_latents_decode_to_the_same_image(model):
    images = random_images(model.spec)
    output = _run(model, images)
    given = tuple(plans.Given(z.z) for z in output.latents)
    decoded = model.top_down(None, given, SeededNoise(9), rows=len(images))
    np.testing.assert_allclose(decoded.px_parameters, output.px_parameters, rtol=1e-5, atol=1e-5)


def test_prior_mode_up_to_k_gives_the_levels_up_to_k_their_prior_means(model):
    images = random_images(model.spec)
    plan = plans.prior_mode_up_to(model.spec, 1)
    output = _run(model, images, plan)
    for latent, stats in zip(model.spec.latents, output.latents, strict=True):
        assert (stats.q is None) == (latent.level <= 1)
        if latent.level <= 1:
            np.testing.assert_array_equal(stats.z, stats.p.mean())


def test_temperature_0_is_the_prior_mode(model):
    modes = tuple(plans.PriorMode() for _ in model.spec.latents)
    cold = model.top_down(None, plans.prior(model.spec, 0.0), SeededNoise(1), rows=2)
    mode = model.top_down(None, modes, SeededNoise(2), rows=2)
    np.testing.assert_array_equal(cold.px_parameters, mode.px_parameters)


def test_an_example_does_not_depend_on_its_batch(model):
    images = random_images(model.spec, 5)
    whole = _run(model, images).px_parameters
    part = _run(model, images[3:], noise=SeededNoise(0, first_row=3)).px_parameters
    np.testing.assert_allclose(whole[3:], part, rtol=1e-4, atol=1e-4)


def test_top_down_refuses_missing_features_and_an_incomplete_plan(model):
    with pytest.raises(ValueError, match="needs features"):
        model.top_down(None, plans.posterior(model.spec), SeededNoise(0), rows=2)
    with pytest.raises(ValueError, match="plan: expected 3 sources, got 1"):
        model.top_down(None, (plans.Prior(),), SeededNoise(0), rows=2)


def test_samples_depend_on_seed_and_temperature_and_lie_in_0_to_1(model):
    samples = model.sample(5, seed=3)
    assert samples.shape == (5, *model.spec.image_shape)
    assert samples.min() >= 0 and samples.max() <= 1
    np.testing.assert_array_equal(samples, model.sample(5, seed=3))
    assert not np.array_equal(samples, model.sample(5, seed=4))
    assert not np.array_equal(samples, model.sample(5, seed=3, temperature=0.5))
    with pytest.raises(ValueError, match="num_samples: expected an integer >= 1, got 0"):
        model.sample(0)
    with pytest.raises(ValueError, match="temperature"):
        model.sample(1, temperature=-1.0)
