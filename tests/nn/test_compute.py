import concurrent.futures
import contextlib
import math

import numpy as np
import pytest
import tensorflow as tf
from conftest import DATA

from biva_tf.inference import objectives
from biva_tf.model import plans
from biva_tf.model.network import Network
from biva_tf.model.noise import SeededNoise
from biva_tf.nn import weight_norm
from biva_tf.nn.compute import Compute
from biva_tf.nn.frequency import convolution
from tools.tf1.names import load_variables, read_reference

WAYS = [
    Compute("frequency"),
    Compute("direct", "mixed_bfloat16"),
    Compute("frequency", "mixed_bfloat16"),
]


def _least_rows(size, kernel, channels, filters, conv="auto", **options):
    layer = convolution((size, size), (kernel, kernel))
    return Compute(conv).least_rows_in_frequency(layer, channels, filters, **options)


def test_unknown_settings_are_refused():
    with pytest.raises(ValueError, match="conv: expected one of auto, direct, frequency, got 'fft"):
        Compute("fft")
    with pytest.raises(ValueError, match="precision: expected one of float32"):
        Compute(precision="half")


def test_auto_knows_the_least_rows_for_which_the_frequency_domain_is_faster():
    assert 1 < _least_rows(28, 5, 64, 128) <= 8
    assert _least_rows(16, 16, 96, 76) <= 8
    assert 16 < _least_rows(16, 3, 96, 192) <= 32
    assert _least_rows(14, 3, 64, 128) > 32
    # With fixed weights the spectrum is known: fewer rows are enough, or direct always wins.
    assert _least_rows(28, 5, 64, 128, fixed_weights=True) <= 4
    assert _least_rows(14, 3, 64, 128, fixed_weights=True) == math.inf
    assert _least_rows(28, 1, 64, 128) == math.inf
    assert _least_rows(28, 1, 64, 128, "frequency") == 0
    assert _least_rows(16, 16, 96, 76, "direct") == math.inf


def test_auto_is_direct_where_there_is_a_gpu(monkeypatch):
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: [kind])
    assert _least_rows(16, 16, 96, 76) == math.inf
    assert _least_rows(16, 16, 96, 76, "frequency") == 0


def _reference_model(reference, compute):
    model = Network(reference.spec, compute)
    load_variables(model, reference.group("var/"), "reference")
    return model


def _bound_and_gradients(model, x):
    variables = [v.value for v in model.trainable_variables]
    with tf.GradientTape() as tape:
        output = model(x, plan=plans.posterior(model.spec), noise=SeededNoise(0))
        bound = tf.reduce_mean(objectives.terms(output, x).bound)
    gradients = tape.gradient(bound, variables)
    return bound, tf.concat([tf.reshape(g, [-1]) for g in gradients], axis=0)


@pytest.mark.parametrize("name", ["bernoulli_dense", "discretized_conv"])
def test_every_way_to_compute_gives_the_same_bound_and_gradients(name):
    reference = read_reference(DATA / f"{name}.npz")
    x = tf.constant(reference["x"])
    bound, gradients = _bound_and_gradients(_reference_model(reference, Compute("direct")), x)
    for compute in WAYS:
        other_bound, other_gradients = _bound_and_gradients(_reference_model(reference, compute), x)
        tolerance = 1e-5 if compute.precision == "float32" else 0.1
        assert tf.norm(other_gradients - gradients) < tolerance * tf.norm(gradients)
        assert abs(other_bound - bound) < tolerance * abs(bound)
        assert compute.precision == "float32" or other_bound != bound


@pytest.mark.parametrize("compute", [Compute(), *WAYS], ids=str)
def test_fixed_weights_give_the_same_bound_even_after_the_variables_change(compute):
    reference = read_reference(DATA / "discretized_conv.npz")
    model = _reference_model(reference, compute)
    x = tf.constant(reference["x"])

    def bound():
        output = model(x, plan=plans.posterior(model.spec), noise=SeededNoise(0))
        return objectives.terms(output, x).bound

    expected = bound()
    for rows in (0, len(x)):
        weights = model.fixed_weights.read(rows)
        with model.fixed_weights.used(weights):
            np.testing.assert_array_equal(bound(), expected)
    for variable in model.trainable_variables:
        if variable.name != "b":
            variable.assign(variable * 2)
    with model.fixed_weights.used(weights):
        np.testing.assert_array_equal(bound(), expected)
    assert np.all(bound() != expected)


def test_a_graph_for_any_number_of_rows_chooses_how_to_compute_at_run_time(monkeypatch):
    monkeypatch.setattr(Compute, "least_rows_in_frequency", lambda *_, **__: 2.5)
    layer = weight_norm.Conv2D((6, 6, 2), 3, (3, 3), name="conv")
    x = tf.random.normal((3, 6, 6, 2))
    graph = tf.function(layer, input_signature=[tf.TensorSpec((None, 6, 6, 2))], autograph=False)
    w = layer.normalised_weights().w
    direct = tf.function(lambda x: tf.nn.conv2d(x, w, 1, "SAME"))
    np.testing.assert_array_equal(graph(x[:2]), direct(x[:2]))
    assert np.any(graph(x) != direct(x))
    np.testing.assert_allclose(graph(x), direct(x), atol=1e-5)
    assert layer.normalised_weights(2).spectrum is None
    assert layer.normalised_weights(3).spectrum is not None


def test_layers_take_the_scope_of_their_own_thread():
    direct, auto = Compute("direct"), Compute()

    def made():
        return weight_norm.Dense(2, 2, name="dense").compute

    with direct.scope():
        with Compute("frequency").scope():
            assert made().conv == "frequency"
        with concurrent.futures.ThreadPoolExecutor() as pool:
            assert (made(), pool.submit(made).result()) == (direct, auto)
    with contextlib.suppress(KeyError), direct.scope():
        raise KeyError
    assert made() == auto
