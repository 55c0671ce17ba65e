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
    the weight that the optimizer is built with. Keras's own `use_ema` is not used: under
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
        """Makes the slots. Averages start at the variables' values of now."""
        if self.built:
            return
        super().build(variables)
        self._v = self.add_optimizer_variables(variables, "v")
        self._m = self.add_optimizer_variables(variables, "m")
        self.averages = []
        if self.ema_decay:
            self.averages = self.add_optimizer_variables(variables, "average")
            for average, variable in zip(self.averages, variables, strict=True):
                average.assign(variable)

    def update_step(self, gradient, variable, learning_rate):
        """Updates one weight, its slots and its average."""
        index = self._get_variable_index(variable)
        v, m = self._v[index].value, self._m[index].value
        new_v = v.assign(self.beta_1 * v + (1.0 - self.beta_1) * gradient, read_value=True)
        decayed = self.beta_2 * m + self.epsilon
        new_m = m.assign(tf.maximum(decayed, tf.abs(gradient)), read_value=True)
        new_w = variable.assign_sub(learning_rate * new_v / new_m, read_value=True)
        if self.ema_decay:
            average = self.averages[index].value
            average.assign_add((1.0 - self.ema_decay) * (new_w - average))

    def get_config(self):
        """The constructor's arguments."""
        return {
            "learning_rate": self._serialize_learning_rate(),
            "beta_1": self.beta_1,
            "beta_2": self.beta_2,
            "epsilon": self.epsilon,
            "ema_decay": self.ema_decay,
            "name": self.name,
        }


class FlooredExponentialDecay(keras.optimizers.schedules.LearningRateSchedule):
    """max(initial * decay^step, floor): the original's schedule, with 0.002, 0.999999, 0.0001."""

    def __init__(self, initial: float = 0.002, decay: float = 0.999999, floor: float = 0.0001):
        self.initial = initial
        self.decay = decay
        self.floor = floor

    def __call__(self, step):
        """The learning rate of the step after `step` updates, float32."""
        # By exp, since 0.999999 itself is not a float32 number: 0.999999^1e6 would be off by 5%.
        decayed = self.initial * tf.exp(tf.cast(step, tf.float32) * math.log(self.decay))
        return tf.maximum(decayed, self.floor)

    def get_config(self):
        """The constructor's arguments."""
        return {"initial": self.initial, "decay": self.decay, "floor": self.floor}
