"""Blocks with self-attention."""

import math

import keras
import numpy as np
import pytest
import tensorflow as tf

from biva_tf.inference import bounds
from biva_tf.model import blocks, plans
from biva_tf.model.blocks.attention import SelfAttention
from biva_tf.model.network import Network
from biva_tf.model.noise import SeededNoise
from biva_tf.model.spec import AttentionSpec, ConvLatent, ModelSpec, SpecError, StageSpec
from biva_tf.nn import weight_norm
from biva_tf.nn.compute import Compute
from biva_tf.training import size
from tools.bench import flops
from tools.tf1.names import config_from_spec

SHAPE = (4, 3, 5)


def _attention(**weights):
    """Attention of 2 heads with 3 units each; its weights are random."""
    layer, rng = SelfAttention(SHAPE, 6, 2, name="attention"), np.random.default_rng(3)
    for variable in layer.trainable_variables:
        variable.assign(rng.normal(size=variable.shape))
    return layer


def _map(rows=2):
    return np.random.default_rng(4).normal(size=(rows, *SHAPE)).astype(np.float32)


def test_a_new_layer_is_the_identity_and_learns():
    layer, x = SelfAttention(SHAPE, 6, 2, name="attention"), _map()
    with weight_norm.data_dependent_initialisation(layer), tf.GradientTape() as tape:
        y = layer(x)
    np.testing.assert_array_equal(y, x)
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(layer(x) ** 2)
    assert np.any(tape.gradient(loss, layer.gain.value) != 0)


def test_places_that_change_order_do_so_in_the_output():
    layer, x = _attention(), _map()
    order = np.random.default_rng(5).permutation(12)

    def reordered(maps):
        return np.reshape(np.reshape(maps, (2, 12, 5))[:, order], maps.shape)

    np.testing.assert_allclose(layer(reordered(x)), reordered(layer(x).numpy()), atol=1e-5)


def test_each_head_reads_the_values_where_the_keys_are_like_its_query():
    layer, x = _attention(), _map()
    h = tf.nn.elu(x)
    of_layers = (layer._queries(h), layer._keys(h), layer._values(h))
    queries, keys, values = (np.reshape(f, (2, 12, 2, 3)) for f in of_layers)
    read = np.zeros((2, 12, 2, 3), np.float32)
    for row, place, head in np.ndindex(2, 12, 2):
        q, k = queries[row, place, head], keys[row, :, head]
        cosines = k @ q / np.linalg.norm(k, axis=-1) / np.linalg.norm(q)
        weights = np.exp(math.sqrt(3) * cosines)
        read[row, place, head] = weights @ values[row, :, head] / weights.sum()
    expected = x + layer.gain.numpy() * layer._out(read.reshape(2, 4, 3, 6)).numpy()
    np.testing.assert_allclose(layer(x), expected, rtol=1e-4, atol=1e-4)


def test_all_its_weights_matter():
    layer = _attention()
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(layer(_map()) ** 3)
    gradients = tape.gradient(loss, {v.path: v.value for v in layer.trainable_variables})
    assert all(np.abs(g).max() > 1e-4 for g in gradients.values()), gradients


def test_its_multiply_adds_are_those_of_its_products():
    layer = _attention()
    graph = tf.function(layer).get_concrete_function(tf.TensorSpec((1, *SHAPE))).graph
    products = 0
    for op in graph.get_operations():
        if op.type == "Einsum":
            letters = op.get_attr("equation").decode().split("->")[0].split(",")
            shapes = [t.shape for t in op.inputs]
            lengths = {
                letter: length
                for names, shape in zip(letters, shapes, strict=True)
                for letter, length in zip(names, shape, strict=True)
            }
            products += math.prod(lengths.values())
        elif op.type == "Conv2D":
            products += math.prod(op.outputs[0].shape[1:3]) * math.prod(op.inputs[1].shape)
    assert layer.multiply_adds == products


@pytest.mark.parametrize("heads", [0, 4, 2.0])
def test_the_heads_share_the_filters(heads):
    with pytest.raises(SpecError, match=r"^heads: expected"):
        AttentionSpec(6, (3, 3), heads=heads)


