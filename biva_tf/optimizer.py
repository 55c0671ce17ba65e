"""The original's Adamax, its learning-rate schedule, and the moving average of the weights."""

import math

import keras
import tensorflow as tf


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
        """Makes the slots. Averages start at the values that the weights have now."""
        if self.built:
            return
        super().build(variables)
        self._v = self.add_optimizer_variables(variables, "v")
        self._m = self.add_optimizer_variables(variables, "m")
        self.averages = []
        if self.ema_decay:
            self.averages = self.add_optimizer_variables(variables, "average")
            self.reset_averages()

    def reset_averages(self) -> None:
        """Sets every average to the value that its weight has now."""
        for average, variable in zip(self.averages, self._trainable_variables, strict=False):
            average.assign(variable)

    def apply_summed(self, strategy: tf.distribute.Strategy, gradients: list) -> None:
        """Applies gradients that are already summed over the replicas: one for each variable.

        To be called in cross-replica context (`merge_call`); `apply` would sum them once more,
        and leaves no place to clip the sum.
        """
        learning_rate = tf.identity(self.learning_rate)

        def update(anchor, gradients):
            # Inside `update` the anchor is a replica's copy; other mirrored variables are not.
            def local(variable):
                copies = strategy.experimental_local_results(variable)
                return next(copy for copy in copies if copy.device == anchor.device)

            updates = [
                (local(w.value), gradient, *map(local, self._slots(index)))
                for index, (w, gradient) in enumerate(
                    zip(self._trainable_variables, gradients, strict=True)
                )
            ]
            vectors = [u for u in updates if u[0].shape.rank == 1]
            if vectors:
                self._update_together(vectors, learning_rate)
            for of_one in updates:
                if of_one[0].shape.rank != 1:
                    self._update(*of_one, learning_rate)

        anchor = self._trainable_variables[0].value
        strategy.extended.update(anchor, update, args=(gradients,), group=False)
        self.iterations.assign_add(1)

    def _slots(self, index: int) -> list[tf.Variable]:
        averages = self.averages or self._v  # without averages, _update does not use its last slot
        return [slots[index].value for slots in (self._v, self._m, averages)]

    def rule(self, gradient, v, m, learning_rate) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """The new v, the new m, and what is taken from the weight."""
        v = self.beta_1 * v + (1.0 - self.beta_1) * gradient
        m = tf.maximum(self.beta_2 * m + self.epsilon, tf.abs(gradient))
        return v, m, learning_rate * v / m

    def update_step(self, gradient, variable, learning_rate):
        """Updates one weight, its slots and its average."""
        slots = self._slots(self._get_variable_index(variable))
        self._update(variable, gradient, *slots, tf.convert_to_tensor(learning_rate))

    @tf.function(autograph=False)
    def _update(self, w, gradient, v, m, average, learning_rate):
        """One traced function per shape: a model has many variables of few shapes, and tracing the
        rule for each would take longer than tracing the model."""
        new_v, new_m, step = self.rule(gradient, v, m, learning_rate)
        v.assign(new_v)
        m.assign(new_m)
        new_w = w.assign_sub(step)
        if self.ema_decay:
            average.assign_add((1.0 - self.ema_decay) * (new_w - average))

    def _update_together(self, updates, learning_rate):
        """The same for many small variables at once: ops on each would take longer to start."""
        ws, *others = zip(*updates, strict=True)
        w, gradient, v, m, average = (tf.concat(parts, axis=0) for parts in (ws, *others))
        sizes = [variable.shape[0] for variable in ws]

        def assign(variables, value):
            for variable, part in zip(variables, tf.split(value, sizes), strict=True):
                variable.assign(part)

        new_v, new_m, step = self.rule(gradient, v, m, learning_rate)
        new_w = w - step
        of_v, of_m, of_average = others[1:]
        assign(of_v, new_v)
        assign(of_m, new_m)
        assign(ws, new_w)
        if self.ema_decay:
            assign(of_average, average + (1.0 - self.ema_decay) * (new_w - average))

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
