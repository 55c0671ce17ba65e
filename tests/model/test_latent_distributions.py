"""Priors that are not Gaussian: what the model asks of them, and what a model with one can do."""

import dataclasses

import keras
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
from conftest import perturbed, random_images

from biva_tf.compression.errors import CompressionError
from biva_tf.compression.passes import Passes
from biva_tf.inference import exploration, objectives, sampling
from biva_tf.inference.score_graph import image_scores
from biva_tf.inference.scoring import scores
from biva_tf.model import architectures, latent_distributions, plans
from biva_tf.model.distributions import DiagonalGaussian
from biva_tf.model.noise import ConstantNoise, NoNoise, SeededNoise, of_samples
from biva_tf.model.spec import Classes

tfd = tfp.distributions

MEANS = np.array([[-2.0, 0.5, 1.0], [0.0, 1.0, -1.0], [3.0, -1.0, 0.0]], np.float32)


class Laplace:
    """A hand-written distribution: a Laplace of scale 1 around a value for each row."""

    def __init__(self, centre):
        self._centre = tf.convert_to_tensor(centre)

    def log_prob(self, z):
        return -tf.reduce_sum(tf.abs(z - self._centre) + np.log(2.0), axis=1)

    def mode(self):
        return self._centre

    def batch_shape_tensor(self):
        return tf.shape(self._centre)[:1]

    def draw(self, noise, stream, temperature=1.0):
        u = noise.uniform(stream, (tf.shape(self._centre)[0], *self._centre.shape[1:])) - 0.5
        size = -tf.math.log1p(-2.0 * tf.minimum(tf.abs(u), 0.4999))
        return self._centre + temperature * tf.sign(u) * size

    def gather(self, rows):
        return Laplace(tf.gather(self._centre, rows))


def _laplace(rows, units):
    return Laplace(tf.repeat(MEANS[:1, :units], rows, axis=0))


def _mixture(rows, units):
    means = tf.repeat(MEANS[np.newaxis, :, :units], rows, axis=0)
    return tfd.MixtureSameFamily(
        tfd.Categorical(probs=[0.5, 0.3, 0.2]),  # without an axis of rows
        tfd.MultivariateNormalDiag(means, 0.1 * tf.ones(units)),
    )


def _flow(rows, units):
    base = tfd.Independent(tfd.Normal(tf.zeros((rows, units)), 1.0), 1)
    return tfd.TransformedDistribution(base, tfp.bijectors.SinhArcsinh(0.3))


def _normal(rows, units):
    return tfd.MultivariateNormalDiag(tf.repeat(MEANS[:1, :units], rows, axis=0), tf.ones(units))


FAMILIES = {"laplace": _laplace, "mixture": _mixture, "flow": _flow, "normal": _normal}


class TopPrior(keras.layers.Layer):
    """A top prior of a family, as a layer of the network."""

    def __init__(self, family, units):
        super().__init__(name="pz_top")
        self._of_rows, self._units = FAMILIES[family], units

    def call(self, rows):
        return self._of_rows(rows, self._units)


def _model(family, **changes):
    spec = dataclasses.replace(architectures.get("tiny_dense"), **changes)
    model = perturbed(spec)
    model.top_down_stages[0].latents[0].prior = TopPrior(family, model.latent_shapes[-1][0])
    return model


@pytest.mark.parametrize("family", FAMILIES)
def test_rows_are_selected_and_repeated_whatever_parameters_have_the_axis_of_rows(family):
    """As many rows as units and components: no parameter can be told by its shape."""
    distribution, rows = FAMILIES[family](3, 3), tf.constant([2, 0, 0, 1])
    z = tf.random.stateless_normal((3, 3), (1, 2)) ** 2 + 0.1
    log_p = distribution.log_prob(z)
    gathered = latent_distributions.gather(distribution, rows)
    np.testing.assert_allclose(
        gathered.log_prob(tf.gather(z, rows)), tf.gather(log_p, rows), rtol=1e-6
    )
    tiled = latent_distributions.tiled(distribution, 2)
    np.testing.assert_allclose(tiled.log_prob(tf.tile(z, [2, 1])), [*log_p, *log_p], rtol=1e-6)


def test_rows_whose_number_is_known_only_when_the_graph_runs_are_repeated():
    unknown, scalar = tf.TensorSpec((None, 3)), tf.TensorSpec((), tf.int32)

    @tf.function(autograph=False, input_signature=[unknown, scalar])
    def modes(centres, copies):
        means = tf.stack([centres, centres + 1], axis=1)
        components = tfd.MultivariateNormalDiag(means, tf.ones((1, 1, 3)))  # shared by all rows
        mixture = tfd.MixtureSameFamily(tfd.Categorical(probs=[0.7, 0.3]), components)
        return latent_distributions.mode(latent_distributions.tiled(mixture, copies))

    np.testing.assert_array_equal(modes(MEANS, 2), [*MEANS, *MEANS])


