"""The graph that scores images: L_K, L^{>k} and their terms, by a loop over importance samples.

It computes once per image what depends on the image alone, and once per sample what does not depend
on k. `scoring.Scorer` runs it; exports, and Keras's `evaluate`, call it themselves.
"""

import functools
from collections.abc import Sequence
from typing import NamedTuple

import tensorflow as tf

from biva_tf.choices import BELOW
from biva_tf.inference import bounds, chunks, objectives
from biva_tf.inference.objectives import ImageScores, ImportanceSums
from biva_tf.model import plans
from biva_tf.model.latent_distributions import mode
from biva_tf.model.latents import LatentStats
from biva_tf.model.network import Network
from biva_tf.model.noise import SeededNoise, of_samples

PLANS = dict(zip(BELOW, (plans.prior_up_to, plans.prior_mode_up_to), strict=True))

# The mean over the samples, and the estimated variance of that mean.
Moments = tuple[tf.Tensor, tf.Tensor]


class LatentUse(NamedTuple):
    """How far a latent's posterior is from its prior.

    Attributes:
      shift: the posterior's mode minus the prior's, [images, *latent shape].
      kl: KL(q||p) in closed form, [images], nats; empty if it is not asked for.
    """

    shift: Moments
    kl: tuple[tf.Tensor, ...]


Shifts = tuple[LatentUse, ...]  # of each latent


def image_scores(
    model: Network,
    ks: Sequence[int | tf.Tensor],
    images: tf.Tensor,
    *,
    seed: tf.Tensor,
    first_image: tf.Tensor,
    num_importance_samples: int | tf.Tensor,
    max_rows: int,
    below: str = "sample",
    with_shifts: bool = False,
    with_closed_kl: bool = False,
) -> tuple[tuple[ImageScores, ...], Shifts]:
    """The scores of images, by a loop over the importance samples; inside a graph.

    Args:
      ks: the values of k. The first is an int; if it is 0, the others may be scalar tensors, and
        one that turns out to be 0 reuses the first one's result.
      images: [images, *spec.image_shape].
      seed: int64 [2].
      first_image: the index of the first image among all, a scalar int64 tensor; or the number of
        each, int64 [images], by which it has its noise.
      num_importance_samples: an int, or a scalar int64 tensor.
      max_rows: the (image, sample) pairs in a chunk of samples, which has at least one sample.
      below, with_shifts, with_closed_kl: as in `scoring.Scorer`.
    """
    number = tf.shape(images)[0] if images.shape[0] is None else images.shape[0]
    num_importance_samples, at_once = samples_at_once(num_importance_samples, number, max_rows)
    base = SeededNoise(seed)
    image_features = model.image_features(images, base)
    plan_of_k = [PLANS[below](model.spec, k) for k in ks]

    def body(first, samples, state):
        all_sums, shifts = state
        if tf.is_tensor(samples):
            samples = tf.cast(samples, tf.int32)
        noise = of_samples(base, first, samples, first_image)
        tiled = tf.tile(images, [samples, 1, 1, 1])
        features = model.bottom_up(image_features.tiled(samples), noise)

        def terms(plan):
            return bounds.bound(model, features, plan, noise, tiled).terms

        first_bound = bounds.bound(model, features, plan_of_k[0], noise, tiled)
        all_terms = [first_bound.terms]
        for k, plan in zip(ks[1:], plan_of_k[1:], strict=True):
            if tf.is_tensor(k):
                above_k = functools.partial(terms, plan)
                all_terms.append(tf.cond(k > 0, above_k, lambda: all_terms[0]))
            else:
                all_terms.append(terms(plan))
        all_sums = tuple(s.add(t, samples) for s, t in zip(all_sums, all_terms, strict=True))
        if with_shifts:
            latents = first_bound.output.latents
            values = tuple(_values(latent, first_bound, with_closed_kl) for latent in latents)
            values = tf.nest.map_structure(lambda v: sum_over_samples(v, samples, number), values)
            shifts = tf.nest.map_structure(tf.add, shifts, values)
        return all_sums, shifts

    zero = ImportanceSums.zero(number, len(model.spec.kl_names))
    shifts: Shifts = ()
    if with_shifts:
        shifts = tuple(
            LatentUse(
                (tf.zeros((number, *shape)),) * 2,
                (tf.zeros((number,)),) * 2 if with_closed_kl else (),
            )
            for shape in model.latent_shapes
        )
    state = ((zero,) * len(ks), shifts)
    all_sums, shifts = chunks.loop(body, num_importance_samples, at_once, state)
    all_scores = tuple(sums.scores() for sums in all_sums)
    count = num_importance_samples
    return all_scores, tuple(
        LatentUse(_moments(use.shift, count), _moments(use.kl, count) if use.kl else ())
        for use in shifts
    )


def _values(latent: LatentStats, bound: bounds.Bound, with_closed_kl: bool) -> LatentUse:
    """The values of `LatentUse` for each row, and their squares."""

    def and_square(value: tf.Tensor) -> Moments:
        value = bound.expected(value)
        return value, value**2

    shift = and_square(mode(latent.q) - mode(latent.p))
    if not with_closed_kl:
        return LatentUse(shift, ())
    return LatentUse(shift, and_square(objectives.closed_kl(latent.q, latent.p)))


def samples_at_once(num_samples: int | tf.Tensor, images: int | tf.Tensor, max_rows: int):
    """The number of importance samples, and how many of them a chunk has, for `chunks.loop`.

    Both are ints if the numbers of samples and images are, else int64 tensors.
    """
    if isinstance(images, int) and isinstance(num_samples, int):
        return num_samples, min(max(max_rows // images, 1), num_samples)
    num_samples = tf.cast(num_samples, tf.int64)
    return num_samples, tf.clip_by_value(tf.cast(max_rows // images, tf.int64), 1, num_samples)


def _moments(sums: tuple[tf.Tensor, ...], count) -> Moments:
    """The mean, and the variance of the mean, from the sums of values and of their squares."""
    total, squares = sums
    count = tf.cast(count, tf.float32)
    mean = total / count
    variance = tf.maximum(squares / count - mean**2, 0.0)
    return mean, variance / tf.maximum(count - 1.0, 1.0) * tf.cast(count > 1, tf.float32)


def sum_over_samples(values: tf.Tensor, samples, images) -> tf.Tensor:
    """[samples * images, ...] to [images, ...]."""
    return tf.reduce_sum(tf.reshape(values, (samples, images, *values.shape[1:])), axis=0)
