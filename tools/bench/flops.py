"""The work of a model: multiply-adds per image, as if all convolutions were direct."""

import tensorflow as tf

from biva_tf.model import plans
from biva_tf.model.blocks import MapBlock
from biva_tf.model.network import Network
from biva_tf.model.noise import SeededNoise
from biva_tf.nn import weight_norm
from biva_tf.nn.weight_norm import WeightNorm


def bottom_up_start(model: Network) -> int:
    """The work of `image_features`, which all importance samples of an image share."""
    return _count(lambda x, noise: model.image_features(x, noise), model)


def both_passes(model: Network) -> int:
    """The work of the bottom-up and the top-down pass."""
    return _count(lambda x, noise: model(x, noise=noise).px_parameters, model)


def sampling(model: Network) -> int:
    """The work of the top-down pass from the prior."""
    plan = plans.prior(model.spec)
    return _count(lambda _, noise: model.top_down(None, plan, noise, rows=1).px_parameters, model)


def _count(run, model) -> int:
    """Traces `run` and adds up the work of the blocks and of the other layers that it calls."""
    block_of: dict[WeightNorm, MapBlock] = {}
    for block in _blocks(model):
        for layer in weight_norm.layers_of([block]):
            block_of.setdefault(layer, block)  # the outer block, of two
    called: set[MapBlock] = set()
    of_layers = 0

    def count(layer, x, y):
        nonlocal of_layers
        if layer in block_of:
            called.add(block_of[layer])
        else:
            of_layers += layer.multiply_adds(x.shape[1:-1], y.shape[1:-1])

    def traced(x):
        run(x, SeededNoise(0))
        return x

    with weight_norm.observed(model, count):
        shape = (1, *model.spec.image_shape)
        tf.function(traced, autograph=False).get_concrete_function(tf.TensorSpec(shape))
    return of_layers + sum(block.multiply_adds for block in called)


def _blocks(model: Network) -> list[MapBlock]:
    """The blocks that say their work, those of a user's own among them."""
    return [layer for layer in model._flatten_layers() if isinstance(layer, MapBlock)]
