import numpy as np
import pytest
from conftest import perturbed, random_images

from biva_tf.inference import exploration
from biva_tf.model import plans
from biva_tf.model.noise import SeededNoise


def test_a_reconstruction_gives_the_lowest_k_levels_their_prior_modes(model):
    images = random_images(model.spec, 3)
    both = exploration.reconstruct(model, images, (0, 1), seed=4)
    assert both.shape == (3, 2, *model.spec.image_shape)
    for i, k in enumerate((0, 1)):
        noise = SeededNoise(4)
        output = model(images, plan=plans.prior_mode_up_to(model.spec, k), noise=noise)
        expected = model.likelihood.image(output.px, noise)
        np.testing.assert_allclose(both[:, i], expected, atol=1e-6)
    assert not np.allclose(both[:, 0], both[:, 1])


def test_the_last_column_of_levels_is_a_sample_of_the_prior(model):
    columns = exploration.samples_by_level(model, 3, seed=2)
    assert columns.shape == (3, model.spec.num_levels, *model.spec.image_shape)
    np.testing.assert_allclose(columns[:, -1], model.sample(3, seed=2), atol=1e-5)
    assert not np.allclose(columns[:, 0], columns[:, -1])


def test_interpolations_go_from_one_reconstruction_to_the_other(model):
    a, b = random_images(model.spec, 2), random_images(model.spec, 2, seed=1)
    between = exploration.interpolate(model, a, b, 5, seed=3)
    assert between.shape == (2, 5, *model.spec.image_shape)
    ends = exploration.reconstruct(model, np.concatenate([a, b]), (0,), seed=3)[:, 0]
    if model.spec.likelihood.binary:  # the image of a mixture of logistics is drawn
        np.testing.assert_allclose(between[:, 0], ends[:2], atol=1e-5)
        np.testing.assert_allclose(between[:, -1], ends[2:], atol=1e-5)
    steps = np.abs(np.diff(between, axis=1)).mean(axis=(2, 3, 4))
    assert np.all(steps > 0)


def test_the_great_circle_goes_from_one_vector_to_the_other():
    a, b = np.array([[3.0, 0.0]]), np.array([[0.0, 1.0]])
    np.testing.assert_allclose(exploration._great_circle(a, b, 0.0), a, atol=1e-6)
    np.testing.assert_allclose(exploration._great_circle(a, b, 1.0), b, atol=1e-6)
    half = exploration._great_circle(a, b, 0.5)
    np.testing.assert_allclose(half, [[2 / 2**0.5, 2 / 2**0.5]], rtol=1e-6)
    np.testing.assert_allclose(exploration._great_circle(a, 2 * a, 0.5), 1.5 * a, rtol=1e-6)
    np.testing.assert_allclose(exploration._great_circle(a, -a, 0.25), [[1.5, 0]], atol=1e-6)


@pytest.mark.parametrize("name", ["z1_td", "z2"])
def test_a_traversal_changes_only_its_unit_and_the_levels_below(name):
    """Values are in standard deviations from the mean of the unit's prior, which 0 stands for."""
    model = perturbed("tiny_dense")
    image = random_images(model.spec, 1)[0]
    values = (-2.0, 0.0, 2.0)
    images = exploration.traverse(model, name, (0, 2), values, image=image, seed=1)
    assert images.shape == (2, 3, *model.spec.image_shape)
    assert not np.allclose(images[0, 0], images[0, 2])
    # The expected image is decoded with this one unit changed.
    noise = SeededNoise(1)
    base = model(image[None], plan=plans.posterior(model.spec), noise=noise)
    plan = []
    for latent, stats in zip(model.spec.latents, base.latents, strict=True):
        z = stats.z.numpy().copy()
        if latent.name == name:
            z[0, 2] = stats.p.mean()[0, 2] + 2.0 * stats.p.stddev()[0, 2]
        below = latent.level < int(name[1])
        plan.append(plans.PriorMode() if below else plans.Given(z))
    expected = model.top_down(None, tuple(plan), noise, rows=1).px.mean()[0]
    np.testing.assert_allclose(images[1, 2], expected, atol=1e-5)


def test_unknown_latents_units_steps_and_ks_are_refused(model):
    images = random_images(model.spec, 1)
    with pytest.raises(ValueError, match="latent: expected one of z1_bu, z1_td, z2, got 'z9'"):
        exploration.traverse(model, "z9", (0,), (0.0,))
    with pytest.raises(ValueError, match=r"unit: expected an integer in 0\.\.2, got 3"):
        exploration.traverse(model, "z2", (3,), (0.0,))
    with pytest.raises(ValueError, match="steps: expected an integer >= 2"):
        exploration.interpolate(model, images, images, 1)
    with pytest.raises(ValueError, match="second: expected 1 images, as many as in first, got 2"):
        exploration.interpolate(model, images, random_images(model.spec, 2), 3)
    with pytest.raises(ValueError, match="k: expected an integer"):
        exploration.reconstruct(model, images, (5,))
