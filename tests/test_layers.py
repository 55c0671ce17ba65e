import numpy as np
import pytest
import tensorflow as tf

from biva_tf.blocks import GatedBlock
from biva_tf.layers import Conv2D, Deconv2D, Dense, data_dependent_initialisation
from biva_tf.noise import SeededNoise
from biva_tf.operations import Operand
from biva_tf.spec import BlockSpec


def _layers():
    return [
        (Conv2D((7, 6, 3), 5, (3, 2), (2, 1), name="conv"), (4, 7, 6, 3), (4, 4, 6, 5)),
        (Deconv2D(3, 5, (3, 2), (2, 1), (7, 6), name="deconv"), (4, 4, 6, 3), (4, 7, 6, 5)),
        (Dense(3, 5, name="nin"), (4, 7, 6, 3), (4, 7, 6, 5)),
        (Dense(3, 5, name="dense"), (64, 3), (64, 5)),
    ]


def _randomise(layer, rng):
    for variable in layer.trainable_variables:
        variable.assign(rng.normal(size=variable.shape))


@pytest.mark.parametrize("index", range(4))
def test_scaling_v_changes_nothing_and_g_scales(index):
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


def test_dense_is_the_formula():
    rng = np.random.default_rng(1)
    layer = Dense(6, 4, name="dense")
    _randomise(layer, rng)
    x = rng.normal(size=(5, 6)).astype(np.float32)
    v, g, b = (variable.numpy() for variable in (layer.v, layer.g, layer.b))
    expected = x @ (g * v / np.sqrt((v**2).sum(axis=0))) + b
    np.testing.assert_allclose(layer(x), expected, rtol=1e-5, atol=1e-6)


def test_a_1x1_convolution_is_dense_over_channels():
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
    left = tf.reduce_sum(conv.operation.product(x, Operand(v)) * y)
    right = tf.reduce_sum(x * deconv.operation.product(y, Operand(v)))
    np.testing.assert_allclose(left, right, rtol=1e-4)


@pytest.mark.parametrize("index", range(4))
def test_data_dependent_initialisation(index):
    rng = np.random.default_rng(4)
    layer, in_shape, _ = _layers()[index]
    x = tf.constant(3 + 2 * rng.normal(size=in_shape), tf.float32)
    with data_dependent_initialisation():
        initial = layer(x)
    axes = tuple(range(len(in_shape) - 1))
    np.testing.assert_allclose(np.mean(initial, axis=axes), 0, atol=1e-5)
    np.testing.assert_allclose(np.std(initial, axis=axes), 0.01, rtol=1e-3)
    # What flows on during initialisation is what the layer computes from then on.
    np.testing.assert_allclose(layer(x), initial, atol=1e-5)


def _block(in_shape, filters, stride=(1, 1), **kwargs):
    return GatedBlock(BlockSpec(filters, (3, 3), stride), in_shape, name="block", **kwargs)


@pytest.mark.parametrize(
    ("block", "in_shape", "residual"),
    [
        (lambda s: _block(s, 3), (6, 5, 3), lambda x: x),
        (lambda s: _block(s, 5), (6, 5, 3), lambda x: np.pad(x, [(0, 0)] * 3 + [(0, 2)])),
        (lambda s: _block(s, 2), (6, 5, 3), None),
        (lambda s: _block(s, 3, residual=False), (6, 5, 3), None),
        (lambda s: _block(s, 3, (2, 2), out_size=(12, 9)), (6, 5, 3), None),
        (
            lambda s: _block(s, 3, (2, 1)),
            (6, 5, 3),
            lambda x: x.reshape(2, 3, 2, 5, 3).mean(axis=2),
        ),
    ],
)
def test_the_residual_of_a_gated_block(block, in_shape, residual):
    """With the last convolution at 0, what comes out is the residual alone."""
    rng = np.random.default_rng(5)
    layer = block(in_shape)
    layer._conv_out.g.assign(0 * layer._conv_out.g)
    x = rng.normal(size=(2, *in_shape)).astype(np.float32)
    out = layer(x, noise=None).numpy()
    assert out.shape[1:] == layer.out_shape
    expected = np.zeros_like(out) if residual is None else residual(x)
    np.testing.assert_allclose(out, expected, atol=1e-6)


@pytest.mark.parametrize("aux_shape", [(6, 5, 2), (12, 10, 2), (11, 5, 2), (3, 3, 2), (2, 1, 2)])
def test_an_aux_map_of_any_size_reaches_the_output(aux_shape):
    rng = np.random.default_rng(6)
    layer = _block((6, 5, 3), 3, aux_shape=aux_shape)
    x = tf.constant(rng.normal(size=(2, 6, 5, 3)), tf.float32)
    aux = tf.constant(rng.normal(size=(2, *aux_shape)), tf.float32)
    with tf.GradientTape() as tape:
        tape.watch(aux)
        out = layer(x, aux, noise=None)
    assert out.shape == (2, 6, 5, 3)
    assert np.all(np.abs(tape.gradient(out, aux)).max(axis=(1, 2, 3)) > 0)


def test_dropout_only_in_training_and_by_seed():
    layer = _block((6, 5, 3), 3, dropout=0.5)
    x = tf.random.stateless_normal((2, 6, 5, 3), (0, 1))
    quiet = layer(x, noise=SeededNoise(0))
    np.testing.assert_array_equal(quiet, layer(x, noise=SeededNoise(1)))
    a, b, c = (layer(x, noise=SeededNoise(s), training=True) for s in (0, 0, 1))
    np.testing.assert_array_equal(a, b)
    assert not np.allclose(a, c) and not np.allclose(a, quiet)
