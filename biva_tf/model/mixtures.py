"""A mixture of the distributions in a batch, the same for every row."""

import math

import tensorflow as tf
import tensorflow_probability as tfp

from biva_tf.model.distributions import DiagonalGaussian
from biva_tf.model.noise import Noise


class UniformMixture(tfp.distributions.Distribution):
    """The mixture, in equal parts, of K Gaussians, for a number of rows.

    Args:
      components: the Gaussians, batch [K], event [*event].
      rows: the number of rows, each of which has this mixture.

    `log_prob` takes [rows, *event] and gives [rows], in nats.
    """

    def __init__(
        self, components: DiagonalGaussian, rows: int | tf.Tensor, name: str = "UniformMixture"
    ):
        parameters = dict(locals())
        self.components, self._rows = components, rows
        self._number: int = components.mean().shape[0]
        super().__init__(
            dtype=tf.float32,
            reparameterization_type=tfp.distributions.NOT_REPARAMETERIZED,
            validate_args=False,
            allow_nan_stats=True,
            parameters=parameters,
            name=name,
        )

    @property
    def log_variance(self) -> tf.Tensor:
        """The log-variances of the components, [K, *event]."""
        return self.components.log_variance

    def gather(self, rows: tf.Tensor) -> "UniformMixture":
        """The mixture for as many rows as are asked for."""
        return UniformMixture(self.components, tf.size(rows))

    def draw(self, noise: Noise, stream: str, temperature: float | tf.Tensor = 1.0) -> tf.Tensor:
        """A component of each row by a uniform number, then a draw of it.

        The temperature scales the standard deviations of the components, not the choice.
        """
        event = self.components.mean().shape[1:]
        uniform = noise.uniform(f"{stream}/component", (self._rows, 1))[:, 0]
        chosen = tf.minimum(tf.cast(uniform * self._number, tf.int32), self._number - 1)
        numbers = noise.normal(stream, (self._rows, *event))
        return self.components.gather(chosen).from_noise(numbers, temperature)

    def _batch_shape(self):
        return tf.TensorShape([self._rows if isinstance(self._rows, int) else None])

    def _batch_shape_tensor(self):
        return tf.reshape(self._rows, [1])

    def _event_shape(self):
        return self.components.event_shape

    def _event_shape_tensor(self):
        return self.components.event_shape_tensor()

    def _of_rows(self, value: tf.Tensor) -> tf.Tensor:
        return tf.repeat(value[tf.newaxis], self._rows, axis=0)

    def _mean(self):
        return self._of_rows(tf.reduce_mean(self.components.mean(), axis=0))

    def _variance(self):
        within = tf.reduce_mean(self.components.variance(), axis=0)
        return self._of_rows(within + tf.math.reduce_variance(self.components.mean(), axis=0))

    def _mode(self):
        """Of the means of the components, the one with the greatest density."""
        means = self.components.mean()
        return self._of_rows(means[tf.argmax(self._log_prob(means))])

    def _log_prob(self, z):
        of_components = self.components.log_prob(tf.expand_dims(z, 1))  # [rows, K]
        return tf.reduce_logsumexp(of_components, axis=1) - math.log(self._number)
