import numpy as np
import pytest
import tensorflow as tf

from biva_tf.model.blocks.gated import GatedBlock
from biva_tf.model.noise import SeededNoise
from biva_tf.model.spec import BlockSpec
from biva_tf.nn import weight_norm


def _block(in_shape, filters, stride=(1, 1), **kwargs):
    spec = BlockSpec(filters, (3, 3), stride)
    return GatedBlock(spec, in_shape, name="block", **kwargs)


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
    """With the gains of the last convolution at 0, the output is the residual alone."""
    rng = np.random.default_rng(5)
    layer = block(in_shape)
    layer._conv_out.g.assign(0 * layer._conv_out.g)
    x = rng.normal(size=(2, *in_shape)).astype(np.float32)
    out = layer(x, noise=None).numpy()
    assert out.shape[1:] == layer.out_shape
    expected = np.zeros_like(out) if residual is None else residual(x)
    np.testing.assert_allclose(out, expected, atol=1e-6)


@pytest.mark.parametrize("skip_shape", [(6, 5, 2), (12, 10, 2), (11, 5, 2), (3, 3, 2), (2, 1, 2)])
def test_a_skip_map_of_any_size_reaches_the_output(skip_shape):
    rng = np.random.default_rng(6)
    layer = _block((6, 5, 3), 3, skip_shape=skip_shape)
    x = tf.constant(rng.normal(size=(2, 6, 5, 3)), tf.float32)
    skip = tf.constant(rng.normal(size=(2, *skip_shape)), tf.float32)
    with tf.GradientTape() as tape:
        tape.watch(skip)
        out = layer(x, skip, noise=None)
    assert out.shape == (2, 6, 5, 3)
    assert np.all(np.abs(tape.gradient(out, skip)).max(axis=(1, 2, 3)) > 0)


def test_dropout_acts_only_in_training_and_depends_on_the_seed():
    layer = _block((6, 5, 3), 3, dropout=0.5)
    x = tf.random.stateless_normal((2, 6, 5, 3), (0, 1))
    without_dropout = layer(x, noise=SeededNoise(0))
    np.testing.assert_array_equal(without_dropout, layer(x, noise=SeededNoise(1)))
    a, b, c = (layer(x, noise=SeededNoise(s), training=True) for s in (0, 0, 1))
    np.testing.assert_array_equal(a, b)
    assert not np.allclose(a, c) and not np.allclose(a, without_dropout)


@pytest.mark.parametrize(
    ("skip_shape", "stride", "out_size"),
    [
        (None, (2, 1), None),
        ((12, 10, 2), (1, 1), None),
        ((3, 3, 2), (2, 2), (12, 9)),
        ((6, 5, 2), (1, 1), (6, 5)),
    ],
)
def test_a_gated_block_counts_the_multiply_adds_of_its_layers(skip_shape, stride, out_size):
    block = _block((6, 5, 3), 4, stride, skip_shape=skip_shape, out_size=out_size)
    counts = []

    def count(layer, x, y):  # every element of the smaller map is multiplied with the whole kernel
        small = min(x.shape[1] * x.shape[2], y.shape[1] * y.shape[2])
        counts.append(small * tf.size(layer.v.value).numpy())

    with weight_norm.observed(block, count):
        skip = None if skip_shape is None else tf.zeros((1, *skip_shape))
        block(tf.zeros((1, 6, 5, 3)), skip, noise=None)
    assert block.multiply_adds == sum(counts) > 0
