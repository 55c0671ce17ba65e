"""The bound of a model with classes: the sum over y is exact, and it is a bound on log p(x)."""

import dataclasses
import functools

import keras
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
from conftest import perturbed, random_images
from scipy import special, stats

from biva_tf.inference import bounds, objectives
from biva_tf.inference.scoring import scores
from biva_tf.model import architectures, assignments, plans
from biva_tf.model.bottom_up import Features, ImageFeatures, Maps
from biva_tf.model.distributions import DiagonalGaussian
from biva_tf.model.latents import draw_posterior, resolve
from biva_tf.model.network import Output
from biva_tf.model.noise import SeededNoise
from biva_tf.model.spec import BlockSpec, Classes, DenseLatent, ModelSpec, StageSpec
from biva_tf.nn.fixed_weights import FixedWeights

CLASSES, ROWS = 3, 4


@pytest.fixture(
    scope="module",
    params=[
        ("tiny_dense", "bidirectional", False),
        ("tiny_dense", "bidirectional", True),
        ("tiny_dense", "top_down", True),
        ("tiny_dense", "bottom_up", True),
        ("tiny_conv", "bidirectional", True),
    ],
    ids=lambda p: "-".join(map(str, p)),
)
def model(request):
    name, inference, every_level = request.param
    classes = Classes(CLASSES, every_level, classifier_units=8)
    spec = dataclasses.replace(architectures.get(name), classes=classes, inference=inference)
    return perturbed(spec)


def _parts(model, labels=None):
    spec, noise = model.spec, SeededNoise(2)
    images = tf.constant(random_images(spec, ROWS))
    features = model.bottom_up(model.image_features(images, noise), noise)
    return model, features, plans.posterior(spec), noise, images


def _brute_force(model, y):
    """L(x,y) of every row, by both passes for the class y alone."""
    images = random_images(model.spec, ROWS)
    classes = assignments.given(tf.fill([ROWS], y), CLASSES)
    output = model(images, noise=SeededNoise(2), classes=classes)
    return objectives.terms(output, images).bound.numpy() - np.log(CLASSES)


def test_the_sum_over_classes_is_that_of_a_pass_for_each_class(model):
    parts = _parts(model)
    terms = bounds.bound(*parts).terms
    log_q = tf.nn.log_softmax(parts[1].class_logits).numpy()
    joint = np.stack([_brute_force(model, y) for y in range(CLASSES)], axis=1)
    assert np.abs(joint[:, 0] - joint[:, 1]).min() > 1e-3  # the classes differ
    unlabelled = (np.exp(log_q) * (joint - log_q)).sum(axis=1)
    np.testing.assert_allclose(terms.bound, unlabelled, rtol=1e-5)
    np.testing.assert_allclose(terms.log_weight, special.logsumexp(joint, axis=1), rtol=1e-5)


def test_a_labelled_row_has_the_bound_of_its_class(model):
    labels = np.array([2, -1, 0, -1])
    terms = bounds.bound(*_parts(model), labels=tf.constant(labels)).terms
    unlabelled = bounds.bound(*_parts(model)).terms
    for row, label in enumerate(labels):
        expected = unlabelled.bound[row] if label < 0 else _brute_force(model, label)[row]
        np.testing.assert_allclose(terms.bound[row], expected, rtol=1e-5)


@pytest.mark.parametrize("kl", ["sampled", "analytic"])
def test_alternating_rows_have_the_same_terms(model, kl):
    labels = tf.constant([2, -1, 0, -1], tf.int64)
    general = bounds.bound(*_parts(model), labels=labels, kl=kl).terms
    alternating = bounds.alternating_terms(*_parts(model), labels, kl=kl)
    np.testing.assert_allclose(alternating.reconstruction, general.reconstruction, rtol=1e-5)
    np.testing.assert_allclose(alternating.kl, general.kl, rtol=1e-4, atol=1e-4)


def test_only_the_layers_that_read_the_class_compute_a_row_for_each(model, monkeypatch):
    parts, rows = _parts(model), []

    def count(stage):
        plain = stage.call

        def counting(z, *others, **named):
            rows.append(z[0].shape[0])
            return plain(z, *others, **named)

        monkeypatch.setattr(stage, "call", counting)

    for stage in model.top_down_stages:
        count(stage)
    everywhere = model.spec.classes.every_level
    above = len(model.top_down_stages) - 1
    bounds.bound(*parts)
    every = CLASSES * ROWS
    assert rows == [every if everywhere else ROWS] * above + [every]
    rows.clear()
    bounds.alternating_terms(*parts, tf.constant([2, -1, 0, -1], tf.int64))
    known_and_every = (1 + CLASSES) * ROWS // 2
    assert rows == [known_and_every if everywhere else ROWS] * above + [known_and_every]


