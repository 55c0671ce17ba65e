"""Scores of images: L_K, L^{>k} and their terms, in chunks that fit in memory.

`image_scores` is the graph: what depends on the image alone is computed once per image, what does
not depend on k once per sample. `Scorer` runs it on the devices of a strategy. Training, the
commands and the Python API score with it; exports call `image_scores` themselves.
"""

import dataclasses
import functools
from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from biva_tf.inference import chunks, objectives
from biva_tf.inference.objectives import ImageScores, ImportanceSums
from biva_tf.model import plans
from biva_tf.model.network import Network
from biva_tf.model.noise import SampleNoise, SeededNoise
from biva_tf.nn import weight_norm

BELOW = {"sample": plans.prior_up_to, "mode": plans.prior_mode_up_to}

# For each latent (mean, variance), [images, *latent shape]: of the posterior's mean minus the
# prior's, the mean over the samples, and the variance of that mean over draws of the samples.
Shifts = tuple[tuple[tf.Tensor, tf.Tensor], ...]


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
    model: Network,
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
      ks: each as `k` of `BIVA.score`.
      first_image: the place of the first of these images among all that are scored with the seed.
        An image has the same noise in whatever parts the images come.

    The other arguments, and the errors raised, are those of `BIVA.score`.
    """
    scorer = Scorer(model, ks, num_importance_samples, below, seed, max_rows)
    images = check_images(images, model.spec.image_shape)
    size = scorer.images_per_call(len(images))

    def rows(start: int, stop: int) -> tuple[ImageScores, ...]:
        return scorer(images[start:stop], first_image + start, size)[0]

    of_ks = chunks.concat_on_host(rows, len(images), size)
    return tuple(
        Score(
            k=k,
            bound_nats=of_k.bound,
            elbo_nats=of_k.elbo,
            bits_per_dim=objectives.bits_per_dim(of_k.bound, model.spec.image_shape),
            reconstruction_nats=of_k.reconstruction,
            kl_nats=of_k.kl,
            effective_sample_size=of_k.effective_sample_size,
            latent_names=tuple(latent.name for latent in model.spec.latents),
        )
        for k, of_k in zip(scorer.ks, of_ks, strict=True)
    )


class Scorer:
    """Scores chunks of images on all devices of a strategy.

    It uses the weights that the model has when the scorer is made, or at the last `refresh`.

    Args:
      model, ks, num_importance_samples, below, max_rows: as of `BIVA.score`; `max_rows` holds for
        each device.
      seed: an int s, which stands for (s, 0), or two ints.
      with_shifts: whether to compute how far the posteriors are from the priors.
      strategy: by default the one of the current scope.

    Raises:
      ValueError: ks, num_importance_samples, below or max_rows out of range.
    """

    def __init__(
        self,
        model: Network,
        ks: Sequence[int] = (0,),
        num_importance_samples: int = 1,
        below: str = "sample",
        seed: int | tuple[int, int] = 0,
        max_rows: int = 256,
        *,
        with_shifts: bool = False,
        strategy: tf.distribute.Strategy | None = None,
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
        self._model = model
        self._samples, self._below, self._with_shifts = num_importance_samples, below, with_shifts
        self._seed = tf.constant((seed, 0) if isinstance(seed, int) else seed, tf.int64)
        self._strategy = strategy or tf.distribute.get_strategy()
        # Each k has rows of its own in the top-down pass.
        self._chunk = max(1, max_rows // (chunks.PARALLEL * len(self.ks)))
        # With several samples, the chunks of samples are computed in parallel instead.
        self._max_chunks = chunks.PARALLEL if num_importance_samples == 1 else 1
        self.refresh()

    def refresh(self) -> None:
        """Reads the weights that the model has now."""
        self._weights = self._normalised_weights()

    def images_per_call(self, number: int) -> int:
        """The images to give to a call, out of a number of images: as many as fit in memory."""
        _, chunk, count = self._layout(number)
        return self._strategy.num_replicas_in_sync * chunk * count

    def _layout(self, number: int) -> tuple[int, int, int]:
        """Of a call for a number of images: images per replica, per chunk, and chunks."""
        per_replica = -(-number // self._strategy.num_replicas_in_sync)
        count = min(self._max_chunks, -(-per_replica // self._chunk))
        chunk = min(self._chunk, -(-per_replica // count))
        return chunk * count, chunk, count

    def __call__(
        self, images: np.ndarray, first_image: int, size: int
    ) -> tuple[tuple[ImageScores, ...], Shifts]:
        """The scores of at most `size` images.

        Args:
          images: float32 [images, *spec.image_shape] in [0, 1].
          first_image: the place of the first of them among all.
          size: what `images_per_call` gave. Fewer images are filled up to it, so that calls of one
            size share one graph.

        Returns:
          For each k an `ImageScores` of NumPy arrays; and the `Shifts`, likewise, of the first k
          (empty without `with_shifts`). The variance over one sample is not known, and given as 0.
        """
        replicas = self._strategy.num_replicas_in_sync
        per_replica, chunk, _ = self._layout(size)
        filled = images[np.minimum(np.arange(per_replica * replicas), len(images) - 1)]

        def of_replica(context):
            first = context.replica_id_in_sync_group * per_replica
            return (
                tf.constant(filled[first : first + per_replica]),
                tf.constant(first_image + first, tf.int64),
            )

        parts = self._strategy.experimental_distribute_values_from_function(of_replica)
        results = self._scores(parts, self._weights, chunk)
        local = [self._strategy.experimental_local_results(t) for t in tf.nest.flatten(results)]
        joined = [np.concatenate([part.numpy() for part in t])[: len(images)] for t in local]
        return tf.nest.pack_sequence_as(self._structure, joined)

    @property
    def _structure(self):
        """The specs of what a call returns."""
        spec = self._model.spec
        shifts = ()
        if self._with_shifts:
            of_latents = (
                tf.TensorSpec([None, *shape], tf.float32) for shape in self._model.latent_shapes
            )
            shifts = tuple((s, s) for s in of_latents)
        return (ImageScores.specs(len(spec.latents)),) * len(self.ks), shifts

    @tf.function(autograph=False)
    def _normalised_weights(self):
        return self._strategy.run(weight_norm.normalised_weights, args=([self._model], self._chunk))

    @tf.function(autograph=False)
    def _scores(self, images_and_first, weights, chunk: int):
        return self._strategy.run(self._replica_scores, args=(*images_and_first, weights, chunk))

    def _replica_scores(self, images, first_image, weights, chunk):
        def rows(first, count):
            return image_scores(
                self._model,
                self.ks,
                images[first : first + count],
                seed=self._seed,
                first_image=first_image + tf.cast(first, tf.int64),
                num_samples=self._samples,
                max_rows=self._chunk,
                below=self._below,
                with_shifts=self._with_shifts,
            )

        with weight_norm.fixed_weights([self._model], weights):
            return chunks.concat_rows(rows, images.shape[0], self._structure, chunk)


def image_scores(
    model: Network,
    ks: Sequence[int | tf.Tensor],
    images: tf.Tensor,
    *,
    seed: tf.Tensor,
    first_image: tf.Tensor,
    num_samples: int | tf.Tensor,
    max_rows: int,
    below: str = "sample",
    with_shifts: bool = False,
) -> tuple[tuple[ImageScores, ...], Shifts]:
    """The scores of images, by a loop over the importance samples; inside a graph.

    Args:
      ks: ints. After a first one of 0 also scalar tensors, which cost nothing where they are 0.
      images: [images, *spec.image_shape].
      seed: int64 [2].
      first_image: the place of the first image among all, a scalar int64 tensor.
      num_samples: an int, or a scalar int64 tensor.
      max_rows: the pairs of image and sample in a chunk of samples, but at least one sample.
      below, with_shifts: as of `Scorer`.
    """
    rows = tf.shape(images)[0] if images.shape[0] is None else images.shape[0]
    if isinstance(rows, int) and isinstance(num_samples, int):
        at_once = min(max(max_rows // rows, 1), num_samples)
    else:
        num_samples = tf.cast(num_samples, tf.int64)
        at_once = tf.clip_by_value(tf.cast(max_rows // rows, tf.int64), 1, num_samples)
    base = SeededNoise(seed)
    image_features = model.image_features(images, base)
    plans_of_ks = [BELOW[below](model.spec, k) for k in ks]

    def body(first, samples, state):
        all_sums, shifts = state
        if tf.is_tensor(samples):
            samples = tf.cast(samples, tf.int32)
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
        all_sums = tuple(s.add(t, samples) for s, t in zip(all_sums, all_terms, strict=True))
        if with_shifts:
            of_rows = [latent.q.mean() - latent.p.mean() for latent in output.latents]
            sums = [[_sum_over_samples(v, samples, rows) for v in (s, s**2)] for s in of_rows]
            shifts = tuple(
                (total + s, squares + s2)
                for (total, squares), (s, s2) in zip(shifts, sums, strict=True)
            )
        return all_sums, shifts

    zero = ImportanceSums.zero(rows, len(model.spec.latents))
    shifts = ()
    if with_shifts:
        shifts = tuple((tf.zeros((rows, *shape)),) * 2 for shape in model.latent_shapes)
    all_sums, shifts = chunks.loop(body, num_samples, at_once, ((zero,) * len(ks), shifts))
    all_scores = tuple(sums.scores() for sums in all_sums)
    return all_scores, tuple(_moments(*sums, num_samples) for sums in shifts)


def _moments(total: tf.Tensor, squares: tf.Tensor, count) -> tuple[tf.Tensor, tf.Tensor]:
    """The mean, and the variance of the mean."""
    count = tf.cast(count, tf.float32)
    mean = total / count
    variance = tf.maximum(squares / count - mean**2, 0.0)
    return mean, variance / tf.maximum(count - 1.0, 1.0) * tf.cast(count > 1, tf.float32)


def _sum_over_samples(values: tf.Tensor, samples, rows) -> tf.Tensor:
    """[samples * rows, ...] to [rows, ...]."""
    return tf.reduce_sum(tf.reshape(values, (samples, rows, *values.shape[1:])), axis=0)


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
