"""A step gives the same bits whatever the timing of TensorFlow's threads."""

import collections
import dataclasses

import pytest
import tensorflow as tf

from biva_tf.data.images import Batch
from biva_tf.model import architectures
from biva_tf.model.spec import Classes
from biva_tf.runs.config import RunConfig
from biva_tf.training.devices import make_strategy
from biva_tf.training.trainer import Trainer

SPECS = {
    name: architectures.get(name) for name in ("tiny_conv", "tiny_conv_lvae_plus", "tiny_text")
}
SPECS["classes"] = dataclasses.replace(SPECS["tiny_conv"], classes=Classes(3, True, 8))
SPECS["residual"] = dataclasses.replace(SPECS["tiny_conv"], posterior="residual")
_ALIASES = {"Identity", "Reshape", "Squeeze", "ExpandDims", "StopGradient"}


def _step_graph(spec, kl):
    rows = 4
    trainer = Trainer(spec, RunConfig(batch_size=rows, kl=kl), make_strategy("one_device"))
    batch = Batch(tf.zeros([rows, *spec.image_shape]), tf.zeros([rows], tf.int64))
    return trainer.train_step.get_concrete_function(batch).graph


def _sums(graph):
    """The operations that sum three terms or more, each with the number of readers of its terms.

    A term shares its memory with its aliases, so their readers are its own.
    """
    readers = collections.defaultdict(set)
    operations = graph.get_operations()

    def memory(tensor):
        while tensor.op.type in _ALIASES:
            tensor = tensor.op.inputs[0]
        return tensor.name

    for operation in operations:
        if operation.type not in _ALIASES:
            for place, tensor in enumerate(operation.inputs):
                readers[memory(tensor)].add((operation.name, place))
    for operation in operations:
        if operation.type == "AddN" and len(operation.inputs) > 2:
            yield operation, [len(readers[memory(tensor)]) for tensor in operation.inputs]


@pytest.mark.parametrize(
    ("name", "kl"),
    [*((name, "sampled") for name in SPECS), ("tiny_conv", "analytic"), ("residual", "analytic")],
)
def test_the_order_of_sums_does_not_depend_on_timing(name, kl):
    """AddN begins with the first term whose memory no other operation still reads.

    If that may be the third term or a later one, the order of the sum changes from step to step.
    The first two terms can change places: a + b is b + a in every bit.
    """
    sums = list(_sums(_step_graph(SPECS[name], kl)))
    assert sums
    for operation, readers in sums:
        assert 1 in readers[:2], (operation.name, [t.name for t in operation.inputs], readers)
