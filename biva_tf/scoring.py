"""Scores of images: L_K, L^{>k} and their terms, in chunks that fit in memory.

What does not depend on the importance sample is computed once per image, what does not depend on k
once per sample.
"""

import dataclasses
import functools
import typing
from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from biva_tf import chunks, layers, objectives, plans
from biva_tf.noise import SampleNoise, SeededNoise

if typing.TYPE_CHECKING:
    from biva_tf.model import BIVA

BELOW = {"sample": plans.prior_up_to, "mode": plans.prior_mode_up_to}


@dataclasses.dataclass(frozen=True)
class Score:
    """The scores of images. All arrays are float64, one row per image.

    Attributes:
      k: latents of levels <= k were taken from the prior.
      bound_nats: [images]: L_K, a lower bound on log p(x), or L_K^{>k}.
      elbo_nats: [images]: the mean over the samples of the one-sample bound: L_1, or L^{>k}.
      bits_per_dim: [images]: -bound_nats / (h w c log 2).
      reconstruction_nats: [images]: log p(x|z), the mean over the samples.
      kl_nats: [images, latents]: log q(z) - log p(z), the mean over the samples.
      effective_sample_size: [images]: of the importance weights, from 1 to K.
      latent_names: the names of the latents, in the order of `kl_nats`.
    """

    k: int
    bound_nats: np.ndarray
    elbo_nats: np.ndarray
    bits_per_dim: np.ndarray
    reconstruction_nats: np.ndarray
    kl_nats: np.ndarray
    effective_sample_size: np.ndarray
    latent_names: tuple[str, ...]


def scores(
    model: "BIVA",
    images,
    ks: Sequence[int],
    *,
    num_importance_samples: int = 1,
    below: str = "sample",
    seed: int = 0,
    max_rows: int = 256,
    first_image: int = 0,
) -> tuple[Score, ...]:
    """The scores for each k, all from the same bottom-up draws.

    Args:
      ks: as `k` of `BIVA.score`.
      first_image: the place of these images among all that are scored with the seed; images get
        the same noise in whatever parts they come.

    The other arguments, and what is raised, are those of `BIVA.score`.
    """
    results = Chunks(model, ks, num_importance_samples, below, seed, max_rows)
    images = check_images(images, model.spec.image_shape)
    parts = [
        results.sums(images[start : start + results.max_images], first_image + start)[0]
        for start in range(0, len(images), results.max_images)
    ]
    return tuple(
        _score(model.spec, k, [sums[i] for sums in parts]) for i, k in enumerate(results.ks)
    )


def _score(spec, k: int, parts: list[objectives.ImportanceSums]) -> Score:
    def joined(value):
        return np.concatenate([value(sums).numpy() for sums in parts])

    bound = joined(lambda sums: sums.bound)
    return Score(
        k=k,
        bound_nats=bound,
        elbo_nats=joined(lambda sums: sums.elbo),
        bits_per_dim=objectives.bits_per_dim(bound, spec.image_shape),
        reconstruction_nats=joined(lambda sums: sums.reconstruction / sums.count),
        kl_nats=joined(lambda sums: sums.kl / sums.count),
        effective_sample_size=joined(lambda sums: sums.effective_sample_size),
        latent_names=tuple(latent.name for latent in spec.latents),
    )


