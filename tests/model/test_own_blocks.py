"""Blocks of a user's own file."""

import dataclasses

import keras
import pytest
import tensorflow as tf

import biva_tf
from biva_tf.model import architectures, blocks, kinds
from biva_tf.model.network import Network
from biva_tf.model.noise import SeededNoise
from biva_tf.model.spec import ModelSpec, SpecError
from biva_tf.nn.weight_norm import Dense
from tools.bench import flops
from tools.tf1.names import config_from_spec


class _Pointwise(keras.layers.Layer):
    """1x1 convolutions of the map and of the skip connection, resized to the output's size."""

    def __init__(self, filters, in_shape, skip_shape, out_size, name):
        super().__init__(name=name)
        self.in_shape = in_shape
        self.out_shape = (*(out_size or in_shape[:2]), filters)
        self._layers_of = {"x": Dense(in_shape[2], filters, name=f"{name}_x")}
        if skip_shape is not None:
            self._layers_of["skip"] = Dense(skip_shape[2], filters, name=f"{name}_skip")

    def call(self, x, skip=None, *, noise, training=False):
        maps = {"x": x, "skip": skip}
        size = self.out_shape[:2]
        return sum(tf.image.resize(f(maps[key]), size) for key, f in self._layers_of.items())


@pytest.fixture
def pointwise(monkeypatch):
    """The class of the block's spec, registered for this test."""
    tables = {family: kinds.known(family) for family in kinds.FAMILIES}
    monkeypatch.setattr(kinds, "_KINDS", tables)

    @biva_tf.register("pointwise")
    @dataclasses.dataclass(frozen=True)
    class Pointwise(biva_tf.BlockKind):
        filters: int

        def make(self, in_shape, skip_shape, *, out_size, residual, dropout, name):
            return _Pointwise(self.filters, in_shape, skip_shape, out_size, name)

    return Pointwise


def _with_block(block):
    """tiny_conv, whose last block of each level is another one."""
    spec = architectures.get("tiny_conv")
    stages = [dataclasses.replace(s, blocks=(*s.blocks[:-1], block)) for s in spec.stages]
    return dataclasses.replace(spec, stages=tuple(stages))


def test_a_block_of_ones_own_is_in_both_passes(pointwise):
    spec = _with_block(pointwise(3))
    assert ModelSpec.from_json(spec.to_json()) == spec
    model = Network(spec)
    images = tf.zeros((2, *spec.image_shape))
    with tf.GradientTape() as tape:
        out = model(images, noise=SeededNoise(0))
        loss = sum(tf.reduce_sum(z.z**2) for z in out.latents) + tf.reduce_sum(out.px_parameters)
    own = [layer for layer in model._flatten_layers() if isinstance(layer, _Pointwise)]
    names = {layer.name for layer in own}
    assert {"deterministic_bottom_up_0_1", "deterministic_top", "deterministic_generative_0_0"} <= (
        names
    )
    weights = [v for layer in own for v in layer.trainable_variables]
    assert weights and None not in tape.gradient(loss, [v.value for v in weights])
    assert 0 < flops.sampling(model) < flops.both_passes(model)


def test_the_original_has_no_block_of_ones_own(pointwise):
    with pytest.raises(SpecError, match=r"^stages\[0\].blocks\[\d\]: .*no block .*'pointwise'$"):
        config_from_spec(_with_block(pointwise(3)))


@pytest.mark.parametrize(
    ("shapes", "message"),
    [
        ({}, "in_shape of the block that is made of Pointwise: expected .*height.*got None"),
        ({"in_shape": (4, 4, 1), "out_shape": (4, 4, 1)}, r"expected the out_size \(8, 8\)"),
    ],
)
def test_a_block_says_its_shapes(pointwise, monkeypatch, shapes, message):
    layer = keras.layers.Layer()
    for name, shape in shapes.items():
        setattr(layer, name, shape)
    monkeypatch.setattr(pointwise, "make", lambda self, *args, **kwargs: layer)
    with pytest.raises(SpecError, match=message):
        blocks.make(pointwise(3), (4, 4, 1), out_size=(8, 8), name="block")


def _gives(pointwise, monkeypatch, layer, size=(4, 4, 2)):
    """The block's `make` gives a layer of Keras, made in the first call."""

    class OneLayer(keras.layers.Layer):
        def __init__(self, name):
            super().__init__(name=name)
            self.in_shape, self.out_shape = (4, 4, 1), size
            self.layer = layer()

        def call(self, x, skip=None, *, noise, training=False):
            return self.layer(x)

    monkeypatch.setattr(pointwise, "make", lambda self, *args, name, **kwargs: OneLayer(name))
    return blocks.make(pointwise(3), (4, 4, 1), name="block_1")


def test_layers_of_keras_have_their_weights_at_once(pointwise, monkeypatch):
    block = _gives(pointwise, monkeypatch, lambda: keras.layers.Conv2D(2, 1, name="conv"))
    assert [v.path for v in block.weights] == ["block_1/conv/kernel", "block_1/conv/bias"]


def _built():
    layer = keras.layers.Conv2D(2, 1, name="conv")
    layer.build((None, 4, 4, 1))
    return layer


@pytest.mark.parametrize(
    ("layer", "size", "message"),
    [
        (lambda: keras.layers.Conv2D(2, 1), (4, 4, 2), r"expected a name .*'conv2d\w*' anew"),
        (_built, (4, 4, 2), r"paths .* begin with 'block_1', .* got 'conv/kernel'$"),
        (_built, (4, 4, 3), r"output of its out_shape \(4, 4, 3\), got \(4, 4, 2\)$"),
    ],
)
def test_what_checkpoints_could_not_find_is_refused(pointwise, monkeypatch, layer, size, message):
    with pytest.raises(SpecError, match=message):
        _gives(pointwise, monkeypatch, layer, size)
