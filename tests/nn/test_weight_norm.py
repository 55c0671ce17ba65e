import keras
import numpy as np
import pytest
import tensorflow as tf

from biva_tf.nn.compute import Compute
from biva_tf.nn.weight_norm import (
    Conv2D,
    Deconv2D,
    Dense,
    NormalisedWeights,
    data_dependent_initialisation,
    is_initialised,
)


def _layers():
    """(Layer, shape of its input, shape of its output) of every kind."""
    return [
        (
            Conv2D((7, 6, 3), 5, (3, 2), (2, 1), name="conv"),
            (4, 7, 6, 3),
            (4, 4, 6, 5),
        ),
        (
            Deconv2D(3, 5, (3, 2), (2, 1), (7, 6), name="deconv"),
            (4, 4, 6, 3),
            (4, 7, 6, 5),
        ),
        (Dense(3, 5, name="nin"), (4, 7, 6, 3), (4, 7, 6, 5)),
        (Dense(3, 5, name="dense"), (64, 3), (64, 5)),
    ]


def _randomise(layer, rng):
    for variable in layer.trainable_variables:
        variable.assign(rng.normal(size=variable.shape))


@pytest.mark.parametrize("index", range(4))
def test_the_scale_of_v_has_no_effect_and_g_scales_the_output(index):
    rng = np.random.default_rng(0)
    layer, in_shape, out_shape = _layers()[index]
    _randomise(layer, rng)
    x = tf.constant(rng.normal(size=in_shape), tf.float32)
    y = layer(x)
    assert y.shape == out_shape
    layer.v.assign(layer.v * 7.0)
    np.testing.assert_allclose(layer(x), y, rtol=1e-4, atol=1e-5)
    layer.g.assign(layer.g * 2.0)
    np.testing.assert_allclose(layer(x) - layer.b, 2 * (y - layer.b), rtol=1e-4, atol=1e-5)


def test_dense_computes_its_formula():
    rng = np.random.default_rng(1)
    layer = Dense(6, 4, name="dense")
    _randomise(layer, rng)
    x = rng.normal(size=(5, 6)).astype(np.float32)
    v, g, b = (variable.numpy() for variable in (layer.v, layer.g, layer.b))
    expected = x @ (g * v / np.sqrt((v**2).sum(axis=0))) + b
    np.testing.assert_allclose(layer(x), expected, rtol=1e-5, atol=1e-6)


def test_dense_on_maps_is_dense_at_every_pixel():
    rng = np.random.default_rng(2)
    layer = Dense(6, 4, name="nin")
    _randomise(layer, rng)
    x = rng.normal(size=(2, 3, 5, 6)).astype(np.float32)
    flat = layer(x.reshape(-1, 6)).numpy().reshape(2, 3, 5, 4)
    np.testing.assert_allclose(layer(x), flat, rtol=1e-5, atol=1e-6)


def test_deconv_is_the_adjoint_of_conv_at_sizes_the_stride_does_not_divide():
    """<conv(x), y> = <x, deconv(y)> for the same normalised weights."""
    rng = np.random.default_rng(3)
    v = rng.normal(size=(3, 4, 2, 5)).astype(np.float32)
    x = tf.constant(rng.normal(size=(1, 7, 9, 2)), tf.float32)
    y = tf.constant(rng.normal(size=(1, 3, 5, 5)), tf.float32)
    conv = Conv2D((7, 9, 2), 5, (3, 4), (3, 2), name="conv")
    deconv = Deconv2D(5, 2, (3, 4), (3, 2), (7, 9), name="deconv")
    left = tf.reduce_sum(conv.product(x, NormalisedWeights(v)) * y)
    right = tf.reduce_sum(x * deconv.product(y, NormalisedWeights(v)))
    np.testing.assert_allclose(left, right, rtol=1e-4)


@pytest.mark.parametrize("index", range(4))
def test_data_dependent_initialisation_gives_mean_0_and_deviation_0_01(index):
    rng = np.random.default_rng(4)
    layer, in_shape, _ = _layers()[index]
    x = tf.constant(3 + 2 * rng.normal(size=in_shape), tf.float32)
    assert not is_initialised(layer)
    with data_dependent_initialisation(layer):
        initial = layer(x)
    axes = tuple(range(len(in_shape) - 1))
    np.testing.assert_allclose(np.mean(initial, axis=axes), 0, atol=1e-5)
    np.testing.assert_allclose(np.std(initial, axis=axes), 0.01, rtol=1e-3)
    assert is_initialised(layer)
    # After the initialisation, the layer computes the same output as during it.
    np.testing.assert_allclose(layer(x), initial, atol=1e-5)


@pytest.mark.parametrize("kind", ["conv", "nin"])
def test_on_maps_of_one_pixel_a_convolution_is_a_product_of_matrices(kind):
    rng = np.random.default_rng(0)
    conv = kind == "conv"
    layer = Conv2D((1, 1, 3), 5, (1, 1), name=kind) if conv else Dense(3, 5, name=kind)
    _randomise(layer, rng)
    x = tf.constant(rng.normal(size=(7, 1, 1, 3)), tf.float32)
    w = tf.reshape(layer.normalised_weights().w, (1, 1, 3, 5))
    expected = tf.nn.conv2d(x, w, 1, "SAME") + layer.b
    np.testing.assert_allclose(layer(x), expected, rtol=1e-5, atol=1e-5)
    graph = tf.function(layer).get_concrete_function(tf.TensorSpec((None, 1, 1, 3))).graph
    assert "Conv2D" not in {op.type for op in graph.get_operations()}


def test_the_layers_are_saved_in_any_model_of_keras(tmp_path):
    """Such a model has the weights, how they compute, and which are trained."""
    with Compute("direct", "mixed_bfloat16").scope():
        layers = [
            Conv2D((6, 4, 2), 3, (3, 1), (2, 2), name="conv"),
            Deconv2D(3, 2, (3, 3), (2, 2), (6, 3), name="deconv"),
            Dense(2, 5, name="dense"),
        ]
    rng = np.random.default_rng(0)
    for layer in layers:
        _randomise(layer, rng)
    layers[1].trainable = False
    model = keras.Sequential([keras.Input((6, 4, 2)), *layers])
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    x = rng.normal(size=(2, 6, 4, 2)).astype(np.float32)
    np.testing.assert_array_equal(loaded(x), model(x))
    assert [layer.get_config() for layer in loaded.layers] == [
        layer.get_config() for layer in layers
    ]
    assert all(layer.compute.precision == "mixed_bfloat16" for layer in loaded.layers)
    assert len(loaded.trainable_variables) == 6
