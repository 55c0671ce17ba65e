"""Fixed weights are those of the moment of `read`; kept ones, too, whatever changes a weight."""

import numpy as np
import pytest
import tensorflow as tf
from conftest import perturbed, random_images

from biva_tf.inference import sampling
from biva_tf.model.network import Network
from biva_tf.nn import weight_norm
from biva_tf.nn.compute import Compute
from biva_tf.training.step import Objective


@pytest.fixture
def model():
    return perturbed("tiny_dense")


@tf.function
def _changed_in_a_graph(variable):
    variable.assign_sub(0.1 * variable)


CHANGES = {
    "assign": lambda v: v.assign(v + 1.0),
    "assign_add": lambda v: v.assign_add(tf.ones_like(v)),
    "slice": lambda v: v[..., 0].assign(v[..., 0] + 1.0),
    "graph": _changed_in_a_graph,
}


def _check(kept, layers, rows):
    for found, layer in zip(kept.read(rows), layers, strict=True):
        expected = layer.normalised_weights(rows)
        np.testing.assert_array_equal(found.w, expected.w)
        assert (found.spectrum is None) == (expected.spectrum is None)
        if expected.spectrum is not None:
            np.testing.assert_array_equal(found.spectrum, expected.spectrum)


@pytest.mark.parametrize("change", CHANGES)
def test_every_change_of_a_weight_is_seen(model, change):
    kept = model.fixed_generative_weights
    first = kept.read(4)
    assert kept.read(4) is first
    layers = weight_norm.layers_of(model.generative_parts)
    for variable in (layers[0].v, layers[-1].g, layers[0].v):
        CHANGES[change](variable.value)
        assert kept.read(4) is not first
        first = kept.read(4)
        # TensorFlow copies a variable at every read once a slice of it was assigned.
        assert kept.read(4) is first or change == "slice"
        _check(kept, layers, 4)


def test_spectra_are_those_for_the_batch(monkeypatch):
    monkeypatch.setattr(Compute, "least_rows_in_frequency", lambda *_, **__: 4.5)
    model = perturbed("tiny_conv")
    kept = model.fixed_generative_weights
    layers = weight_norm.layers_of(model.generative_parts)
    one, many = kept.read(1), kept.read(32)
    assert one is not many
    assert all(weights.spectrum is None for weights in one)
    assert any(weights.spectrum is not None for weights in many)
    _check(kept, layers, 32)
    _check(kept, layers, 5)
    # Batches that need the same spectra share them.
    few, alike = kept.read(1), kept.read(4)
    assert few is alike


def test_samples_follow_the_weights_in_training(model):
    model.compile(objective=Objective(free_bits=0.1))
    images = random_images(model.spec, rows=8)
    before = model.sample(3, seed=1)
    np.testing.assert_array_equal(before, model.sample(3, seed=1))
    model.fit(images, batch_size=4, verbose=0)
    after = model.sample(3, seed=1)
    assert np.abs(after - before).max() > 1e-4
    np.testing.assert_array_equal(after, _of_a_new_model(model))
    with model.averaged_weights():
        np.testing.assert_array_equal(model.sample(3, seed=1), _of_a_new_model(model))
    np.testing.assert_array_equal(after, model.sample(3, seed=1))


def _of_a_new_model(model):
    """The samples of a model with the same weights, which has kept none."""
    other = Network(model.spec)
    other.set_weights(model.get_weights())
    return sampling.sample(other, 3, seed=1)


def test_sampling_uses_no_layer_of_inference(model):
    names = {layer.name for layer in weight_norm.layers_of(model.generative_parts)}
    assert names and not any(name.startswith(("q", "deterministic_bottom")) for name in names)
