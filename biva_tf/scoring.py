"""Scores and samples of a model, in chunks that fit in memory."""

import dataclasses
import typing

import numpy as np
import tensorflow as tf

from biva_tf import objectives, plans
from biva_tf.noise import SeededNoise

if typing.TYPE_CHECKING:
    from biva_tf.model import BIVA


@dataclasses.dataclass(frozen=True)
class Score:
    """The scores of images. All arrays are float32, one row per image.

    Attributes:
      bound_nats: [images]: L_K, or L_K^{>k}: a lower bound on log p(x) if k = 0.
      bits_per_dim: [images]: -bound / (h w c log 2).
      reconstruction_nats: [images]: log p(x|z), the mean over the samples.
      kl_nats: [images, latents]: log q(z) - log p(z), the mean over the samples.
      latent_names: the names of the latents, in the order of `kl_nats`.
    """

    bound_nats: np.ndarray
    bits_per_dim: np.ndarray
    reconstruction_nats: np.ndarray
    kl_nats: np.ndarray
    latent_names: tuple[str, ...]


def score(
    model: "BIVA",
    images,
    *,
    num_importance_samples: int = 1,
    k: int = 0,
    seed: int = 0,
    max_rows: int = 256,
) -> Score:
    """See `BIVA.score`. Row n*K + s is sample s of image n; a chunk is any run of rows."""
    for name, value in (("num_importance_samples", num_importance_samples), ("max_rows", max_rows)):
        if value < 1:
            raise ValueError(f"{name}: expected an integer >= 1, got {value}")
    plans.prior_up_to(model.spec, k)  # raises if there is no such k
    images = check_images(images, model.spec.image_shape)
    total = len(images) * num_importance_samples
    size = _chunk_size(total, max_rows)
    reconstruction = np.empty([total], np.float32)
    kl = np.empty([total, len(model.spec.latents)], np.float32)
    for first in range(0, total, size):
        # The last chunk is filled up with its last row, so that one traced function serves all.
        rows = np.minimum(np.arange(first, first + size), total - 1)
        chunk = tf.constant(images[rows // num_importance_samples])
        chunk_terms = _chunk_terms(
            model, k, chunk, tf.constant(seed, tf.int64), tf.constant(first, tf.int64)
        )
        kept = min(size, total - first)
        reconstruction[first : first + kept] = chunk_terms[0][:kept]
        kl[first : first + kept] = chunk_terms[1][:kept]
    by_image = (len(images), num_importance_samples)
    log_weights = (reconstruction - kl.sum(axis=-1)).reshape(by_image)
    bound = objectives.importance_weighted_bound(tf.constant(log_weights)).numpy()
    return Score(
        bound_nats=bound,
        bits_per_dim=objectives.bits_per_dim(bound, model.spec.image_shape),
        reconstruction_nats=reconstruction.reshape(by_image).mean(axis=1),
        kl_nats=kl.reshape(*by_image, -1).mean(axis=1),
        latent_names=tuple(latent.name for latent in model.spec.latents),
    )


def _chunk_size(rows: int, max_rows: int) -> int:
    """A power of two where max_rows allows it: few sizes, since each is traced once."""
    return min(max_rows, 1 << (rows - 1).bit_length())


@tf.function(autograph=False)
def _chunk_terms(model, k: int, images, seed, first_row) -> tuple[tf.Tensor, tf.Tensor]:
    noise = SeededNoise(tf.stack([seed, 0]), first_row)
    output = model(images, plan=plans.prior_up_to(model.spec, k), noise=noise)
    t = objectives.terms(output, images)
    return t.reconstruction, t.kl


def sample(
    model: "BIVA", num_samples: int, *, seed: int = 0, temperature: float = 1.0, max_rows: int = 256
) -> tf.Tensor:
    """See `BIVA.sample`."""
    if num_samples < 1:
        raise ValueError(f"num_samples: expected an integer >= 1, got {num_samples}")
    if not temperature >= 0:
        raise ValueError(f"temperature: expected a number >= 0, got {temperature}")
    size = _chunk_size(num_samples, max_rows)
    chunks = [
        _sample_chunk(
            model,
            size,
            tf.constant(seed, tf.int64),
            tf.constant(first, tf.int64),
            tf.constant(temperature, tf.float32),
        )
        for first in range(0, num_samples, size)
    ]
    return tf.concat(chunks, axis=0)[:num_samples]


@tf.function(autograph=False)
def _sample_chunk(model, rows: int, seed, first_row, temperature) -> tf.Tensor:
    noise = SeededNoise(tf.stack([seed, 0]), first_row)
    output = model.top_down(None, plans.prior(model.spec, temperature), noise, rows=rows)
    return model.likelihood.image(output.px, noise)


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
