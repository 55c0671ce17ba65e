"""The exponential moving average (EMA) of the weights, with which a model is evaluated."""

import contextlib
from collections.abc import Iterator, Sequence

import keras
import tensorflow as tf

from biva_tf.training.packing import Packing


class MovingAverages:
    """average <- decay average + (1 - decay) weight, after every step.

    With warm-up, the decay of the step after n steps is min(decay, (1 + n) / (10 + n)), as in
    TensorFlow's `ExponentialMovingAverage`: the averages of a short run follow the weights and are
    not mostly the initial ones.

    Keras's own `use_ema` is not used: under tf.distribute it averages on the first replica alone
    and copies the result.

    Args:
      optimizer: that holds the variables.
      packing: the packing of the optimizer's slots.
      weights: the model's weights, in the optimizer's order. The averages start at their values.
      decay: in (0, 1).
      warmup: whether the decay warms up.

    Attributes:
      slots: the averages, a variable for each group of the packing.
    """

    def __init__(
        self,
        optimizer: keras.optimizers.Optimizer,
        packing: Packing,
        weights: Sequence[keras.Variable],
        decay: float,
        warmup: bool,
    ):
        self._packing, self._weights = packing, weights
        self._decay, self._warmup = decay, warmup
        self.slots = packing.add_slots(optimizer, "average")
        self.reset()

    @property
    def values(self) -> list[tf.Tensor]:
        """The average of each weight."""
        return self._packing.unpack(self.slots)

    def reset(self) -> None:
        """Sets every average to the value that its weight has now."""
        self._packing.assign(self.slots, [w.value for w in self._weights])

    def swap(self) -> None:
        """Gives every weight the value of its average, and the average that of the weight."""
        values = [tf.identity(w.value) for w in self._weights]
        for weight, average in zip(self._weights, self.values, strict=True):
            weight.assign(average)
        self._packing.assign(self.slots, values)

    @contextlib.contextmanager
    def applied(self) -> Iterator[None]:
        """While active, the model has the averages as its weights."""
        self.swap()
        try:
            yield
        finally:
            self.swap()

    def rate(self, step) -> float | tf.Tensor:
        """1 - decay of the step after `step` steps; a float32 scalar tensor with warm-up."""
        if not self._warmup:
            return 1.0 - self._decay
        # 1 - (1 + n) / (10 + n) is 9 / (10 + n), which float32 holds without cancellation.
        return tf.maximum(1.0 - self._decay, 9.0 / (10.0 + tf.cast(step, tf.float32)))

    def move(self, average: tf.Variable, weights: tf.Tensor, rate: float | tf.Tensor) -> None:
        """Moves a slot towards the new weights of its group; part of the optimizer's update."""
        average.assign_add(rate * (weights - average))
