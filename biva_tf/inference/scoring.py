"""Scores of images: L_K, L^{>k} and their terms, in chunks that fit in memory.

`Scorer` runs the graph of `score_graph` on the devices of a strategy, for training, the commands
and the Python API.
"""

import dataclasses
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from biva_tf.choices import BELOW
from biva_tf.inference import chunks, objectives, score_graph
from biva_tf.inference.objectives import ImageScores
from biva_tf.model.network import Network
from biva_tf.model.pixels import as_floats
from biva_tf.model.spec import ModelSpec
from biva_tf.nn import graphs
from biva_tf.nn.fixed_weights import Weights
from biva_tf.ranges import Numbers, require


@dataclasses.dataclass(frozen=True)
class Score:
    """The scores of images. All arrays are float64, one row per image.

    Attributes:
      k: latents of levels <= k were taken from the prior.
      bound_nats: [images]: L_K, a lower bound on log p(x), or L_K^{>k}.
      elbo_nats: [images]: the mean over the samples of the one-sample bound: L_1, or L^{>k}.
      bits_per_dim: [images]: -bound_nats / (h w c log 2).
      reconstruction_nats: [images]: log p(x|z), the mean over the samples.
      kl_nats: [images, latents]: log q(z) - log p(z), the mean over the samples; with classes, the
        last one is KL(q(y|x)||p(y)).
      effective_sample_size: [images]: the effective size of the importance sample, from 1 to K.
      latent_names: the names of the latents, in the order of `kl_nats`; with classes, "y" last.
    """

    k: int
    bound_nats: np.ndarray
    elbo_nats: np.ndarray
    bits_per_dim: np.ndarray
    reconstruction_nats: np.ndarray
    kl_nats: np.ndarray
    effective_sample_size: np.ndarray
    latent_names: tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class ScoredBatch:
    """The scores of some of the images that a `Scorer` was given.

    Attributes:
      start, stop: they are the images start to stop - 1.
      by_k: for each k an `ImageScores` of NumPy arrays.
      shifts: the `Shifts` of the first k, as NumPy arrays; empty unless they were asked for. Of one
        sample, the variance is unknown and given as 0.
    """

    start: int
    stop: int
    by_k: tuple[ImageScores, ...]
    shifts: score_graph.Shifts


def scores(
    model: Network,
    images,
    ks: Sequence[int],
    *,
    num_importance_samples: int = 1,
    below: str = "sample",
    seed: int | tuple[int, int] = 0,
    max_rows: int = 256,
    first_image: int = 0,
) -> tuple[Score, ...]:
    """The scores for each k, all from the same bottom-up draws.

    The arguments, and the errors raised, are those of `Scorer` and `Scorer.score`.
    """
    scorer = Scorer(model, ks, num_importance_samples, below, max_rows)
    return scorer.score(images, seed=seed, first_image=first_image)


