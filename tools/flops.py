"""The work of a model, counted as direct convolutions: multiply-adds per image."""

import math
from unittest import mock

import tensorflow as tf

from biva_tf import plans
from biva_tf.layers import Deconv2D, WeightNormalised
from biva_tf.model import BIVA
from biva_tf.noise import SeededNoise


def bottom_up_start(model: BIVA) -> int:
    """Of `image_features`: what importance samples of an image share."""
    return _count(lambda x, noise: model.image_features(x, noise), model)


def both_passes(model: BIVA) -> int:
    """Of the bottom-up and the top-down pass."""
    plan = plans.posterior(model.spec)
    return _count(lambda x, noise: model(x, plan=plan, noise=noise).px_parameters, model)


def sampling(model: BIVA) -> int:
    """Of the top-down pass from the prior."""
    plan = plans.prior(model.spec)
    return _count(lambda _, noise: model.top_down(None, plan, noise, rows=1).px_parameters, model)


def _count(run, model) -> int:
    """Traces `run` and adds up the layers that it calls."""
    total = 0
    call = WeightNormalised.call

    def counting(layer, x):
        nonlocal total
        y = call(layer, x)
        places = (x if isinstance(layer, Deconv2D) else y).shape[1:-1]
        total += math.prod(places) * math.prod(layer.v.shape)
        return y

    def traced(x):
        run(x, SeededNoise(0))
        return x

    with mock.patch.object(WeightNormalised, "call", counting):
        shape = (1, *model.spec.image_shape)
        tf.function(traced, autograph=False).get_concrete_function(tf.TensorSpec(shape))
    return total
