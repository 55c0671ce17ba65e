"""The original's Adamax and its learning-rate schedule; and Keras's optimizers in their place."""

import contextlib
import math
import numbers

import keras
import tensorflow as tf

from biva_tf.nn import graphs
from biva_tf.ranges import Numbers, require
from biva_tf.training.moving_averages import MovingAverages
from biva_tf.training.packing import Packing, join, split


@keras.saving.register_keras_serializable("biva_tf")
class Adamax(keras.optimizers.Optimizer):
    """Adamax as the original has it: no bias correction, and epsilon inside the maximum.

        v <- beta_1 v + (1 - beta_1) gradient
        m <- max(beta_2 m + epsilon, |gradient|)
        w <- w - learning_rate v / m

    (In the original's letters: v is the mean of the gradients, m their decaying maximum.)

    Args:
      learning_rate: a number or a schedule.
      beta_1, beta_2, epsilon: as above.
      ema_decay: the decay of the moving averages of the weights; 0 keeps none.
      ema_warmup: whether the decay after n steps is min(ema_decay, (1 + n) / (10 + n)). The
        original has no such warm-up. Skipped steps count in n.

    Attributes:
      moving_averages: the averages, once the optimizer is built; None without them.

    Raises:
      SettingsError: a number out of its range.
    """

    def __init__(
        self,
        learning_rate=0.002,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-8,
        ema_decay: float = 0.0,
        ema_warmup: bool = True,
        name: str = "adamax",
    ):
        if isinstance(learning_rate, numbers.Real):
            require("learning_rate", learning_rate, Numbers(float, lower=0.0))
        for rate_name, rate in (("beta_1", beta_1), ("beta_2", beta_2), ("ema_decay", ema_decay)):
            require(rate_name, rate, Numbers(float, lower=0.0, below=1.0))
        require("epsilon", epsilon, Numbers(float, lower=0.0))
        super().__init__(learning_rate=learning_rate, name=name)
        self.beta_1 = beta_1
        self.beta_2 = beta_2
        self.epsilon = epsilon
        self.ema_decay = ema_decay
        self.ema_warmup = ema_warmup
        self.moving_averages: MovingAverages | None = None

    def rule(self, gradient, v, m, learning_rate) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """The new v, the new m, and the decrement of the weight."""
        v = self.beta_1 * v + (1.0 - self.beta_1) * gradient
        m = tf.maximum(self.beta_2 * m + self.epsilon, tf.abs(gradient))
        return v, m, learning_rate * v / m

    def build(self, variables):
        """Makes the slots. The averages start at the values that the weights have now."""
        if self.built:
            return
        super().build(variables)
        weights = self._trainable_variables
        self._packing = Packing(weights)
        self._v, self._m = (self._packing.add_slots(self, name) for name in ("v", "m"))
        if self.ema_decay:
            self.moving_averages = MovingAverages(
                self, self._packing, weights, self.ema_decay, self.ema_warmup
            )

    def reset_averages(self) -> None:
        """Starts the moving averages, if there are any, from the weights as they are now."""
        if self.moving_averages is not None:
            self.moving_averages.reset()

    def averaged_weights(self) -> contextlib.AbstractContextManager:
        """While active, the weights are their moving averages, if there are any."""
        averages = self.moving_averages
        return contextlib.nullcontext() if averages is None else averages.applied()

    def slots(self, weight: keras.Variable) -> tuple[tf.Tensor, tf.Tensor]:
        """v and m of a weight."""
        index = self._get_variable_index(weight)
        return self._packing.unpack(self._v)[index], self._packing.unpack(self._m)[index]

    def apply_summed(
        self, strategy: tf.distribute.Strategy, gradients: list, skip: tf.Tensor | None = None
    ) -> None:
        """Applies gradients that are already summed over the replicas, one for each weight.

        Call it in cross-replica context (`merge_call`). Keras's `apply` would sum the gradients
        itself, and so leave no place to clip the sum.

        Args:
          strategy: that the optimizer was built under.
          gradients: the gradients of the weights.
          skip: a boolean, the same on all replicas; if true, the step is counted, and the weights,
            the slots and the averages stay as they are.
        """
        self._apply_summed(strategy, gradients, tf.identity(self.learning_rate), skip)
        # In a graph, the call that finds no more data must not count a step.
        with tf.control_dependencies(strategy.experimental_local_results(gradients[0])):
            self.iterations.assign_add(1)

    def _backend_update_step(self, grads, trainable_variables, learning_rate):
        """What Keras's `apply` does with the gradients of a replica."""
        del trainable_variables  # the optimizer was built with them
        context = tf.distribute.get_replica_context()
        grads = context.all_reduce(tf.distribute.ReduceOp.SUM, grads)
        learning_rate = tf.convert_to_tensor(learning_rate)
        context.merge_call(self._apply_summed, args=(grads, learning_rate))

    def _apply_summed(self, strategy, gradients, learning_rate, skip=None):
        averages = self.moving_averages
        average_rate = None if averages is None else averages.rate(self.iterations.value)

        def update(anchor, gradients, skip):
            # `update` gives each replica's copy of the anchor alone; find the copies of the other
            # variables by the device of the anchor's.
            def local(variable):
                copies = strategy.experimental_local_results(variable.value)
                by_device = {copy.device: copy for copy in copies}
                if anchor.device not in by_device:
                    raise ValueError(
                        f"{variable.path}: no copy on {anchor.device}; build the optimizer in the "
                        "scope of the strategy"
                    )
                return by_device[anchor.device]

            if skip is None:
                self._update(gradients, learning_rate, average_rate, local)
            else:

                def apply():
                    self._update(gradients, learning_rate, average_rate, local)
                    return tf.constant(True)

                tf.cond(skip, lambda: tf.constant(False), apply)

        anchor = self._trainable_variables[0].value
        strategy.extended.update(anchor, update, args=(gradients, skip), group=False)

    def _update(self, gradients, learning_rate, average_rate, local):
        """Updates the weights, the slots and the averages: the `local` copies of the variables."""
        for i, group in enumerate(self._packing.groups):
            weights = [local(self._trainable_variables[index]) for index in group]
            group_gradients = [gradients[index] for index in group]
            slots = [local(self._v[i]), local(self._m[i])]
            if self.moving_averages is not None:
                slots.append(local(self.moving_averages.slots[i]))
            self._update_group(weights, group_gradients, slots, learning_rate, average_rate)

    # A model has many weights of few shapes; the update of a shape is traced once.
    @graphs.traced_once
    def _update_group(self, weights, gradients, slots, learning_rate, average_rate):
        v, m, *average = slots
        new_v, new_m, decrement = self.rule(join(gradients), v, m, learning_rate)
        v.assign(new_v)
        m.assign(new_m)
        new_weights = join(weights) - decrement
        sizes = [weight.shape[0] for weight in weights]
        for weight, value in zip(weights, split(new_weights, sizes), strict=True):
            weight.assign(value)
        if self.moving_averages is not None:
            for slot in average:
                self.moving_averages.move(slot, new_weights, average_rate)

    def get_config(self):
        """The constructor's arguments."""
        return {
            "learning_rate": super().get_config()["learning_rate"],
            "beta_1": self.beta_1,
            "beta_2": self.beta_2,
            "epsilon": self.epsilon,
            "ema_decay": self.ema_decay,
            "ema_warmup": self.ema_warmup,
            "name": self.name,
        }

    @classmethod
    def from_config(cls, config, custom_objects=None):
        """The optimizer of a configuration; one that an earlier version saved has no warm-up."""
        return super().from_config({"ema_warmup": False, **config}, custom_objects)


