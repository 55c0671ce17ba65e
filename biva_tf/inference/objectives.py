"""Objectives: functions of the top-down pass's output. All are in nats unless named otherwise.

The plan decides which bound they give. Under the posterior plan `terms(...).bound` is the ELBO
(paper, eq. 1). Under `plans.prior_up_to(spec, k)` it is L^{>k} (eq. 2), because a latent drawn from
its prior has log p(z) - log q(z) = 0.
"""

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from biva_tf.choices import FREE_BITS_MODES, KLS
from biva_tf.errors import Setting, SettingsError


class Terms(NamedTuple):
    """The terms of the bound, per row.

    Attributes:
      reconstruction: log p(x|z), [rows].
      kl: log q(z) - log p(z) of each latent at its draw, [rows, latents]. This one-sample estimate
        of KL(q||p) may be negative. Or KL(q||p) itself, given the draws that q and p depend on
        (`terms`). With classes there is one more column, KL(q(y|x)||p(y)), which
        is log(classes) if y is known.
      log_weight: log of the importance weight p(x, z) / q(z|x), [rows]; None if it is the bound.
    """

    reconstruction: tf.Tensor
    kl: tf.Tensor
    log_weight: tf.Tensor | None = None

    @property
    def bound(self) -> tf.Tensor:
        """[rows]: the one-sample estimate of the bound on log p(x)."""
        return self.reconstruction - tf.reduce_sum(self.kl, axis=-1)


def terms(output, images: tf.Tensor, kl: str = "sampled") -> Terms:
    """The terms of the bound for `images` [rows, h, w, c] under a `network.Output`.

    Args:
      output: the top-down pass's output.
      images: the images.
      kl: "sampled": log q(z) - log p(z) at the draw; "analytic": KL(q||p) in closed form (Child
        2021), with the same expectation. Importance weights need the sampled one.

    Raises:
      SettingsError: kl is "analytic", and q and p of a latent have no KL in closed form.
      ValueError: kl is neither of the two.
    """
    if kl not in KLS:
        raise ValueError(f"kl: expected {KLS}, got {kl!r}")
    of_latents = [
        latent.log_q - latent.log_p
        if kl == "sampled" or latent.q is None  # of a latent that is drawn from its prior: 0
        else closed_kl(latent.q, latent.p)
        for latent in output.latents
    ]
    return Terms(output.px.log_prob(images), tf.stack(of_latents, axis=-1))


def closed_kl(q, p) -> tf.Tensor:
    """KL(q||p), [rows], nats. Raises SettingsError if TFP knows no closed form for the two."""
    try:
        return q.kl_divergence(p)
    except NotImplementedError:
        raise SettingsError(
            Setting("kl"),
            f": expected sampled, since KL(q||p) of a latent has no closed form ({q.name} and "
            f"{p.name}), got analytic",
        ) from None


class LabelTerms(NamedTuple):
    """What the classifier says of the labels, per row; 0 for a row without a label.

    Attributes:
      nats: -log q(y|x) of the label, [rows].
      correct: 1 if the most probable class is the label, [rows].
      labelled: 1 if there is a label, [rows].
    """

    nats: tf.Tensor
    correct: tf.Tensor
    labelled: tf.Tensor


def label_terms(logits: tf.Tensor, labels: tf.Tensor) -> LabelTerms:
    """What q(y|x), given as logits [rows, classes], says of labels [rows], negative for none."""
    labelled = tf.cast(labels >= 0, tf.float32)
    at = tf.maximum(labels, 0)
    nats = tf.nn.sparse_softmax_cross_entropy_with_logits(at, logits)
    correct = tf.cast(tf.argmax(logits, axis=-1) == at, tf.float32)
    return LabelTerms(nats * labelled, correct * labelled, labelled)


def training_loss(
    t: Terms,
    *,
    free_bits: float | Sequence[float] = 0.0,
    free_bits_mode: str = "per_example",
    kl_weight: float | tf.Tensor = 1.0,
    batch_mean: Callable[[tf.Tensor], tf.Tensor] | None = None,
) -> tf.Tensor:
    """The training loss of each row, [rows]; the loss of a batch is its mean.

    -log p(x|z) + kl_weight * (the sum over the latents of max(free_bits, KL)).

    Args:
      t: the terms.
      free_bits: nats per latent that the loss does not penalise (paper, section 4: 2); a number,
        or one for each column of `kl`. With 0 the loss has the plain sum, negative one-sample KLs
        included.
      free_bits_mode: "per_example": max(free_bits, KL) for each latent and example, as the
        original; "batch_mean": max(free_bits, mean KL over the batch) for each latent (Kingma et
        al. 2016).
      kl_weight: what multiplies the KL (beta in the literature).
      batch_mean: maps [rows, latents] to the mean over the whole batch, [latents]. By default it is
        the mean over these rows; with several replicas it must be the mean over all of them.

    Raises:
      ValueError: free_bits_mode is neither of the two.
    """
    if free_bits_mode not in FREE_BITS_MODES:
        raise ValueError(f"free_bits_mode: expected {FREE_BITS_MODES}, got {free_bits_mode!r}")
    kl = t.kl
    if np.any(np.greater(free_bits, 0)):
        if free_bits_mode == "per_example":
            kl = tf.maximum(kl, free_bits)
        else:
            mean = batch_mean or (lambda value: tf.reduce_mean(value, axis=0))
            # The mean of these rows is max(free_bits, mean KL), and so are its gradients.
            kl = tf.where(mean(tf.stop_gradient(kl)) > free_bits, kl, free_bits)
    return -t.reconstruction + kl_weight * tf.reduce_sum(kl, axis=-1)