def test_both_passes_attend_at_the_smaller_map():
    spec = AttentionSpec(4, (3, 3), (2, 2), heads=2)
    up = blocks.make(spec, (6, 6, 3), name="up")
    down = blocks.make(spec, (3, 3, 4), (6, 6, 2), out_size=(6, 6), name="down")
    assert up.out_shape == (3, 3, 4) and down.out_shape == (6, 6, 4)
    assert up._attention._places == down._attention._places == 9


def _spec():
    """Two levels with attention in all blocks, of maps of 4x4 and 2x2 places."""
    strides = (2, 2), (1, 1)
    blocks_of = [(AttentionSpec(4, (3, 3), stride, heads=2),) for stride in strides]
    latent = ConvLatent(1, (1, 1))
    return ModelSpec((4, 4, 1), tuple(StageSpec(block, latent) for block in blocks_of))


def test_a_spec_with_attention():
    spec = _spec()
    assert ModelSpec.from_json(spec.to_json()) == spec
    assert '"kind": "attention"' in spec.to_json()
    model = Network(spec)
    assert size.parameters(spec) == sum(math.prod(v.shape) for v in model.trainable_variables)
    attention = [layer for layer in model._flatten_layers() if isinstance(layer, SelfAttention)]
    assert flops.both_passes(model) > sum(layer.multiply_adds for layer in attention) > 0
    with pytest.raises(SpecError, match=r"^stages\[0\].blocks\[0\]: .*no block .*'attention'$"):
        config_from_spec(spec)


@pytest.mark.parametrize("precision", ["float32", "mixed_bfloat16"])
def test_a_place_learns_to_read_another_place(precision):
    """The target is the map of the channel 1 at the place where the channel 0 is marked."""
    with Compute("direct", precision).scope():
        layer = SelfAttention((4, 4, 3), 8, 2, name="attention")
    rng = np.random.default_rng(1)
    x = rng.normal(size=(64, 16, 3)).astype(np.float32)
    x[..., 0] = np.eye(16)[rng.integers(16, size=64)] * 3
    target = np.repeat(np.sum(x[..., 1] * x[..., 0] / 3, axis=1), 16).reshape(64, 4, 4)
    x = tf.constant(x.reshape(64, 4, 4, 3))
    optimizer = keras.optimizers.Adam(0.03)

    @tf.function(autograph=False)
    def step():
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean((layer(x)[..., 2] - x[..., 2] - target) ** 2)
        variables = layer.trainable_variables
        optimizer.apply(tape.gradient(loss, [v.value for v in variables]), variables)
        return loss

    optimizer.build(layer.trainable_variables)
    losses = [float(step()) for _ in range(100)]
    assert losses[-1] < losses[0] / 3


@pytest.mark.slow
def test_a_model_with_attention_is_trained():
    model = Network(_spec(), Compute("direct", "mixed_bfloat16"))
    optimizer = keras.optimizers.Adamax(0.02)
    optimizer.build(model.trainable_variables)
    rng = np.random.default_rng(0)
    images = np.repeat(rng.random((4, *model.spec.image_shape)) < 0.3, 2, axis=0)
    images = tf.constant(images, tf.float32)

    def bound():
        noise = SeededNoise(0)
        features = model.bottom_up(model.image_features(images, noise), noise)
        plan = plans.posterior(model.spec)
        return tf.reduce_mean(bounds.bound(model, features, plan, noise, images).terms.bound)

    @tf.function(autograph=False)
    def step():
        with tf.GradientTape() as tape:
            loss = -bound()
        variables = model.trainable_variables
        optimizer.apply(tape.gradient(loss, [v.value for v in variables]), variables)
        return loss

    with weight_norm.data_dependent_initialisation(model):
        bound()
    losses = [float(step()) for _ in range(20)]
    assert losses[-1] < losses[0] - 1
    gains = [v.numpy() for v in model.trainable_variables if v.path.endswith("gain")]
    assert gains and all(np.any(gain != 0) for gain in gains)
