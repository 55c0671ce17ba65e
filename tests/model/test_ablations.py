"""LVAE, LVAE+ and VAE: their latents, their sizes, and which latent depends on which."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf
from conftest import perturbed, random_images, stage

import biva_tf
from biva_tf.model import architectures, plans
from biva_tf.model.noise import SeededNoise
from biva_tf.model.spec import DenseLatent, ModelSpec

BIVA = ModelSpec(
    (8, 8, 1),
    (
        stage(DenseLatent(3), (2, 2), (1, 1)),
        stage(DenseLatent(3), (1, 1), (1, 1)),
        stage(DenseLatent(2), (2, 2), (1, 1)),
    ),
)


@pytest.mark.parametrize("name", ["lvae", "lvae_plus", "vae"])
def test_every_ablation_has_one_latent_per_level(name):
    spec = architectures.get(f"mnist_l6_{name}")
    assert [z.name for z in spec.latents] == ["z1", "z2", "z3", "z4", "z5", "z6"]
    assert ModelSpec.from_json(spec.to_json()) == spec


def test_sizes_are_close_to_table_1_of_the_paper():
    """The two L=15 models differ only by the 984,960 parameters of the generative skips."""
    lvae, plus = (biva_tf.build(f"cifar10_l15_{name}") for name in ("lvae", "lvae_plus"))
    assert lvae.count_params() == 72_476_128  # paper: 72.36M
    assert plus.count_params() == 73_461_088  # paper: 73.35M
    only_in_plus = {v.path for v in plus.trainable_variables} - {
        v.path for v in lvae.trainable_variables
    }
    assert all("deterministic_generative" in path and "aux" in path for path in only_in_plus)
    assert plus.count_params() - lvae.count_params() == 984_960
    sizes = {v.path: v.shape for v in plus.trainable_variables}
    assert all(sizes[v.path] == v.shape for v in lvae.trainable_variables)


def test_cifar10_l29_lvae_plus_has_the_depth_of_the_paper():
    spec = architectures.get("cifar10_l29_lvae_plus")
    assert biva_tf.build(spec).count_params() == 120_789_472  # paper: 119.71M
    assert len(spec.latents) == spec.num_levels == 29
    assert spec.stages[0].latent.channels == 38 and spec.stages[-1].latent.channels == 10


def _priors(model, values):
    """The mean of every latent's prior, given the values of all latents."""
    plan = tuple(plans.Given(v) for v in values)
    output = model.top_down(None, plan, SeededNoise(0), rows=1)
    return [z.p.mean().numpy() for z in output.latents]


@pytest.mark.parametrize(
    ("ablation", "depends_on_z3"), [(architectures.lvae, False), (architectures.lvae_plus, True)]
)
def test_the_prior_of_z1_depends_on_z3_only_with_generative_skips(ablation, depends_on_z3):
    """The prior is p(z1|z2) without generative skips and p(z1|z2, z3) with them."""
    model = perturbed(ablation(BIVA))
    values = [tf.ones((1, n)) for n in (3, 3, 2)]
    plain = _priors(model, values)
    changed = _priors(model, [*values[:2], -values[2]])
    assert not np.allclose(plain[1], changed[1])
    assert (not np.allclose(plain[0], changed[0])) == depends_on_z3


@pytest.mark.parametrize("inference", ["bidirectional", "top_down", "bottom_up"])
def test_only_the_vae_infers_a_level_from_the_latent_below_alone(inference):
    """The VAE has q(z_{i+1}|z_i); in BIVA and LVAE the images themselves reach every level."""
    model = perturbed(dataclasses.replace(BIVA, inference=inference))
    images, others = random_images(BIVA, 2), random_images(BIVA, 2, seed=1)
    noise = SeededNoise(0)
    plain = model.image_features(images, noise)
    assert len(plain.maps) == (3 if inference == "top_down" else 1)
    mixed = dataclasses.replace(plain, maps=model.image_features(others, noise).maps)
    features, changed = (model.bottom_up(f, noise) for f in (plain, mixed))
    if inference == "top_down":
        assert features.bottom_up == ()
    else:
        same = np.allclose(features.q_top.mean(), changed.q_top.mean())
        assert same == (inference == "bottom_up")


def test_the_posterior_of_z2_depends_on_z3_in_the_lvae_and_not_in_the_vae():
    """The LVAE samples z2 from q(z2|x, z3) in its top-down pass; the VAE has no z3 there."""
    for inference, depends in (("top_down", True), ("bottom_up", False)):
        model = perturbed(dataclasses.replace(BIVA, inference=inference))
        images = random_images(BIVA, 2)
        q_means = []
        for value in (1.0, -1.0):
            top = plans.Given(tf.fill((2, 2), value))
            plan = (plans.Posterior(), plans.Posterior(), top)
            q_means.append(model(images, plan=plan, noise=SeededNoise(0)).latents[1].q.mean())
        assert (not np.allclose(*q_means)) == depends


@pytest.mark.parametrize("inference", ["bidirectional", "top_down", "bottom_up"])
def test_l_above_k_draws_exactly_the_latents_up_to_k_from_their_priors(inference):
    """A shift of a level's priors shifts its latents under L^{>k} if and only if level <= k."""
    spec = dataclasses.replace(BIVA, inference=inference)
    model = perturbed(spec)
    images = random_images(spec)

    def draws(k):
        output = model(images, plan=plans.prior_up_to(spec, k), noise=SeededNoise(0))
        return [z.z.numpy() for z in output.latents]

    for level in (1, 2):
        biases = [
            v
            for v in model.trainable_variables
            if v.path.startswith("pz_") and v.path.endswith(f"_{level}_mean/b")
        ]
        assert len(biases) == len(spec.branches)
        for k in (0, 1, 2):
            before = draws(k)
            for bias in biases:
                bias.assign(bias + 1.0)
            after = draws(k)
            for bias in biases:
                bias.assign(bias - 1.0)
            for latent, a, b in zip(spec.latents, before, after, strict=True):
                if latent.level > level or (latent.level == level and level > k):
                    np.testing.assert_array_equal(a, b)
                elif latent.level == level:
                    assert np.all(np.abs(a - b) > 0.5)