def linear_warmup(step: tf.Tensor, steps: int, final: float) -> tf.Tensor:
    """`final` times a ramp from 0 at step 0 to 1 at step `steps`; without steps, `final`."""
    if steps == 0:
        return tf.constant(final, tf.float32)
    return final * tf.minimum(1.0, tf.cast(step, tf.float32) / steps)


class ImportanceSums(NamedTuple):
    """Sums over the importance samples of each image, to which samples can be added.

    They are in float64, so that the order and the number of the additions do not matter.

    Attributes:
      count: samples so far, a scalar.
      log_sum: log of the sum of the weights p(x, z) / q(z|x), [images].
      log_sum_of_squares: log of the sum of their squares, [images].
      reconstruction: sum of log p(x|z), [images].
      kl: sum of log q(z) - log p(z), [images, latents].
    """

    count: tf.Tensor
    log_sum: tf.Tensor
    log_sum_of_squares: tf.Tensor
    reconstruction: tf.Tensor
    kl: tf.Tensor

    @staticmethod
    def zero(images, latents: int) -> "ImportanceSums":
        """No samples yet."""
        zeros, kl = tf.zeros([images], tf.float64), tf.zeros([images, latents], tf.float64)
        nothing = tf.fill([images], tf.constant(-math.inf, tf.float64))
        return ImportanceSums(tf.constant(0, tf.float64), nothing, nothing, zeros, kl)

    def add(self, t: Terms, samples) -> "ImportanceSums":
        """The sums with the terms of more samples, whose rows are [samples, images]."""
        reconstruction, kl = tf.cast(t.reconstruction, tf.float64), tf.cast(t.kl, tf.float64)
        log_weights = reconstruction - tf.reduce_sum(kl, axis=-1)
        if t.log_weight is not None:
            log_weights = tf.cast(t.log_weight, tf.float64)
        # A sample that overflows has no weight. The others still give a bound.
        log_weights = _or(log_weights, -math.inf)

        images = self.log_sum.shape[0]
        images = tf.shape(self.log_sum)[0] if images is None else images

        def by_sample(values):
            return tf.reshape(values, (samples, images, *values.shape[1:]))

        def log_add(log_sum, values):
            values = tf.concat([log_sum[tf.newaxis], by_sample(values)], axis=0)
            return tf.reduce_logsumexp(values, axis=0)

        return ImportanceSums(
            self.count + tf.cast(samples, tf.float64),
            log_add(self.log_sum, log_weights),
            log_add(self.log_sum_of_squares, 2.0 * log_weights),
            self.reconstruction + tf.reduce_sum(by_sample(reconstruction), axis=0),
            self.kl + tf.reduce_sum(by_sample(kl), axis=0),
        )

    def scores(self) -> "ImageScores":
        """The scores of each image."""
        elbo = (self.reconstruction - tf.reduce_sum(self.kl, axis=-1)) / self.count
        return ImageScores(
            bound=self.log_sum - tf.math.log(self.count),
            elbo=_or(elbo, -math.inf),
            reconstruction=_or(self.reconstruction / self.count, -math.inf),
            kl=_or(self.kl / self.count, math.inf),
            effective_sample_size=_or(tf.exp(2.0 * self.log_sum - self.log_sum_of_squares), 0.0),
        )


class ImageScores(NamedTuple):
    """The scores of each image, float64; none is a NaN.

    Where float32 overflows, in an image that is very unlike the training data, a bound and the
    reconstruction are -inf, a KL is inf, and the effective sample size is that of the samples that
    did not overflow, 0 without any.

    Attributes:
      bound: L_K (Burda et al. 2015), the log of the mean importance weight, [images], nats. With
        classes, a weight is summed over the classes.
      elbo: the mean of the one-sample bounds, [images], nats: L_1, or under another plan L^{>k}.
      reconstruction: the mean of log p(x|z), [images], nats.
      kl: the mean of log q(z) - log p(z), [images, latents], nats.
      effective_sample_size: (sum of the weights)^2 / (sum of their squares), [images], 1 to K.
    """

    bound: tf.Tensor
    elbo: tf.Tensor
    reconstruction: tf.Tensor
    kl: tf.Tensor
    effective_sample_size: tf.Tensor

    @staticmethod
    def specs(latents: int) -> "ImageScores":
        """The `tf.TensorSpec` of each score."""
        scalar = tf.TensorSpec([None], tf.float64)
        kl = tf.TensorSpec([None, latents], tf.float64)
        return ImageScores(scalar, scalar, scalar, kl, scalar)


def _or(values: tf.Tensor, other: float) -> tf.Tensor:
    """The values, and `other` in place of those that are not finite."""
    return tf.where(tf.math.is_finite(values), values, tf.constant(other, values.dtype))


def likelihood_ratio(elbo: np.ndarray, above: np.ndarray) -> np.ndarray:
    """LLR^{>k} = L - L^{>k} of images, [images]; inf where one of the two is not finite.

    The higher it is, the less an image is like the training data.
    """
    finite = np.isfinite(elbo) & np.isfinite(above)
    return np.where(finite, np.subtract(elbo, above, where=finite, out=np.zeros_like(elbo)), np.inf)


def bits_per_dim(bound, image_shape: Sequence[int]):
    """A bound on log p(x) in nats as bits per dimension: -bound / (h w c log 2) (section 4)."""
    return -bound / (math.prod(image_shape) * math.log(2.0))


def perplexity(bound_of_all: float, tokens: int) -> float:
    """The perplexity per token of sentences, from the sum of their bounds in nats."""
    with np.errstate(over="ignore"):
        return float(np.exp(-bound_of_all / tokens))
