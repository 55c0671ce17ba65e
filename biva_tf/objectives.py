"""Objectives: functions of what the top-down pass gives. All in nats unless named otherwise.

The plan makes the bound: under the posterior plan `terms(...).bound` is the ELBO (paper, eq. 1),
under `plans.prior_up_to(spec, k)` it is L^{>k} (eq. 2), because a latent drawn from its prior has
log p(z) - log q(z) = 0.
"""

import dataclasses
import math
from collections.abc import Callable, Sequence

import tensorflow as tf

FREE_BITS_MODES = ("per_example", "batch_mean")


@dataclasses.dataclass(frozen=True)
class Terms:
    """The terms of the bound, per row.

    Attributes:
      reconstruction: log p(x|z), [rows].
      kl: log q(z) - log p(z) of each latent at its draw, [rows, latents]: a one-sample estimate of
        KL(q||p), which may be negative.
    """

    reconstruction: tf.Tensor
    kl: tf.Tensor

    @property
    def bound(self) -> tf.Tensor:
        """[rows]: the one-sample estimate of the bound on log p(x)."""
        return self.reconstruction - tf.reduce_sum(self.kl, axis=-1)


def terms(output, images: tf.Tensor) -> Terms:
    """The terms of the bound for `images` [rows, h, w, c] in [0, 1] under a `model.Output`."""
    kl = tf.stack([latent.log_q - latent.log_p for latent in output.latents], axis=-1)
    return Terms(output.px.log_prob(images), kl)


def training_loss(
    t: Terms,
    *,
    free_bits: float = 0.0,
    free_bits_mode: str = "per_example",
    kl_weight: float | tf.Tensor = 1.0,
    batch_mean: Callable[[tf.Tensor], tf.Tensor] | None = None,
) -> tf.Tensor:
    """The training loss of each row, [rows]; the loss is its mean over the batch.

    -log p(x|z) + kl_weight * sum over latents of the KL, held at `free_bits` from below.

    Args:
      t: the terms.
      free_bits: nats per latent that cost nothing to use (paper, section 4: 2). 0 is the plain sum,
        also where a one-sample KL is negative.
      free_bits_mode: "per_example": max(free_bits, KL) for each latent and example, as the
        original; "batch_mean": max(free_bits, mean KL over the batch) for each latent (Kingma et
        al. 2016).
      kl_weight: beta.
      batch_mean: maps [rows, latents] to the mean over the whole batch, [latents]; by default over
        these rows. Under several replicas it has to reach over all of them.

    Raises:
      ValueError: free_bits_mode is neither of the two.
    """
    if free_bits_mode not in FREE_BITS_MODES:
        raise ValueError(f"free_bits_mode: expected {FREE_BITS_MODES}, got {free_bits_mode!r}")
    kl = t.kl
    if free_bits > 0:
        if free_bits_mode == "per_example":
            kl = tf.maximum(kl, free_bits)
        else:
            mean = batch_mean or (lambda value: tf.reduce_mean(value, axis=0))
            # max(free_bits, mean) is the mean of the rows, or of the constant: gradients included.
            kl = tf.where(mean(tf.stop_gradient(kl)) > free_bits, kl, free_bits)
    return -t.reconstruction + kl_weight * tf.reduce_sum(kl, axis=-1)


def linear_warmup(step: tf.Tensor, steps: int, final: float) -> tf.Tensor:
    """`final` times a ramp from 0 at step 0 to 1 at step `steps`; `final` at once if steps is 0."""
    if steps == 0:
        return tf.constant(final, tf.float32)
    return final * tf.minimum(1.0, tf.cast(step, tf.float32) / steps)


def importance_weighted_bound(log_weights: tf.Tensor) -> tf.Tensor:
    """L_K (Burda et al. 2015): log of the mean weight, from log-weights [images, K] to [images]."""
    log_samples = math.log(log_weights.shape[1])
    return tf.reduce_logsumexp(log_weights, axis=1) - log_samples


def bits_per_dim(bound, image_shape: Sequence[int]):
    """A bound on log p(x) in nats as bits per dimension: -bound / (h w c log 2) (section 4)."""
    return -bound / (math.prod(image_shape) * math.log(2.0))
