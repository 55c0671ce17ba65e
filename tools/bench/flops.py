"""The work of a model: multiply-adds per image, as if all convolutions were direct."""

import math

import tensorflow as tf

from biva_tf.model import plans
from biva_tf.model.network import Network
from biva_tf.model.noise import SeededNoise
from biva_tf.nn import weight_norm
from biva_tf.nn.weight_norm import Deconv2D


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
    """Traces `run` and adds up the work of the layers that it calls."""
    total = 0

    def count(layer, x, y):
        nonlocal total
        places = (x if isinstance(layer, Deconv2D) else y).shape[1:-1]
        total += math.prod(places) * math.prod(layer.v.shape)

    def traced(x):
        run(x, SeededNoise(0))
        return x

    with weight_norm.observed(model, count):
        shape = (1, *model.spec.image_shape)
        tf.function(traced, autograph=False).get_concrete_function(tf.TensorSpec(shape))
    return total