@pytest.mark.parametrize("family", FAMILIES)
def test_the_draw_of_a_row_does_not_depend_on_its_chunk(family):
    whole = latent_distributions.draw(FAMILIES[family](9, 2), SeededNoise(1), "z2/prior")
    part = latent_distributions.draw(FAMILIES[family](3, 2), SeededNoise(1, 6), "z2/prior")
    np.testing.assert_allclose(part, whole[6:], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("family", ["mixture", "flow", "normal"])
def test_draws_from_noise_have_the_moments_of_those_of_tfp(family):
    distribution = FAMILIES[family](40_000, 3)
    drawn = latent_distributions.draw(distribution, SeededNoise(1), "z2/prior").numpy()
    expected = distribution.sample(seed=(3, 4)).numpy()
    np.testing.assert_allclose(drawn.mean(axis=0), expected.mean(axis=0), atol=0.05)
    np.testing.assert_allclose(np.cov(drawn.T), np.cov(expected.T), atol=0.08)


def test_modes_at_temperature_0_and_without_noise():
    mixture = _mixture(500, 3)
    drawn = latent_distributions.draw(mixture, SeededNoise(0), "z2/prior", 0.0).numpy()
    found, counts = np.unique(drawn, axis=0, return_counts=True)
    np.testing.assert_array_equal(found, MEANS)  # each component at its mean
    np.testing.assert_allclose(counts / 500, [0.5, 0.3, 0.2], atol=0.08)
    np.testing.assert_array_equal(latent_distributions.mode(mixture), [MEANS[0]] * 500)
    for family in ("laplace", "flow", "normal"):
        distribution = FAMILIES[family](2, 3)
        at_0 = ConstantNoise(0.0, SeededNoise(0))
        if family != "laplace":  # which draws by uniform numbers
            without = latent_distributions.draw(distribution, at_0, "z2/prior")
            np.testing.assert_allclose(NoNoise().draw(distribution, "z2/prior"), without)
        still = latent_distributions.draw(distribution, SeededNoise(0), "z2/prior", 0.0)
        np.testing.assert_allclose(latent_distributions.mode(distribution), still)


def test_a_family_that_does_not_fit_is_named_with_the_method_that_it_needs():
    gamma = tfd.Independent(tfd.Gamma(tf.ones((2, 3)), 1.0), 1)
    with pytest.raises(TypeError, match=r"Gamma.*expected a method draw\(noise, stream"):
        latent_distributions.draw(gamma, SeededNoise(0), "z2/prior")
    with pytest.raises(TypeError, match=r"Normal.*expected a batch of \[rows\], got \(2, 3\)"):
        latent_distributions.draw(tfd.Normal(tf.ones((2, 3)), 1.0), SeededNoise(0), "z2/prior")
    mixture = tfd.Mixture(tfd.Categorical(probs=[0.5, 0.5]), [tfd.Normal(0.0, 1.0)] * 2)
    with pytest.raises(TypeError, match=r"Mixture.*expected a method mode\(\)"):
        latent_distributions.mode(mixture)


@pytest.mark.parametrize(
    "family", ["mixture", *(pytest.param(f, marks=pytest.mark.slow) for f in ("laplace", "flow"))]
)
def test_a_model_with_such_a_top_prior_trains_scores_samples_and_shows_its_latents(family):
    model = _model(family, classes=Classes(2))
    images, top = random_images(model.spec, 3), model.spec.latents[-1].name
    with tf.GradientTape() as tape:
        output = model(images, noise=SeededNoise(0), training=True)
        bound = tf.reduce_mean(objectives.terms(output, images).bound)
    gradients = tape.gradient(bound, model.trainable_variables)
    assert all(np.isfinite(g).all() for g in gradients if g is not None)
    z = output.latents[-1]
    prior = FAMILIES[family](3, z.z.shape[1])
    np.testing.assert_allclose(z.log_p, prior.log_prob(z.z), rtol=1e-6)

    for score in scores(model, images, (0, 1), num_importance_samples=2):
        terms = score.reconstruction_nats - score.kl_nats.sum(axis=1)
        np.testing.assert_allclose(score.elbo_nats, terms, rtol=1e-5)
        assert np.isfinite(score.bound_nats).all()
    numbers = sampling.sample(model, 3, seed=1, temperature=0.5)
    assert np.isfinite(numbers).all()
    plan = plans.prior(model.spec, 0.0)
    still = model.top_down(None, plan, SeededNoise(1), rows=3).latents[-1].z
    at_0 = latent_distributions.draw(prior, SeededNoise(1), f"{top}/prior", 0.0)
    np.testing.assert_allclose(still, at_0)
    rows = exploration.traverse(model, top, [0, 1], [-1.0, 0.0, 2.0])
    assert rows.shape == (2, 3, *model.spec.image_shape) and np.isfinite(rows).all()
    columns = exploration.reconstruct(model, images, [0, 1])
    assert columns.shape == (3, 2, *model.spec.image_shape) and np.isfinite(columns).all()


def test_the_shift_of_a_latent_is_from_the_mode_of_its_prior():
    model = _model("mixture")
    images = random_images(model.spec, 3)
    q = model(images, noise=of_samples(SeededNoise(0), 0, 1, 0)).latents[-1].q
    zero = tf.constant(0, tf.int64)
    _, shifts = image_scores(
        model,
        (0,),
        images,
        seed=tf.stack([zero, zero]),
        first_image=zero,
        num_importance_samples=1,
        max_rows=8,
        with_shifts=True,
    )
    np.testing.assert_allclose(shifts[-1].shift[0], q.mode() - MEANS[0], rtol=1e-5, atol=1e-6)


def test_compression_refuses_a_prior_that_cannot_be_coded():
    model = _model("mixture")
    passes = Passes(model, 2)
    images = passes.batch(random_images(model.spec, 2))
    passes.infer(images, lambda name, mean, log_variance: mean)  # posteriors are Gaussian
    with pytest.raises(CompressionError, match="the latent z2 has a prior that cannot be coded"):
        passes.generate(lambda name, mean, log_variance: mean)


def test_a_gaussian_is_coded_by_its_mean_and_log_variance():
    gaussian = DiagonalGaussian(tf.constant(MEANS), tf.constant(MEANS) - 1)
    mean, log_variance = latent_distributions.mean_and_log_variance(gaussian)
    np.testing.assert_array_equal(mean, MEANS)
    np.testing.assert_array_equal(log_variance, MEANS - 1)
