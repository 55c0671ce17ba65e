"""The original's Adamax, its learning-rate schedule, and the moving average of the weights."""

import math

import keras
import tensorflow as tf

from biva_tf import tracing


class Adamax(keras.optimizers.Optimizer):
    """Adamax as the original has it: no bias correction, and its own place for epsilon.

        v <- beta_1 v + (1 - beta_1) gradient
        m <- max(beta_2 m + epsilon, |gradient|)
        w <- w - learning_rate v / m

    (The original's letters: v is the mean of gradients, m their decaying maximum.) With
    `ema_decay` > 0 it also keeps average <- d average + (1 - d) w of every weight, which starts at
    the weight at the last `reset_averages`. Keras's own `use_ema` is not used: under
    tf.distribute it averages on the first replica and copies.

    Args:
      learning_rate: a number or a schedule.
      beta_1, beta_2, epsilon: as above.
      ema_decay: d; 0 keeps no average.
    """

    def __init__(
        self,
        learning_rate=0.002,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-8,
        ema_decay: float = 0.0,
        name: str = "adamax",
    ):
        super().__init__(learning_rate=learning_rate, name=name)
        self.beta_1 = beta_1
        self.beta_2 = beta_2
        self.epsilon = epsilon
        self.ema_decay = ema_decay

    def build(self, variables):
        """Makes the slots. Averages start at the values that the weights have now.

        Weights of rank 1 (a model has hundreds of them, each small) share one variable per slot and
        are updated as one: hundreds of variables take long to make, and ops on each to start.
        """
        if self.built:
            return
        super().build(variables)
        rank = {index: len(v.shape) for index, v in enumerate(variables)}
        vectors = tuple(index for index in rank if rank[index] == 1)
        groups = [(index,) for index in rank if rank[index] != 1]
        self._groups = [vectors, *groups] if vectors else groups
        self._v, self._m = self._add_slots("v"), self._add_slots("m")
        self._averages = self._add_slots("average") if self.ema_decay else []
        self.reset_averages()

    def _add_slots(self, name):
        """A variable for each group."""
        slots = []
        for indices in self._groups:
            weights = [self._trainable_variables[index] for index in indices]
            if len(weights) == 1:
                slots.append(self.add_variable_from_reference(weights[0], name))
            else:
                size = sum(w.shape[0] for w in weights)
                slots.append(self.add_variable((size,), name=f"vectors_{name}"))
        return slots

    @property
    def averages(self) -> list[tf.Tensor]:
        """The average of each weight; none if ema_decay is 0."""
        return self._of_weights(self._averages)

    def slots(self, weight: keras.Variable) -> tuple[tf.Tensor, tf.Tensor]:
        """v and m of a weight."""
        index = self._get_variable_index(weight)
        return self._of_weights(self._v)[index], self._of_weights(self._m)[index]

    def _of_weights(self, slots):
        """Slots by group as values by weight."""
        values = {}
        for indices, slot in zip(self._groups, slots, strict=False):  # no averages, no pairs
            weights = [self._trainable_variables[index] for index in indices]
            parts = _apart(tf.convert_to_tensor(slot.value), weights)
            values.update(zip(indices, parts, strict=True))
        return [values[index] for index in sorted(values)]

    def reset_averages(self) -> None:
        """Sets every average to the value that its weight has now."""
        self._set_averages([w.value for w in self._trainable_variables])

    def swap_averages(self) -> None:
        """Gives every weight the value of its average, and the average that of the weight."""
        values = [tf.identity(w.value) for w in self._trainable_variables]
        for weight, average in zip(self._trainable_variables, self.averages, strict=False):
            weight.assign(average)
        self._set_averages(values)

    def _set_averages(self, values):
        for indices, average in zip(self._groups, self._averages, strict=False):
            average.assign(_together([values[index] for index in indices]))

    def apply_summed(self, strategy: tf.distribute.Strategy, gradients: list) -> None:
        """Applies gradients that are already summed over the replicas: one for each variable.

        To be called in cross-replica context (`merge_call`); `apply` would sum them once more,
        and leaves no place to clip the sum.
        """
        self._apply_summed(strategy, gradients, tf.identity(self.learning_rate))
        self.iterations.assign_add(1)

    def _backend_update_step(self, grads, trainable_variables, learning_rate):
        """What `apply` does with the gradients of this replica."""
        del trainable_variables  # those that the optimizer was built with
        context = tf.distribute.get_replica_context()
        grads = context.all_reduce(tf.distribute.ReduceOp.SUM, grads)
        learning_rate = tf.convert_to_tensor(learning_rate)
        context.merge_call(self._apply_summed, args=(grads, learning_rate))

    def _apply_summed(self, strategy, gradients, learning_rate):
        def update(anchor, gradients):
            # Inside `update` the anchor is a replica's copy; other mirrored variables are not.
            def local(variable):
                copies = strategy.experimental_local_results(variable.value)
                return next(copy for copy in copies if copy.device == anchor.device)

            self._update(gradients, learning_rate, local)

        anchor = self._trainable_variables[0].value
        strategy.extended.update(anchor, update, args=(gradients,), group=False)

    def _update(self, gradients, learning_rate, local):
        """Updates all weights, slots and averages: of variables, the `local` ones."""
        for group, indices in enumerate(self._groups):
            weights = [local(self._trainable_variables[index]) for index in indices]
            slots = [local(s[group]) for s in (self._v, self._m, self._averages) if s]
            update = self._update_group if len(indices) > 1 else self._update_one
            update(weights, [gradients[index] for index in indices], slots, learning_rate)

    def rule(self, gradient, v, m, learning_rate) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """The new v, the new m, and what is taken from the weight."""
        v = self.beta_1 * v + (1.0 - self.beta_1) * gradient
        m = tf.maximum(self.beta_2 * m + self.epsilon, tf.abs(gradient))
        return v, m, learning_rate * v / m

    def _update_group(self, weights, gradients, slots, learning_rate):
        v, m, *average = slots
        new_v, new_m, step = self.rule(_together(gradients), v, m, learning_rate)
        v.assign(new_v)
        m.assign(new_m)
        new_weights = _together(weights) - step
        for weight, value in zip(weights, _apart(new_weights, weights), strict=True):
            weight.assign(value)
        for a in average:
            a.assign_add((1.0 - self.ema_decay) * (new_weights - a))

    @tracing.shared
    def _update_one(self, weights, gradients, slots, learning_rate):
        """One traced function per shape: a model has many variables of few shapes, and tracing the
        rule for each would take longer than tracing the model."""
        self._update_group(weights, gradients, slots, learning_rate)

    def get_config(self):
        """The constructor's arguments."""
        return {
            "learning_rate": super().get_config()["learning_rate"],
            "beta_1": self.beta_1,
            "beta_2": self.beta_2,
            "epsilon": self.epsilon,
            "ema_decay": self.ema_decay,
            "name": self.name,
        }


def _together(tensors: list) -> tf.Tensor:
    return tf.concat(tensors, axis=0) if len(tensors) > 1 else tf.convert_to_tensor(tensors[0])


def _apart(tensor: tf.Tensor, like: list) -> list[tf.Tensor]:
    return tf.split(tensor, [t.shape[0] for t in like]) if len(like) > 1 else [tensor]


class FlooredExponentialDecay(keras.optimizers.schedules.LearningRateSchedule):
    """max(initial * decay^step, floor): the original's schedule, with 0.002, 0.999999, 0.0001.

    An initial rate below the floor is its own floor.
    """

    def __init__(self, initial: float = 0.002, decay: float = 0.999999, floor: float = 0.0001):
        self.initial = initial
        self.decay = decay
        self.floor = floor

    def __call__(self, step):
        """The learning rate of the step after `step` updates, float32."""
        # By exp, since 0.999999 itself is not a float32 number: 0.999999^1e6 would be off by 5%.
        decayed = self.initial * tf.exp(tf.cast(step, tf.float32) * math.log(self.decay))
        return tf.maximum(decayed, min(self.floor, self.initial))

    def get_config(self):
        """The constructor's arguments."""
        return {"initial": self.initial, "decay": self.decay, "floor": self.floor}
