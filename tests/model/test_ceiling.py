"""The ceiling of the log-variances of the latents."""

import dataclasses
import json
import math

import numpy as np
import pytest
import tensorflow as tf
from conftest import perturbed, random_images

import biva_tf
from biva_tf.inference import scoring
from biva_tf.model import architectures, heads, plans
from biva_tf.model.noise import SeededNoise
from biva_tf.model.spec import ModelSpec, SpecError, from_plain, to_plain
from biva_tf.runs.config import RunConfig
from biva_tf.runs.run_dir import RunDir

COMPARED = ("mnist_l6", "mnist_l6_semi", "cifar10_l10", "cifar10_l15", "celeba64_l20")
TRAINED = ("mnist_sample", "small_l5", "small_l5_grey", "small_semi", "density_2d", "text_small")


def _with_ceiling(model, ceiling):
    made = biva_tf.BIVA(dataclasses.replace(model.spec, log_variance_ceiling=ceiling))
    made.set_weights(model.get_weights())
    return made


def test_a_spec_of_an_earlier_version_has_no_ceiling_and_keeps_its_json():
    plain = to_plain(architectures.get("tiny_conv"))
    assert "log_variance_ceiling" not in plain
    assert from_plain(plain).log_variance_ceiling is None
    spec = from_plain({**plain, "log_variance_ceiling": 6.5})
    assert spec.log_variance_ceiling == 6.5
    assert ModelSpec.from_json(spec.to_json()) == spec
    assert json.loads(spec.to_json())["log_variance_ceiling"] == 6.5


@pytest.mark.parametrize("value", [0, -1.0, math.nan, math.inf, True, "6"])
def test_a_ceiling_is_a_finite_number_above_0(value):
    with pytest.raises(SpecError, match="log_variance_ceiling: expected a finite number > 0"):
        dataclasses.replace(architectures.get("tiny_dense"), log_variance_ceiling=value)


def test_only_architectures_that_no_result_is_compared_with_have_a_ceiling():
    assert {architectures.get(name).log_variance_ceiling for name in COMPARED} == {None}
    assert {architectures.get(name).log_variance_ceiling for name in TRAINED} == {8.0}
    assert architectures.get("small_l5_lvae").log_variance_ceiling == 8.0


@pytest.mark.parametrize("ceiling", [0.5, 6.0, 8.0])
def test_below_the_ceiling_a_log_variance_keeps_its_bits_and_above_it_stays_there(ceiling):
    below = np.nextafter(np.float32(ceiling), np.float32(0))
    values = np.array([0, 1e-8, 0.3, below, ceiling, ceiling + 1, 1e30, np.inf], np.float32)
    got = heads.under_ceiling(tf.constant(values), ceiling).numpy()
    kept = values <= ceiling
    np.testing.assert_array_equal(got[kept].view(np.int32), values[kept].view(np.int32))
    assert (got <= ceiling).all()


@pytest.mark.parametrize("name", ["tiny_dense", "tiny_conv"])
def test_a_ceiling_that_is_not_reached_changes_no_bit(name):
    model = perturbed(name)
    images = random_images(model.spec, 5)
    under = _with_ceiling(model, 50.0)
    for a, b in zip(
        tf.nest.flatten(dataclasses.asdict(model.score(images, num_importance_samples=3, seed=1))),
        tf.nest.flatten(dataclasses.asdict(under.score(images, num_importance_samples=3, seed=1))),
        strict=True,
    ):
        np.testing.assert_array_equal(a, b)
    np.testing.assert_array_equal(model.sample(4, seed=2), under.sample(4, seed=2))


def test_the_ceiling_holds_in_q_and_p_of_every_latent_in_training_too():
    model = perturbed("tiny_dense")
    ceiling = 0.3
    under = _with_ceiling(model, ceiling)
    images = random_images(model.spec, 8)
    for training in (False, True):
        noise = SeededNoise(3)
        features = under.bottom_up(under.image_features(images, noise, training=training), noise)
        output = under.top_down(features, plans.posterior(under.spec), noise, training=training)
        largest = [
            max(d.log_variance.numpy().max() for d in (latent.p, latent.q))
            for latent in output.latents
        ]
        assert max(largest) == np.float32(ceiling)  # it is reached, and not exceeded


def test_a_run_of_an_earlier_version_goes_on_without_a_ceiling(tmp_path):
    new, config = architectures.get("mnist_sample"), RunConfig(architecture="mnist_sample")
    run_dir = RunDir(tmp_path)
    assert run_dir.as_begun(new, config) == (new, config)
    old = dataclasses.replace(new, log_variance_ceiling=None)
    run_dir.write_config(old, config)
    spec, settings = run_dir.as_begun(new, config)
    assert spec == old
    assert run_dir.check(spec, settings) == {}


def test_blown_up_activations_have_scores_under_a_ceiling():
    model = perturbed("tiny_conv_lvae_plus")
    images = random_images(model.spec, 4)
    # Weights of log-variances that make them thousands, as those of a trained model are far from
    # its data.
    for variable in model.trainable_variables:
        if "_var/" in variable.path and variable.path.endswith("b"):
            variable.assign(variable + 2000.0)
    (without,) = scoring.scores(model, images, (0,))
    assert not np.isfinite(without.bound_nats).any()
    (under,) = scoring.scores(_with_ceiling(model, 6.0), images, (0,))
    assert np.isfinite(under.bound_nats).all()
