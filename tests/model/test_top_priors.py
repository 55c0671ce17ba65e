"""The priors of the top latent: densities, draws, and what a model with one can do."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf
from conftest import perturbed, random_images
from scipy import stats

import biva_tf
from biva_tf.compression.errors import CompressionError
from biva_tf.model import architectures, priors
from biva_tf.model.distributions import DiagonalGaussian
from biva_tf.model.mixtures import UniformMixture
from biva_tf.model.noise import SeededNoise
from biva_tf.nn import weight_norm
from biva_tf.serving import exporting

MEANS = np.array([[-2.0, 0.5], [0.0, 1.0], [3.0, -1.0]], np.float32)
DEVIATIONS = np.array([[0.3, 0.5], [1.0, 0.7], [0.6, 1.5]], np.float32)


def _mixture(rows):
    components = DiagonalGaussian(tf.constant(MEANS), tf.constant(2 * np.log(DEVIATIONS)))
    return UniformMixture(components, rows)


def _spec(name, prior):
    return dataclasses.replace(architectures.get(name), top_prior=prior)


def test_the_density_of_a_mixture_is_the_mean_of_those_of_its_components():
    z = np.random.default_rng(0).normal(0, 2, (7, 2)).astype(np.float32)
    by_hand = np.mean(
        [stats.norm.pdf(z, m, s).prod(axis=1) for m, s in zip(MEANS, DEVIATIONS, strict=True)],
        axis=0,
    )
    np.testing.assert_allclose(np.exp(_mixture(7).log_prob(z)), by_hand, rtol=1e-5)


def test_the_density_of_a_mixture_integrates_to_one():
    axis = np.linspace(-12, 12, 601, dtype=np.float32)
    z = np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, 2)
    total = np.exp(_mixture(len(z)).log_prob(z)).sum() * (axis[1] - axis[0]) ** 2
    assert total == pytest.approx(1, abs=1e-4)


def test_draws_of_a_mixture_have_its_mean_and_its_variance():
    rows = 20_000
    mixture = _mixture(rows)
    z = mixture.draw(SeededNoise(0), "z1/prior").numpy()
    np.testing.assert_allclose(z.mean(axis=0), mixture.mean()[0], atol=0.06)
    np.testing.assert_allclose(z.std(axis=0), mixture.stddev()[0], rtol=0.02)
    by_hand = (DEVIATIONS**2).mean(axis=0) + MEANS.var(axis=0)
    np.testing.assert_allclose(mixture.variance()[0], by_hand, rtol=1e-5)


def test_at_temperature_0_the_draws_of_a_mixture_are_the_means_of_components_equally_often():
    z = _mixture(3000).draw(SeededNoise(0), "z1/prior", 0.0).numpy()
    found, counts = np.unique(z, axis=0, return_counts=True)
    np.testing.assert_array_equal(found, MEANS[np.argsort(MEANS[:, 0])])
    assert stats.chisquare(counts).pvalue > 0.001


def test_the_mode_of_a_mixture_is_the_mean_of_its_component_at_the_greatest_density():
    mixture = _mixture(2)
    best = np.argmax(_mixture(3).log_prob(MEANS))
    np.testing.assert_array_equal(mixture.mode(), MEANS[[best, best]])
    assert mixture.gather(tf.constant([0, 0, 1])).mode().shape == (3, 2)


def test_a_learnt_gaussian_begins_as_the_standard_one():
    images = random_images(architectures.get("tiny_conv"))
    models = [
        perturbed_alike(_spec("tiny_conv", prior))
        for prior in (priors.StandardPrior(), priors.GaussianPrior())
    ]
    standard, learnt = (m(images).latents[-1] for m in models)
    np.testing.assert_array_equal(standard.log_p, learnt.log_p)
    np.testing.assert_array_equal(standard.z, learnt.z)
    assert models[1].count_params() - models[0].count_params() == 2 * np.prod(
        models[0].latent_shapes[-1]
    )


def perturbed_alike(spec):
    """A model whose weights, those of its prior aside, are the same for every prior."""
    base = perturbed(dataclasses.replace(spec, top_prior=priors.StandardPrior()))
    made = biva_tf.build(spec)
    weights = {variable.path: variable for variable in base.weights}
    for variable in made.weights:
        if variable.path in weights:
            variable.assign(weights[variable.path])
    return made


def test_the_posterior_is_initialised_on_data_and_not_on_pseudo_inputs():
    images = random_images(architectures.get("tiny_dense"), 8)
    heads = []
    for prior in priors.StandardPrior(), priors.VampPrior(3):
        model = perturbed_alike(_spec("tiny_dense", prior))
        with weight_norm.data_dependent_initialisation(model):
            model(images)
        heads.append(model.bottom_up_stages[-1].posterior.head)
    for standard, vamp in zip(*(head.weights for head in heads), strict=True):
        np.testing.assert_array_equal(standard, vamp)


def test_the_vamp_prior_is_the_mixture_of_the_posteriors_of_its_features():
    model = perturbed_alike(_spec("tiny_dense", priors.VampPrior(3)))
    output = model(random_images(model.spec, 5))
    [features] = [v for v in model.trainable_variables if v.path == "pz_top/features"]
    head = model.bottom_up_stages[-1].posterior.head
    components = [head(feature[tf.newaxis]) for feature in tf.unstack(features)]
    z = output.latents[-1].z
    densities = [tf.exp(tf.cast(q.log_prob(z), tf.float64)) for q in components]
    by_hand = tf.math.log(tf.add_n(densities) / 3)
    np.testing.assert_allclose(output.latents[-1].log_p, by_hand, rtol=1e-4)


@pytest.mark.parametrize("prior", [priors.GaussianPrior(), priors.VampPrior(3)])
def test_the_bound_has_gradients_of_all_weights_of_the_prior(prior):
    model = perturbed(_spec("tiny_conv", prior))
    with tf.GradientTape() as tape:
        output = model(random_images(model.spec))
        loss = sum(tf.reduce_sum(stats.log_p - stats.log_q) for stats in output.latents)
    own = [v.value for v in model.trainable_variables if v.path.startswith("pz_top/")]
    assert len(own) == (2 if isinstance(prior, priors.GaussianPrior) else 1)
    for gradient in tape.gradient(loss, own):
        assert np.isfinite(gradient).all() and np.abs(gradient).max() > 0


@pytest.mark.slow
def test_a_model_with_a_vamp_prior_does_what_the_others_do(tmp_path):
    model = perturbed(_spec("tiny_dense", priors.VampPrior(3)))
    images = random_images(model.spec, 4)
    assert np.isfinite(model.score(images, num_importance_samples=2, k=1, seed=0).bound_nats).all()
    assert np.ptp(model.sample(4, seed=0), axis=0).max() > 0
    np.testing.assert_array_equal(
        model.sample(4, seed=0, temperature=0.5), model.sample(4, seed=0, temperature=0.5)
    )
    assert model.reconstruct(images, k=0, seed=0).shape == images.shape
    assert model.traverse("z2", (0,), (-1.0, 1.0), seed=0).shape == (1, 2, *images.shape[1:])
    assert model.levels(2, seed=0).shape[:2] == (2, 2)
    model.save_to_preset(tmp_path / "preset")
    again = biva_tf.load(tmp_path / "preset")
    np.testing.assert_array_equal(*(m.score(images, seed=0).bound_nats for m in (model, again)))
    version = exporting.export(again, tmp_path / "export")  # checks what it computes
    assert (version / "saved_model.pb").exists()


@pytest.mark.slow
def test_images_are_compressed_under_a_learnt_gaussian_and_a_mixture_is_refused():
    model = perturbed(_spec("tiny_dense", priors.GaussianPrior()))
    images = random_images(model.spec, 2)
    np.testing.assert_array_equal(model.decompress(model.compress(images)), images)
    with pytest.raises(CompressionError, match="the latent z2 has a prior that cannot be coded"):
        perturbed(_spec("tiny_dense", priors.VampPrior(3))).compress(images)