def test_with_every_level_the_priors_below_the_top_depend_on_the_class(model):
    parts = _parts(model)
    output = bounds.bound(*parts).output
    below = output.latents[:-1]
    same = [
        np.allclose(latent.p.mean()[:ROWS], latent.p.mean()[ROWS : 2 * ROWS]) for latent in below
    ]
    assert same == [not model.spec.classes.every_level] * len(below)


def test_gradients_of_the_bound_reach_the_classifier_and_of_a_label_only_the_generator(model):
    _, _, plan, noise, images = _parts(model)
    variables = model.trainable_variables

    def largest(terms_of, of="qy"):
        """The largest gradient of the bounds that `terms_of` selects, over the weights `of`."""
        found = [v.value for v in variables if v.path.startswith(of)]
        assert found
        with tf.GradientTape() as tape:
            features = model.bottom_up(model.image_features(images, noise), noise)
            total = tf.reduce_sum(terms_of(features))
        gradients = tape.gradient(total, found, unconnected_gradients="zero")
        return max(np.abs(g).max() for g in gradients)

    def general(features, labels=None):
        return bounds.bound(model, features, plan, noise, images, labels=labels).terms.bound

    def known(features):
        return general(features, tf.zeros([ROWS], tf.int64))

    def alternating(features):
        labels = tf.constant([2, -1, 0, -1], tf.int64)
        return bounds.alternating_terms(model, features, plan, noise, images, labels).bound

    assert largest(general) > 1e-4
    assert largest(known) == 0
    assert largest(known, "pz_") > 1e-4
    assert largest(lambda features: alternating(features)[1::2]) > 1e-4
    assert largest(lambda features: alternating(features)[::2]) == 0
    assert largest(lambda features: alternating(features)[::2], "pz_") > 1e-4


# An analytic model: x = B z + shift_y + noise, with z standard normal and y uniform.
B, NOISE = np.array([[0.05, 0.0], [0.02, 0.06]]), 0.05
SHIFTS = np.array([[0.3, 0.4], [0.5, 0.6], [0.7, 0.35]])
COV = B @ B.T + NOISE**2 * np.eye(2)


class MixtureOfGaussians(keras.Model):
    spec = ModelSpec(
        (1, 2, 1), (StageSpec((BlockSpec(1, (1, 1)),), DenseLatent(2)),), classes=Classes(CLASSES)
    )
    latent_shapes = ((2,),)

    @functools.cached_property
    def fixed_weights(self):
        return FixedWeights([self])

    def image_features(self, images, noise):
        x = tf.reshape(images, (-1, 2)) - 0.5
        # q(z|x) and q(y|x) that are wrong on purpose, so that the bound is not tight.
        q = DiagonalGaussian(2.0 * x, tf.zeros_like(x) - 0.5)
        logits = tf.matmul(x, 10.0 * np.float32(SHIFTS - 0.5), transpose_b=True)
        return ImageFeatures((Maps(x, x),), q, logits)

    def bottom_up(self, image_features, noise):
        return Features((None,), (), image_features.q, image_features.class_logits)

    def top_down(self, features, plan, noise, classes, training):
        (z,) = self.spec.latents
        zeros = tf.zeros_like(features.q_top.mean())
        prior = DiagonalGaussian(zeros, zeros)
        draw = draw_posterior(features.q_top, z, noise)
        latent = resolve(z, plan[0], prior, draw, noise).gather(classes.rows)
        mean = tf.matmul(latent.z, np.float32(B), transpose_b=True)
        mean += tf.matmul(classes.y, np.float32(SHIFTS))
        pixels = tf.reshape(mean, (-1, 1, 2, 1))
        px = tfp.distributions.Independent(tfp.distributions.Normal(pixels, NOISE), 3)
        return Output(px, pixels, (latent,), classes.y)


def test_the_unlabelled_bound_is_a_bound_and_rises_to_log_p():
    rng = np.random.default_rng(0)
    flat = SHIFTS[rng.integers(0, CLASSES, 2000)] + rng.multivariate_normal([0, 0], COV, 2000)
    assert flat.min() > 0 and flat.max() < 1
    images = np.float32(flat).reshape(-1, 1, 2, 1)
    log_p = special.logsumexp(
        [stats.multivariate_normal(shift, COV).logpdf(flat) for shift in SHIFTS], axis=0
    ) - np.log(CLASSES)

    def bound(samples):
        (score,) = scores(
            MixtureOfGaussians(), images, (0,), num_importance_samples=samples, max_rows=6000
        )
        return score

    one, many = bound(1), bound(1000)
    for low, high in ((one.elbo_nats, one.bound_nats), (one.bound_nats, log_p)):
        gap = high - low
        assert gap.mean() > 3 * gap.std() / np.sqrt(len(gap))  # beyond Monte-Carlo error
    assert abs((log_p - many.bound_nats).mean()) < 0.01
