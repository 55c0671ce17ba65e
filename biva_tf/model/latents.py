"""A latent's value in a pass, from the source that the plan names, with its log-densities."""

import dataclasses

import tensorflow as tf

from biva_tf.model import latent_distributions, plans
from biva_tf.model.latent_distributions import LatentDistribution
from biva_tf.model.noise import Noise, posterior_stream, prior_stream
from biva_tf.model.spec import LatentSpec


@dataclasses.dataclass(frozen=True)
class Draw:
    """A draw z from q."""

    z: tf.Tensor
    q: LatentDistribution

    def gather(self, rows: tf.Tensor) -> "Draw":
        """The draw in some rows, in their order."""
        return Draw(tf.gather(self.z, rows), latent_distributions.gather(self.q, rows))


@dataclasses.dataclass(frozen=True)
class LatentStats:
    """A latent in the top-down pass.

    Attributes:
      z: its value, [rows, *latent shape].
      p: its prior given the latents above.
      q: its posterior, if z was drawn from it (or may have been, under a `Switch`); else None.
      log_p: log p(z), [rows], nats.
      log_q: log q(z), [rows], nats. Where z is not drawn from q it equals log_p, so that the latent
        adds nothing to the bound.
    """

    z: tf.Tensor
    p: LatentDistribution
    q: LatentDistribution | None
    log_p: tf.Tensor
    log_q: tf.Tensor

    def gather(self, rows: tf.Tensor) -> "LatentStats":
        """The latent in some rows, in their order."""
        q = None if self.q is None else latent_distributions.gather(self.q, rows)
        z, log_p, log_q = (tf.gather(t, rows) for t in (self.z, self.log_p, self.log_q))
        p = latent_distributions.gather(self.p, rows)
        return LatentStats(z, p, q, log_p, log_q)


def draw_posterior(q: LatentDistribution, latent: LatentSpec, noise: Noise) -> Draw:
    """A draw of a latent from its posterior q."""
    return Draw(noise.draw(q, posterior_stream(latent.name)), q)


def resolve(
    latent: LatentSpec,
    source: plans.LatentSource,
    p: LatentDistribution,
    draw: Draw | None,
    noise: Noise,
) -> LatentStats:
    """The value of a latent from its source.

    Args:
      latent: the latent.
      source: where its value comes from.
      p: its prior.
      draw: its posterior draw; None if the source does not use it.
      noise: the noise of a draw from the prior.
    """
    match source:
        case plans.Posterior():
            # Through the identity, the gradients of the two densities are summed first. TensorFlow
            # adds three or more gradients in an order that depends on the timing of threads, and
            # so would the last bits (WORKSPACE.md, "Graphs").
            z = tf.identity(draw.z)
            return LatentStats(draw.z, p, draw.q, p.log_prob(z), draw.q.log_prob(z))
        case plans.Prior(temperature):
            z = noise.draw(p, prior_stream(latent.name), temperature)
        case plans.PriorMode():
            z = latent_distributions.mode(p)
        case plans.Given(value):
            z = tf.convert_to_tensor(value, tf.float32)
        case plans.Switch(condition, if_true, if_false):
            one, other = (resolve(latent, s, p, draw, noise) for s in (if_true, if_false))
            z, log_p, log_q = (
                tf.where(condition, getattr(one, name), getattr(other, name))
                for name in ("z", "log_p", "log_q")
            )
            return LatentStats(z, p, other.q, log_p, log_q)
    log_p = p.log_prob(z)
    return LatentStats(z, p, None, log_p, log_p)
