"""The floor of the log-variances of a spec with `log_variance="free"`."""

import dataclasses
import json
import math

import numpy as np
import pytest
import tensorflow as tf
from conftest import perturbed, random_images

from biva_tf.inference import objectives
from biva_tf.model import architectures
from biva_tf.model.spec import ModelSpec, SpecError, to_plain

FREE = dataclasses.replace(architectures.get("tiny_dense"), log_variance="free")


def test_a_spec_without_a_floor_keeps_its_json_and_one_with_a_floor_comes_back():
    assert "log_variance_floor" not in to_plain(FREE)
    spec = dataclasses.replace(FREE, log_variance_floor=-4.5)
    assert json.loads(spec.to_json())["log_variance_floor"] == -4.5
    assert ModelSpec.from_json(spec.to_json()) == spec


@pytest.mark.parametrize("value", [0.5, math.nan, -math.inf, True, "-6"])
def test_a_floor_is_a_finite_number_up_to_0(value):
    with pytest.raises(SpecError, match=r"log_variance_floor: expected null, or .* number <= 0"):
        dataclasses.replace(FREE, log_variance_floor=value)


def test_the_variances_of_the_original_are_at_least_1_and_take_no_floor():
    with pytest.raises(SpecError, match=r'log_variance_floor: expected null, or with .* "free"'):
        dataclasses.replace(FREE, log_variance="softplus", log_variance_floor=-1.0)


@pytest.mark.parametrize("posterior", ["direct", "residual"])
def test_no_log_variance_is_below_the_floor_and_those_above_it_keep_their_bits(posterior):
    free = dataclasses.replace(FREE, posterior=posterior)
    without = perturbed(free)
    images = random_images(free, rows=3)

    def outputs(floor):
        model = type(without)(dataclasses.replace(free, log_variance_floor=floor))
        model.set_weights(without.get_weights())
        output = model(images)
        values = [
            gaussian.log_variance.numpy().ravel()
            for latent in output.latents
            for gaussian in (latent.q, latent.p)
        ]
        return np.concatenate(values), objectives.terms(output, tf.constant(images)).bound

    free_values, free_bound = outputs(None)
    least = float(free_values.min())
    assert least < -0.01
    values, bound = outputs(2 * least)
    np.testing.assert_array_equal(values, free_values)
    np.testing.assert_array_equal(bound, free_bound)
    values, bound = outputs(least / 2)
    assert values.min() == np.float32(least / 2)
    assert np.isfinite(bound).all() and np.any(bound != free_bound)
