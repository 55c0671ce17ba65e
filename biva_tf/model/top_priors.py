"""The prior of the top latent: a layer that gives p(z_L) for a number of rows.

The VampPrior is the mean of the posterior of z_L at K pseudo-inputs. Here q(z_L | x, z_{<L}^bu)
depends on draws of all bottom-up latents, so that the posterior of a pseudo-image would be itself
a mixture over these draws, whose density is not known. So the pseudo-inputs are learnt where the
posterior is a Gaussian in closed form: they are K maps of features, the input of its last layer.

    p(z_L) = 1/K sum_k q(z_L | features u_k)

It is a density whatever the u_k are, it has the posterior's own weights, as in the paper, and
sampling needs no bottom-up pass.
"""

from typing import Any

import keras
import tensorflow as tf

from biva_tf.model import priors
from biva_tf.model.distributions import DiagonalGaussian
from biva_tf.model.heads import GaussianHead, StandardGaussian, bounded
from biva_tf.model.kinds import TopPriorKind
from biva_tf.model.mixtures import UniformMixture
from biva_tf.nn import weight_norm

FloorAndCeiling = tuple[float | None, float | None]


class LearntGaussian(keras.layers.Layer):
    """A Gaussian with a learnt mean and a learnt log-variance.

    Args:
      latent_shape: the shape of z_L, per example.
      bounds: the floor and the ceiling of the log-variance; None: it has none.
    """

    def __init__(self, latent_shape: tuple[int, ...], bounds: FloorAndCeiling, *, name: str):
        super().__init__(name=name)
        self._bounds = bounds
        self._mean = self.add_weight(shape=latent_shape, initializer="zeros", name="mean")
        self._log_variance = self.add_weight(
            shape=latent_shape, initializer="zeros", name="log_variance"
        )
        self.built = True

    def call(self, rows: int | tf.Tensor) -> DiagonalGaussian:
        """The prior of a batch of `rows`."""
        log_variance = bounded(tf.convert_to_tensor(self._log_variance), *self._bounds)
        mean = tf.convert_to_tensor(self._mean)
        return DiagonalGaussian(
            *(tf.repeat(t[tf.newaxis], rows, axis=0) for t in (mean, log_variance))
        )


class PseudoInputs(keras.layers.Layer):
    """The VampPrior: the mixture of the posteriors of learnt features.

    Args:
      number: the number of components, K.
      posterior: the layer that gives the posterior of z_L from features.
    """

    def __init__(self, number: int, posterior: GaussianHead, *, name: str):
        super().__init__(name=name)
        self._posterior = posterior
        # The layers of the network have outputs of unit variance once they are initialised.
        normal = keras.initializers.RandomNormal(stddev=1.0)
        self._features = self.add_weight(
            shape=(number, *posterior.in_shape), initializer=normal, name="features"
        )
        self.built = True

    def call(self, rows: int | tf.Tensor) -> UniformMixture:
        """The prior of a batch of `rows`."""
        with weight_norm.as_initialised(self._posterior):  # the posterior is initialised on data
            components = self._posterior(tf.convert_to_tensor(self._features))
        return UniformMixture(components, rows)


def make(
    prior: TopPriorKind, posterior: GaussianHead, bounds: FloorAndCeiling, *, name: str
) -> Any:
    """The layer of the prior that a spec names.

    Args:
      prior: its spec. Its own `make`, if it has one, gets the posterior and the name.
      posterior: the layer that gives the posterior of z_L from features [rows, *in_shape]; it has
        `in_shape` and `latent_shape`.
      bounds: the floor and the ceiling of every log-variance; None: there is none.
      name: the name of the layer.
    """
    if prior.makes_itself():
        return prior.make(posterior, name=name)
    match prior:
        case priors.StandardPrior():
            return StandardGaussian(posterior.latent_shape, name=name)
        case priors.GaussianPrior():
            return LearntGaussian(posterior.latent_shape, bounds, name=name)
        case priors.VampPrior(components):
            return PseudoInputs(components, posterior, name=name)
    raise NotImplementedError(f"no prior is made of {prior!r}")
