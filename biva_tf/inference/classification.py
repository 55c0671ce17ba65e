"""Classification: q(y|x), the mean of q(y | x, z_{<L}^bu) over the bottom-up latents."""

from collections.abc import Callable

import numpy as np
import tensorflow as tf

from biva_tf.inference import chunks
from biva_tf.inference.score_graph import samples_at_once, sum_over_samples
from biva_tf.inference.scoring import check_images
from biva_tf.model.network import Network
from biva_tf.model.noise import SampleNoise, SeededNoise
from biva_tf.nn import graphs
from biva_tf.ranges import Numbers, require


def classify(
    model: Network,
    images,
    *,
    num_samples: int = 10,
    seed: int = 0,
    max_rows: int = 256,
    show: Callable[[int], None] | None = None,
) -> np.ndarray:
    """See `BIVA.classify`.

    Args:
      model, images, num_samples, seed, max_rows: as there.
      show: gets the number of images that are done, after each chunk of them.
    """
    model.spec.require_classes()
    for name, value in (("num_samples", num_samples), ("max_rows", max_rows)):
        require(name, value, Numbers(int, lower=1))
    images = check_images(images, model.spec)
    size = min(len(images), max_rows)
    weights = model.fixed_bottom_up_weights.read(size)

    def rows(start: int, stop: int) -> np.ndarray:
        # A last, smaller chunk is filled up, so that all chunks share one graph.
        chunk = images[np.minimum(np.arange(start, start + size), len(images) - 1)]
        first = tf.constant(start, tf.int64)
        seeds = tf.constant((seed, 0), tf.int64)
        arguments = (model, tf.constant(chunk), first, seeds, num_samples, size, weights)
        done = graphs.call(_probabilities, *arguments).numpy()[: stop - start]
        if show is not None:
            show(stop)
        return done

    return chunks.concat_on_host(rows, len(images), size)


@tf.function(autograph=False)
def _probabilities(model: Network, images, first_image, seed, num_samples, max_rows, weights):
    with model.fixed_bottom_up_weights.used(weights):
        return probabilities(
            model,
            images,
            seed=seed,
            first_image=first_image,
            num_samples=num_samples,
            max_rows=max_rows,
        )


def probabilities(
    model: Network,
    images: tf.Tensor,
    *,
    seed: tf.Tensor,
    first_image: tf.Tensor,
    num_samples: int | tf.Tensor,
    max_rows: int,
) -> tf.Tensor:
    """q(y|x), [images, classes], inside a graph; p(y) for an image of which it overflows.

    The arguments are those of `score_graph.image_scores`, and so are the samples of the latents.
    """
    number = tf.shape(images)[0] if images.shape[0] is None else images.shape[0]
    num_samples, at_once = samples_at_once(num_samples, number, max_rows)
    base = SeededNoise(seed)
    image_features = model.image_features(images, base)

    def body(first, samples, total):
        samples = tf.cast(samples, tf.int32) if tf.is_tensor(samples) else samples
        noise = SampleNoise(base, first, samples, first_image)
        features = model.bottom_up(image_features.tiled(samples), noise)
        of_samples = tf.nn.softmax(features.class_logits)
        known = tf.reduce_all(tf.math.is_finite(of_samples), axis=1, keepdims=True)
        of_samples = tf.where(known, of_samples, 1.0 / model.spec.num_classes)
        return total + sum_over_samples(of_samples, samples, number)

    zeros = tf.zeros((number, model.spec.num_classes))
    return chunks.loop(body, num_samples, at_once, zeros) / tf.cast(num_samples, tf.float32)