@keras.saving.register_keras_serializable("biva_tf")
class FlooredExponentialDecay(keras.optimizers.schedules.LearningRateSchedule):
    """max(initial * decay^step, floor): the original's schedule, with 0.002, 0.999999, 0.0001.

    An initial rate below the floor stays as it is. Over the first `warmup` steps, if any, the rate
    rises to this in equal steps: weight-normalised layers that read large inputs begin with very
    small gains, and full steps can then make the outputs of many layers grow at once.
    """

    def __init__(
        self,
        initial: float = 0.002,
        decay: float = 0.999999,
        floor: float = 0.0001,
        warmup: int = 0,
    ):
        for name, value in (("initial", initial), ("floor", floor)):
            require(name, value, Numbers(float, lower=0.0))
        require("decay", decay, Numbers(float, above=0.0, upper=1.0))
        require("warmup", warmup, Numbers(int, lower=0))
        self.initial = initial
        self.decay = decay
        self.floor = floor
        self.warmup = warmup

    def __call__(self, step):
        """The learning rate of the step after `step` updates, float32."""
        # By exp, since float32 has no 0.999999: its nearest number to the power of 1e6 is 5% off.
        decayed = self.initial * tf.exp(tf.cast(step, tf.float32) * math.log(self.decay))
        rate = tf.maximum(decayed, min(self.floor, self.initial))
        if self.warmup:
            rate *= tf.minimum(1.0, (tf.cast(step, tf.float32) + 1.0) / self.warmup)
        return rate

    def get_config(self):
        """The constructor's arguments."""
        return {
            "initial": self.initial,
            "decay": self.decay,
            "floor": self.floor,
            "warmup": self.warmup,
        }


def get(optimizer: keras.optimizers.Optimizer | str | dict | None) -> keras.optimizers.Optimizer:
    """The optimizer that `compile` was given, as `keras.optimizers.get` reads it.

    None is the original's Adamax, with moving averages of decay 0.9995.

    Raises:
      ValueError: there is no such optimizer, or it scales the loss.
    """
    if optimizer is None:
        return Adamax(FlooredExponentialDecay(), ema_decay=0.9995)
    try:
        found = keras.optimizers.get(optimizer)
    except (TypeError, ValueError):
        raise ValueError(
            "optimizer: expected a biva_tf.Adamax, an optimizer of Keras, or the name of one such "
            f"as 'adam', got {optimizer!r}"
        ) from None
    scales = isinstance(found, keras.optimizers.LossScaleOptimizer)
    if scales or found.loss_scale_factor is not None:
        raise ValueError(
            "optimizer: expected one that does not scale the loss, whose gradients are float32, "
            f"got {type(found).__name__}"
        )
    return found


def apply_summed(
    optimizer: keras.optimizers.Optimizer,
    gradients: list[tf.Tensor],
    weights: list[keras.Variable],
    skip: tf.Tensor | None,
) -> None:
    """Applies gradients that are already summed over the replicas; in replica context.

    Args:
      optimizer: an `Adamax`, or one of Keras's.
      gradients, weights: one for each weight.
      skip: as in `Adamax.apply_summed`; None with an optimizer of Keras.
    """
    context = tf.distribute.get_replica_context()
    if isinstance(optimizer, Adamax):
        context.merge_call(optimizer.apply_summed, args=(gradients, skip))
    else:
        # It sums over the replicas itself. In a graph, the call that finds no more data must not
        # count a step.
        gradients = [g / context.num_replicas_in_sync for g in gradients]
        with tf.control_dependencies(gradients[:1]):
            optimizer.apply(gradients, weights)