class Chunks:
    """Sums over the importance samples, for chunks of images, with the weights of this moment.

    Args:
      model, ks, num_importance_samples, below, seed, max_rows: as of `BIVA.score`.
      with_shifts: whether to find out how far the posteriors are from the priors.

    Raises:
      ValueError: ks, num_importance_samples, below or max_rows out of range.
    """

    def __init__(
        self,
        model: "BIVA",
        ks: Sequence[int],
        num_importance_samples: int,
        below: str,
        seed: int,
        max_rows: int,
        *,
        with_shifts: bool = False,
    ):
        sizes = (("num_importance_samples", num_importance_samples), ("max_rows", max_rows))
        for name, value in sizes:
            if value < 1:
                raise ValueError(f"{name}: expected an integer >= 1, got {value}")
        if below not in BELOW:
            raise ValueError(f"below: expected one of {', '.join(BELOW)}, got {below!r}")
        self.ks = tuple(ks)
        for k in self.ks:
            BELOW[below](model.spec, k)  # raises if there is no such k
        self._samples, self._seed = num_importance_samples, seed
        # Every k has rows of its own in the top-down pass.
        rows_per_image = min(chunks.AT_ONCE, num_importance_samples) * len(self.ks)
        self.max_images = max(1, max_rows // rows_per_image)
        # One function for chunks of any size and any number of samples: it is traced once.
        scalar = tf.TensorSpec([], tf.int64)

        operands = layers.operands([model], self.max_images)

        def of_ks(images, seed, first_image, num_samples):
            with layers.prepared([model], operands):
                return sums_over_samples(
                    model,
                    self.ks,
                    images,
                    seed=tf.stack([seed, 0]),
                    first_image=first_image,
                    num_samples=num_samples,
                    size=self.max_images,
                    below=below,
                    with_shifts=with_shifts,
                )

        self._sums = tf.function(of_ks, autograph=False).get_concrete_function(
            tf.TensorSpec([None, *model.spec.image_shape], tf.float32), *[scalar] * 3
        )

    def sums(self, images: np.ndarray, first_image: int):
        """The sums over the samples of a chunk of at most `max_images` images.

        Args:
          images: float32 [images, *spec.image_shape] in [0, 1].
          first_image: the place of the first of them among all.

        Returns:
          (for each k an `ImportanceSums`, the shifts): for each latent two arrays, [images, *latent
          shape]: the posterior's mean minus the prior's, the mean over the samples, and the
          variance of that mean over draws of the samples (0 for one sample, of which it is not
          known); () without `with_shifts`.
        """
        numbers = (self._seed, first_image, self._samples)
        return self._sums(tf.constant(images), *[tf.constant(n, tf.int64) for n in numbers])


def sums_over_samples(
    model: "BIVA",
    ks: Sequence[int | tf.Tensor],
    images: tf.Tensor,
    *,
    seed: tf.Tensor,
    first_image: tf.Tensor,
    num_samples: tf.Tensor,
    size: int,
    below: str = "sample",
    with_shifts: bool = False,
) -> tuple[tuple[objectives.ImportanceSums, ...], tuple]:
    """A loop over the importance samples, as a graph: what `Chunks.sums` gives.

    Args:
      ks: ints; after a first one of 0 also scalar tensors, which cost nothing where they are 0.
      images: [images, *spec.image_shape].
      seed: int64 [2].
      first_image, num_samples: scalar tensors, int64.
      size: at most so many pairs of image and sample in a chunk, where there are fewer images;
        `chunks.AT_ONCE` chunks are in memory.
      below, with_shifts: as of `Chunks`.
    """
    rows = tf.shape(images)[0]
    at_once = tf.clip_by_value(tf.cast(size // rows, tf.int64), 1, num_samples)
    base = SeededNoise(seed)
    image_features = model.image_features(images, base)
    plans_of_ks = [BELOW[below](model.spec, k) for k in ks]

    def step(first, all_sums, shifts):
        samples = tf.cast(tf.minimum(at_once, num_samples - first), tf.int32)
        noise = SampleNoise(base, first, samples, first_image)
        tiled = tf.tile(images, [samples, 1, 1, 1])
        features = model.bottom_up(image_features.tiled(samples), noise)

        def terms(plan):
            return objectives.terms(model.top_down(features, plan, noise), tiled)

        output = model.top_down(features, plans_of_ks[0], noise)
        all_terms = [objectives.terms(output, tiled)]
        for k, plan in zip(ks[1:], plans_of_ks[1:], strict=True):
            if tf.is_tensor(k):
                of_k = functools.partial(terms, plan)
                all_terms.append(tf.cond(k > 0, of_k, lambda: all_terms[0]))
            else:
                all_terms.append(terms(plan))
        all_sums = tuple(sums.add(t, samples) for sums, t in zip(all_sums, all_terms, strict=True))
        if with_shifts:
            of_rows = [latent.q.mean() - latent.p.mean() for latent in output.latents]
            shifts = tuple(
                (total + _over_samples(s, samples), squares + _over_samples(s**2, samples))
                for (total, squares), s in zip(shifts, of_rows, strict=True)
            )
        return first + at_once, all_sums, shifts

    zero = objectives.ImportanceSums.zero(rows, len(model.spec.latents))
    shifts = ()
    if with_shifts:
        shifts = tuple((tf.zeros((rows, *shape)),) * 2 for shape in model.latent_shapes)
    _, all_sums, shifts = tf.while_loop(
        lambda first, *_: first < num_samples,
        step,
        (tf.constant(0, tf.int64), (zero,) * len(ks), shifts),
        parallel_iterations=chunks.AT_ONCE,
    )
    return all_sums, tuple(_moments(*sums, num_samples) for sums in shifts)


def _moments(total: tf.Tensor, squares: tf.Tensor, count: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """The mean, and the variance of the mean."""
    count = tf.cast(count, tf.float32)
    mean = total / count
    variance = tf.maximum(squares / count - mean**2, 0.0)
    return mean, variance / tf.maximum(count - 1.0, 1.0) * tf.cast(count > 1, tf.float32)


def _over_samples(values: tf.Tensor, samples: tf.Tensor) -> tf.Tensor:
    shape = tf.concat([[samples, -1], tf.shape(values)[1:]], axis=0)
    return tf.ensure_shape(tf.reduce_sum(tf.reshape(values, shape), axis=0), values.shape)


def check_images(images, image_shape: tuple[int, int, int]) -> np.ndarray:
    """Images as a float32 array. Raises ValueError if they are not [images, *shape] in [0, 1]."""
    images = np.asarray(images, np.float32)
    if images.shape[1:] != tuple(image_shape) or not len(images):
        expected = ", ".join(map(str, image_shape))
        raise ValueError(f"images: expected shape [n >= 1, {expected}], got {images.shape}")
    if not (images.min() >= 0 and images.max() <= 1):
        low, high = images.min(), images.max()
        raise ValueError(f"images: expected values in [0, 1], got {low} to {high}")
    return images