class Scorer:
    """Scores images in chunks, on all devices of the model's strategy.

    Args:
      model: the model.
      ks: each as `k` of `BIVA.score`.
      num_importance_samples, below: as in `BIVA.score`.
      max_rows: at most this many rows, that is (image, sample, k, class), are in memory on a
        device.
      with_shifts: whether to compute how far the posteriors are from the priors; ks then begins
        with 0.
      with_closed_kl: whether KL(q||p) in closed form is a part of that. L_K and the other scores
        have log q(z) - log p(z) at the draws all the same.

    Raises:
      ValueError: ks, num_importance_samples, below or max_rows out of range.
    """

    def __init__(
        self,
        model: Network,
        ks: Sequence[int] = (0,),
        num_importance_samples: int = 1,
        below: str = "sample",
        max_rows: int = 256,
        *,
        with_shifts: bool = False,
        with_closed_kl: bool = False,
    ):
        sizes = (("num_importance_samples", num_importance_samples), ("max_rows", max_rows))
        for name, value in sizes:
            require(name, value, Numbers(int, lower=1))
        if below not in BELOW:
            raise ValueError(f"below: expected one of {', '.join(BELOW)}, got {below!r}")
        self.ks = tuple(ks)
        for k in self.ks:
            score_graph.PLANS[below](model.spec, k)  # raises if there is no such k
        if with_shifts and self.ks[0] != 0:
            raise ValueError(f"ks: expected 0 before the others, got {self.ks}")
        self._model, self._strategy = model, model.distribute_strategy
        self._num_importance_samples = num_importance_samples
        self._below, self._with_shifts = below, with_shifts
        self._with_closed_kl = with_closed_kl
        # Each k, and each class, has rows of its own in the top-down pass.
        rows = len(self.ks) * max(1, model.spec.num_classes)
        self._max_chunk = max(1, max_rows // (chunks.PARALLEL * rows))
        # With several samples, the chunks of samples are computed in parallel instead.
        self._max_chunks = chunks.PARALLEL if num_importance_samples == 1 else 1

    def score(
        self, images, *, seed: int | tuple[int, int] = 0, first_image: int = 0
    ) -> tuple[Score, ...]:
        """The scores of images for each k.

        Args:
          images: [images, *spec.image_shape], of `spec.likelihood.values`.
          seed: an int s, which stands for (s, 0), or two ints.
          first_image: the index of the first of these images among all that are scored with the
            seed. An image has the same noise in whatever parts the images come.

        Raises:
          ValueError: images of a wrong shape or range.
        """
        spec = self._model.spec
        images = check_images(images, spec)
        by_k = self.image_scores(images, seed=seed, first_image=first_image)
        return tuple(
            Score(
                k=k,
                bound_nats=scores.bound,
                elbo_nats=scores.elbo,
                bits_per_dim=objectives.bits_per_dim(scores.bound, spec.image_shape),
                reconstruction_nats=scores.reconstruction,
                kl_nats=scores.kl,
                effective_sample_size=scores.effective_sample_size,
                latent_names=spec.kl_names,
            )
            for k, scores in zip(self.ks, by_k, strict=True)
        )

    def image_scores(
        self, images, *, seed: int | tuple[int, int] = 0, first_image: int = 0
    ) -> tuple[ImageScores, ...]:
        """`score` as `ImageScores` of NumPy arrays. Slices of `images` are what is scored."""
        batches = self.batches(images, seed=seed, first_image=first_image)
        by_k = [batch.by_k for batch in batches]
        return tf.nest.map_structure(lambda *arrays: np.concatenate(arrays), *by_k)

    def batches(
        self,
        images,
        *,
        seed: int | tuple[int, int] = 0,
        first_image: int = 0,
        start: int = 0,
        at_once: int | None = None,
    ) -> Iterator[ScoredBatch]:
        """The scores of images, batch by batch.

        The first batch reads the weights that the model has then; all use those. They are in memory
        until the last batch is done, or the iterator is closed.

        Args:
          images: float32 [images, *spec.image_shape], of `spec.likelihood.values`; or what gives
            such arrays as its slices.
          seed, first_image: as in `score`.
          start: the first image to score, where an earlier call of the same arguments stopped.
          at_once: how many images a batch should have; by default all. It has fewer if memory
            allows no more, and may have some more, for whole chunks.
        """
        size = self._images_per_batch(min(len(images), at_once or len(images)))
        weights = self._model.fixed_weights.read(self._max_chunk, self._strategy)
        for first, stop in chunks.spans(len(images), size, start):
            batch = images[first:stop]
            by_k, shifts = self._scored(batch, first_image + first, size, seed, weights)
            yield ScoredBatch(first, stop, by_k, shifts)

    def _images_per_batch(self, number: int) -> int:
        _, chunk, count = self._layout(number)
        return self._strategy.num_replicas_in_sync * chunk * count

    def _layout(self, number: int) -> tuple[int, int, int]:
        """(images per replica, images per chunk, chunks) of a batch for a number of images."""
        per_replica = -(-number // self._strategy.num_replicas_in_sync)
        count = min(self._max_chunks, -(-per_replica // self._max_chunk))
        chunk = min(self._max_chunk, -(-per_replica // count))
        return chunk * count, chunk, count

    def _scored(
        self,
        images: np.ndarray,
        first_image: int,
        size: int,
        seed: int | tuple[int, int],
        weights: Weights,
    ) -> tuple[tuple[ImageScores, ...], score_graph.Shifts]:
        """The `by_k` and the `shifts` of a `ScoredBatch`.

        Fewer images than `size` are filled up to it, so that batches of one size share one graph.
        """
        per_replica, chunk, _ = self._layout(size)
        seed = tf.constant((seed, 0) if isinstance(seed, int) else seed, tf.int64)
        replicas = self._strategy.num_replicas_in_sync
        filled = images[np.minimum(np.arange(per_replica * replicas), len(images) - 1)]

        def replica_arguments(context):
            first = context.replica_id_in_sync_group * per_replica
            part = tf.constant(filled[first : first + per_replica])
            return part, tf.constant(first_image + first, tf.int64)

        distribute = self._strategy.experimental_distribute_values_from_function
        arguments = (distribute(replica_arguments), seed, weights, chunk)
        results = graphs.call(self._scores, *arguments)
        joined = []
        for tensor in tf.nest.flatten(results):
            parts = self._strategy.experimental_local_results(tensor)
            parts = parts[:1] if self._many_hosts else parts  # each then has them all
            joined.append(np.concatenate([part.numpy() for part in parts])[: len(images)])
        return tf.nest.pack_sequence_as(self._specs, joined)

    @property
    def _specs(self):
        """The specs of what `_scored` returns."""
        spec = self._model.spec
        shifts: tuple[Any, ...] = ()
        if self._with_shifts:
            kl = (tf.TensorSpec([None], tf.float32),) * 2 if self._with_closed_kl else ()
            shifts = tuple(
                score_graph.LatentUse((tf.TensorSpec([None, *shape], tf.float32),) * 2, kl)
                for shape in self._model.latent_shapes
            )
        return (ImageScores.specs(len(spec.kl_names)),) * len(self.ks), shifts

    @tf.function(autograph=False)
    def _scores(self, images_and_first, seed, weights, chunk: int):
        arguments = (*images_and_first, seed, weights, chunk)
        return self._strategy.run(self._replica_scores, args=arguments)

    def _replica_scores(self, images, first_image, seed, weights, chunk):
        def rows(first, count):
            return score_graph.image_scores(
                self._model,
                self.ks,
                chunks.take(images, first, count),
                seed=seed,
                first_image=first_image + tf.cast(first, tf.int64),
                num_importance_samples=self._num_importance_samples,
                max_rows=self._max_chunk,
                below=self._below,
                with_shifts=self._with_shifts,
                with_closed_kl=self._with_closed_kl,
            )

        with self._model.fixed_weights.used(weights):
            results = chunks.concat_rows(rows, images.shape[0], self._specs, chunk)
        if self._many_hosts:
            context = tf.distribute.get_replica_context()
            results = tf.nest.map_structure(lambda t: context.all_gather(t, axis=0), results)
        return results

    @property
    def _many_hosts(self) -> bool:
        return isinstance(self._strategy, tf.distribute.MultiWorkerMirroredStrategy)


def check_images(images, spec: ModelSpec) -> np.ndarray:
    """Images as a float32 array; uint8 images as `pixels.as_floats` has them.

    If the model has one channel, images may be given without the axis of channels.

    Raises:
      ValueError: the shape is not [images, *spec.image_shape], or a value is impossible: outside
        [0, 1]; not finite, if x is real; for text, ids that are not a sentence.
    """
    image_shape = spec.image_shape
    images = as_floats(np.asarray(images), spec.likelihood)
    if images.ndim == 3 and image_shape[-1] == 1:
        images = images[..., np.newaxis]
    if images.shape[1:] != tuple(image_shape) or not len(images):
        expected = ", ".join(map(str, image_shape))
        raise ValueError(f"images: expected shape [n >= 1, {expected}], got {images.shape}")
    spec.likelihood.check_values(images)
    return images
