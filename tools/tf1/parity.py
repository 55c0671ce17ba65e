"""Computes every quantity of a reference file of the original with this port, and compares."""

import math
import re
from collections.abc import Iterator

import numpy as np
import tensorflow as tf

from biva_tf.inference import objectives
from biva_tf.model import plans
from biva_tf.model.network import Network
from biva_tf.model.noise import GivenNoise
from biva_tf.nn.compute import Compute
from tools.tf1 import replay as tf1_replay
from tools.tf1.names import (
    Reference,
    ReferenceFileError,
    load_variables,
    relative_error,
    variables_by_tf1_name,
)

_FREE_BITS = 2.0
_LEARNING_RATE = 0.002


def compare(
    reference: Reference, rtol: float, compute: Compute | None = None
) -> Iterator[tuple[str, float]]:
    """Yields (quantity, relative error) for every quantity of the format.

    Args:
      reference: the reference file.
      rtol: the relative error at which the search for the order of updates stops; see
        `tf1_replay.replay`.

    Raises:
      ReferenceFileError: the file lacks an array, or one does not fit the model.
    """
    model = Network(reference.spec, compute)
    load_variables(model, reference.group("var/"), f"{reference.path}: var/")
    x = reference["x"]
    if x.shape[1:] != reference.spec.image_shape:
        expected = reference.spec.image_shape
        raise ReferenceFileError(
            f"{reference.path}: x: expected images of {expected}, got {x.shape}"
        )
    noise = GivenNoise(reference.noise("noise/", len(x), model))

    yield from _forward(reference, model, x, noise)
    yield from _importance_samples(reference, model, x)
    yield from _ancestral_sampling(reference, model, len(x))
    yield from _gradients(reference, model, x, noise)
    yield from _optimiser_steps(reference, model, x, noise, rtol)


def _forward(reference, model, x, noise):
    output = model(x, noise=noise)
    yield _error(reference, "out/x_out", output.px_parameters)
    for latent, stats in zip(model.spec.latents, output.latents, strict=True):
        yield _error(reference, f"out/q_mean/{latent.name}", stats.q.mean())
        yield _error(reference, f"out/q_logvar/{latent.name}", stats.q.log_variance)
        if latent.level < model.spec.num_levels:  # the top prior is N(0, I)
            yield _error(reference, f"out/p_mean/{latent.name}", stats.p.mean())
            yield _error(reference, f"out/p_logvar/{latent.name}", stats.p.log_variance)
        ratio = stats.log_p - stats.log_q
        yield _error(reference, f"out/log_p_minus_log_q/{latent.name}", ratio)
    terms = objectives.terms(output, x)
    yield _error(reference, "out/nll_mean", -tf.reduce_mean(terms.reconstruction))
    loss = tf.reduce_mean(objectives.training_loss(terms, free_bits=_FREE_BITS))
    yield _error(reference, "out/loss_train_free_bits_2", loss)
    yield _error(reference, "out/loss_eval", -tf.reduce_mean(terms.bound))


def _importance_samples(reference, model, x):
    key = next((k for k in reference.arrays if re.fullmatch(r"iw\d+/loss_eval", k)), None)
    if key is None:
        raise ReferenceFileError(f"{reference.path}: no array 'iw4/loss_eval'")
    prefix = key.removesuffix("loss_eval")
    samples = int(prefix[2:-1])
    rows = len(x) * samples
    samples_first = np.arange(rows).reshape(len(x), samples).T.ravel()
    given = reference.noise(f"{prefix}noise/", rows, model)
    noise = GivenNoise({name: array[samples_first] for name, array in given.items()})
    features = model.bottom_up(model.image_features(x, noise).tiled(samples), noise)
    output = model.top_down(features, plans.posterior(model.spec), noise)
    terms = objectives.terms(output, np.tile(x, (samples, 1, 1, 1)))
    sums = objectives.ImportanceSums.zero(len(x), len(model.spec.latents)).add(terms, samples)
    loss = -tf.reduce_mean(sums.scores().bound)
    yield _error(reference, key, loss)


def _ancestral_sampling(reference, model, rows):
    noise = GivenNoise(prior=reference.noise("gen/noise/", rows, model))
    output = model.top_down(None, plans.prior(model.spec), noise, rows=rows)
    yield _error(reference, "gen/x_out", output.px_parameters)


def _training_loss(model, x, noise) -> tf.Tensor:
    output = model(x, noise=noise, training=True)
    rows = objectives.training_loss(objectives.terms(output, x), free_bits=_FREE_BITS)
    return tf.reduce_mean(rows)


def _gradients(reference, model, x, noise):
    with tf.GradientTape() as tape:
        loss = _training_loss(model, x, noise)
    variables = variables_by_tf1_name(model)
    gradients = tape.gradient(loss, [v.value for v in variables.values()])
    gradients = dict(zip(variables, map(np.asarray, gradients), strict=True))
    signs = _sign_only(variables)
    for name, gradient in gradients.items():
        if name in signs:
            gain = np.max(np.abs(gradients[name.removesuffix("V") + "g"])) or 1.0
            zero = np.zeros_like(gradient)
            worst = max(
                relative_error(zero, gradient), relative_error(zero, reference[f"grad/{name}"])
            )
            yield f"grad/{name}", worst / float(gain)
        else:
            yield _error(reference, f"grad/{name}", gradient)


def _optimiser_steps(reference, model, x, noise, rtol):
    steps = len(reference["adamax/loss_before_step"])
    prefix = f"adamax/var{steps}/"
    variables = variables_by_tf1_name(model)
    signs = _sign_only(variables)
    replay = tf1_replay.replay(
        model,
        lambda: _training_loss(model, x, noise),
        {name: reference[f"{prefix}{name}"] for name in variables if name not in signs},
        steps=steps,
        learning_rate=_LEARNING_RATE,
        rtol=rtol,
    )
    for layer, late in replay.late.items():
        which = ", ".join(map(str, late))
        print(f"note: the original's {layer} was updated before its backward pass, step {which}")
    yield _error(reference, "adamax/loss_before_step", replay.losses[:-1])
    yield _error(reference, f"adamax/loss_after_{steps}", replay.losses[-1])
    for name, value in replay.weights.items():
        key = f"{prefix}{name}"
        if name in signs:
            yield key, relative_error(np.sign(reference[key]), np.sign(value))
        else:
            yield _error(reference, key, value)


def _sign_only(variables) -> set[str]:
    """The names of the V of layers with one input per filter.

    In such a layer, V/||V|| is the sign of V, so the gradient of V is 0. Both programs compute
    rounding errors instead, and Adamax turns them into full steps. So the error of this gradient is
    measured relative to the gradient of g, and after the steps only the sign of V is compared.
    """
    gains = {name.removesuffix("g") + "V": g for name, g in variables.items() if name[-2:] == "/g"}
    return {name for name, g in gains.items() if math.prod(variables[name].shape) == g.shape[0]}


def _error(reference, key, actual) -> tuple[str, float]:
    return key, relative_error(reference[key], np.asarray(actual))
