"""Replays the original's optimiser steps, with the order in which it updated its dense layers.

The original computes a dense layer as scale * (x V) + b, so the backward pass reads V again to
compute the gradient of x. TensorFlow 1 does not order this read and the optimiser's update of V in
the same step. So for each dense layer and step, a run of the original used either the old V or the
updated V. (Convolutions read a normalised copy of V, so they are not affected.) This changes the
gradients below the layer only a little. But Adamax divides a gradient by its own size, so the
change reaches every weight whose gradient is near zero: up to 5e-4 of the largest weight in three
steps.

`replay` finds the order that the arrays show for each dense layer and step. A wrong order increases
the errors of hundreds of weights, and the right order reduces them to rounding. So the search has
little freedom to fit anything but the order itself.
"""

import contextlib
import dataclasses
from collections.abc import Callable, Mapping

import numpy as np
import tensorflow as tf

from biva_tf.model import scopes
from biva_tf.model.network import Network
from biva_tf.nn.weight_norm import Dense, NormalisedWeights
from biva_tf.training.optimizer import Adamax
from tools.tf1.names import relative_error, variables_by_tf1_name

_ROUNDING = 1e-9
_IMPROVEMENT = 0.01  # an order is accepted if it reduces the misfit by more than this


@dataclasses.dataclass(frozen=True)
class Replay:
    """The result of optimiser steps.

    Attributes:
      losses: the loss before each step and after the last, [steps + 1].
      weights: the weights after the last step, by TF1 name.
      late: for each dense layer, the steps (from 1) whose backward pass read the updated V.
    """

    losses: np.ndarray
    weights: dict[str, np.ndarray]
    late: dict[str, list[int]]


def replay(
    model: Network,
    loss: Callable[[], tf.Tensor],
    expected: Mapping[str, np.ndarray],
    *,
    steps: int,
    learning_rate: float,
    rtol: float,
) -> Replay:
    """Replays optimiser steps from the model's weights, and restores these weights afterwards.

    Args:
      model: the model, with the weights to start from.
      loss: computes the training loss of the model, a scalar.
      expected: the weights after the steps, by TF1 name.
      steps: the number of steps.
      learning_rate: the learning rate of Adamax.
      rtol: the search for the order stops when the error of every weight, relative to the largest
        weight of its variable, is at most rtol. It starts with the old V in all layers and steps.
    """
    replayer = _Replayer(model, loss, learning_rate)
    late = np.zeros((steps, len(replayer.layers)), bool)
    best = replayer.run(late)
    # The order of a layer shows in the weights below it, so the search goes from the loss down. It
    # first tries each layer with the same order in all steps, then single steps; then all again,
    # since the order of one layer can be told wrongly while that of another is wrong.
    layers = range(late.shape[1] - 1, -1, -1)
    candidates = [(slice(None), layer) for layer in layers]
    candidates += [(step, layer) for layer in layers for step in range(steps)]
    improved = True
    while improved:
        improved = False
        for candidate in candidates:
            if _worst(best.weights, expected) <= rtol:
                return best
            flipped = late.copy()
            flipped[candidate] = ~flipped[candidate]
            run = replayer.run(flipped)
            if _misfit(run.weights, expected) < _misfit(best.weights, expected) - _IMPROVEMENT:
                late, best, improved = flipped, run, True
    return best


def _worst(weights, expected) -> float:
    return max(relative_error(e, weights[name]) for name, e in expected.items())


def _misfit(weights, expected) -> float:
    """The mean order of magnitude (log10) of the variables' errors.

    The right order reduces the errors of the variables below the layer from 1e-6 to rounding. In
    the logarithm, the largest errors cannot hide this.
    """
    errors = [np.mean(np.abs(weights[name] - e)) for name, e in expected.items()]
    return float(np.mean(np.log10(np.array(errors) + _ROUNDING)))


class _Replayer:
    def __init__(self, model, loss, learning_rate):
        self._variables = variables_by_tf1_name(model)
        self._start = {name: v.numpy() for name, v in self._variables.items()}
        self._optimizer = Adamax(learning_rate)
        self._optimizer.build(model.trainable_variables)
        layers = [layer for layer in model._flatten_layers() if isinstance(layer, Dense)]
        # The search begins with the last. It ends with the maps of bottom-up latents: while another
        # order is wrong, theirs is told wrongly too.
        maps = {scopes.bottom_up_map(stage.level) for stage in model.bottom_up_stages}
        self.layers = sorted(layers, key=lambda layer: layer.name not in maps)
        self._late = tf.Variable(tf.zeros([len(self.layers)], tf.bool))
        self._loss = loss
        self._compiled_loss = tf.function(loss, autograph=False)  # every run computes it once

    def run(self, late: np.ndarray) -> Replay:
        """Runs the steps, reading V late where `late` [steps, layers], and restores the model."""
        self._reset()
        losses = []
        for flags in late:
            self._late.assign(flags)
            losses.append(self._step().numpy())
        losses.append(self._compiled_loss().numpy())
        weights = {name: v.numpy() for name, v in self._variables.items()}
        self._reset()
        slots = {
            layer.name: [int(step) + 1 for step in np.flatnonzero(late[:, i])]
            for i, layer in enumerate(self.layers)
        }
        return Replay(np.array(losses), weights, {n: s for n, s in slots.items() if s})

    @tf.function(autograph=False)
    def _reset(self):
        for slot in (*self._optimizer._v, *self._optimizer._m):
            slot.assign(tf.zeros_like(slot.value))
        for name, variable in self._variables.items():
            variable.assign(self._start[name])

    @tf.function(autograph=False)
    def _step(self):
        with contextlib.ExitStack() as stack, tf.GradientTape() as tape:
            for i, layer in enumerate(self.layers):
                stack.enter_context(self._racing(layer, self._late[i]))
            loss = self._loss()
        gradients = tape.gradient(loss, [v.value for v in self._variables.values()])
        self._optimizer.apply(gradients)
        return loss

    @contextlib.contextmanager
    def _racing(self, layer: Dense, late: tf.Tensor):
        """While active, the layer's gradient of x reads the updated V if `late` is true."""
        optimizer = self._optimizer
        slots = optimizer.slots(layer.v)

        def dense(x, direction, gain):
            return layer.product(x, NormalisedWeights(gain * tf.math.l2_normalize(direction, 0)))

        @tf.custom_gradient
        def racing(x, direction, gain):
            def gradient(dy):
                with tf.GradientTape() as tape:
                    tape.watch((direction, gain))
                    y = dense(x, direction, gain)
                d_direction, d_gain = tape.gradient(y, (direction, gain), dy)
                *_, step = optimizer.rule(d_direction, *slots, optimizer.learning_rate)
                updated = direction - step
                # The forward pass computed the scale g/||V||, so it uses the old V in both orders.
                scale = gain / tf.norm(direction, axis=0)
                with tf.GradientTape() as tape:
                    tape.watch(x)
                    w = scale * tf.where(late, updated, direction)
                    y = layer.product(x, NormalisedWeights(w))
                return tape.gradient(y, x, dy), d_direction, d_gain

            return dense(x, direction, gain), gradient

        original = layer.call
        layer.call = lambda x: tf.nn.bias_add(
            racing(x, tf.identity(layer.v.value), tf.identity(layer.g.value)), layer.b.value
        )
        try:
            yield
        finally:
            layer.call = original
