"""What the model asks of the distribution of a latent, its prior p(z) or its posterior q(z).

Ask by the functions below. A distribution of one's own has the methods of `LatentDistribution`;
of TFP's own, these fit as they are, with a batch of [rows] and an event of the latent's shape:

- `Normal` within `Independent`, and the multivariate normals (`MultivariateNormalDiag`, ...);
- `TransformedDistribution` of these, such as a flow;
- `MixtureSameFamily` of these.
"""

from typing import Any, Protocol

import tensorflow as tf
import tensorflow_probability as tfp

tfd = tfp.distributions


class RandomNumbers(Protocol):
    """What a distribution makes its draw of: a `noise.Noise`."""

    def normal(self, stream: str, shape) -> tf.Tensor:
        """Standard normal numbers of `shape` = (rows, *event), float32."""

    def uniform(self, stream: str, shape) -> tf.Tensor:
        """Uniform numbers in [0, 1) of `shape` = (rows, *event), float32."""


class LatentDistribution(Protocol):
    """The distribution of a latent in a batch of rows.

    Two more are optional. `mean_and_log_variance()`, of a Gaussian with diagonal covariance, gives
    its parameters, each [rows, *latent shape]: with it, images can be compressed. `log_variance`,
    of any shape, are those of the Gaussians that it is made of, for the ceiling of a model.
    """

    def log_prob(self, z: tf.Tensor) -> tf.Tensor:
        """log p(z), [rows], nats."""

    def mode(self) -> tf.Tensor:
        """The most probable value, [rows, *latent shape]."""

    def batch_shape_tensor(self) -> tf.Tensor:
        """[rows]."""

    def draw(
        self, noise: RandomNumbers, stream: str, temperature: float | tf.Tensor = 1.0
    ) -> tf.Tensor:
        """As the function `draw`."""

    def gather(self, rows: tf.Tensor) -> "LatentDistribution":
        """The distribution in some rows, in their order."""


def draw(
    distribution: Any, noise: RandomNumbers, stream: str, temperature: float | tf.Tensor = 1.0
) -> tf.Tensor:
    """A draw, [rows, *latent shape].

    Args:
      distribution: of the latent.
      noise: the random numbers.
      stream: the draw's stream; a mixture chooses by numbers of another, `stream`/component.
      temperature: what scales the standard deviation of a Gaussian: of what is transformed, or of
        each component of a mixture, whose choice it leaves alone.

    Raises:
      TypeError: it is not known how to draw from such a distribution, or its batch is not [rows].
    """
    if hasattr(distribution, "draw"):
        return distribution.draw(noise, stream, temperature)
    _check_batch(distribution)
    rows = distribution.batch_shape_tensor()[0]
    numbers = temperature * noise.normal(stream, (rows, *distribution.event_shape))
    if not isinstance(distribution, tfd.MixtureSameFamily):
        return _at(distribution, numbers)
    below = tf.cumsum(distribution.mixture_distribution.probs_parameter(), axis=-1)[..., :-1]
    uniform = noise.uniform(f"{stream}/component", (rows, 1))
    chosen = tf.reduce_sum(tf.cast(uniform >= below, tf.int32), axis=-1)
    of_each = _at(distribution.components_distribution, numbers[:, tf.newaxis])
    return tf.gather(of_each, chosen, axis=1, batch_dims=1)


def _at(distribution: Any, numbers: tf.Tensor) -> tf.Tensor:
    """The value that standard normal numbers stand for."""
    match distribution:
        case tfd.Independent():
            return _at(distribution.distribution, numbers)
        case tfd.Normal():
            return distribution.loc + distribution.scale * numbers
        case tfd.MultivariateNormalLinearOperator():
            moved = distribution.scale.matvec(numbers)
            return moved if distribution.loc is None else distribution.loc + moved
        case tfd.TransformedDistribution():
            return distribution.bijector.forward(_at(distribution.distribution, numbers))
    raise _unknown(distribution, "draw(noise, stream, temperature)")


def mode(distribution: Any) -> tf.Tensor:
    """The most probable value, [rows, *latent shape].

    Of a mixture it is the mode of a component, the one with the greatest density; of a transformed
    distribution it is the image of the mode.

    Raises:
      TypeError: the mode of such a distribution is not known.
    """
    try:
        return distribution.mode()
    except NotImplementedError:
        pass
    match distribution:
        case tfd.MixtureSameFamily():
            of_each = mode(distribution.components_distribution)  # [rows, K, *latent shape]
            shape = tf.concat(
                [
                    distribution.batch_shape_tensor(),
                    [distribution.mixture_distribution.probs_parameter().shape[-1]],
                    distribution.event_shape_tensor(),
                ],
                axis=0,
            )
            of_each = tf.broadcast_to(of_each, shape)
            first = tf.range(tf.rank(of_each))
            by_component = tf.transpose(of_each, tf.concat([[1, 0], first[2:]], axis=0))
            densest = tf.argmax(distribution.log_prob(by_component), axis=0)
            return tf.gather(of_each, densest, axis=1, batch_dims=1)
        case tfd.TransformedDistribution():
            return distribution.bijector.forward(mode(distribution.distribution))
    raise _unknown(distribution, "mode()")


def gather(distribution: Any, rows: tf.Tensor) -> Any:
    """The distribution in some rows, in their order.

    Raises:
      TypeError: it is not known how to select rows of such a distribution, or its batch is not
        [rows].
    """
    if hasattr(distribution, "gather"):
        return distribution.gather(rows)
    _check_batch(distribution)
    sliced = distribution[:]  # whose parameters all have an axis of rows, or of 1 for all rows
    parameters = tf.nest.flatten(sliced, expand_composites=True)
    if not all(map(tf.is_tensor, parameters)):
        raise _unknown(distribution, "gather(rows)")
    gathered = [
        tf.gather(t, tf.minimum(rows, tf.shape(t)[0] - 1)) if t.shape.rank else t
        for t in parameters
    ]
    return tf.nest.pack_sequence_as(sliced, gathered, expand_composites=True)


def tiled(distribution: Any, copies: int | tf.Tensor) -> Any:
    """The distribution of `copies` of the batch, one copy after the other."""
    rows = tf.range(distribution.batch_shape_tensor()[0])
    return gather(distribution, tf.tile(rows, [copies]))


def mean_and_log_variance(distribution: Any) -> tuple[tf.Tensor, tf.Tensor] | None:
    """The parameters of a Gaussian, each [rows, *latent shape]; None if it is not a Gaussian."""
    of_gaussian = getattr(distribution, "mean_and_log_variance", None)
    return None if of_gaussian is None else of_gaussian()


def log_variances(distribution: Any) -> tf.Tensor | None:
    """Those of the Gaussians that a distribution is made of, of any shape; None if unknown."""
    return getattr(distribution, "log_variance", None)


def _check_batch(distribution: Any) -> None:
    if distribution.batch_shape.rank != 1:
        raise TypeError(
            f"{type(distribution).__name__}, the distribution of a latent: expected a batch of "
            f"[rows], got {distribution.batch_shape}; Independent makes an event of the other axes"
        )


def _unknown(distribution: Any, method: str) -> TypeError:
    return TypeError(
        f"{type(distribution).__name__}, the distribution of a latent: expected a method {method}, "
        "or one of those of TFP that biva_tf.model.latent_distributions lists"
    )
