"""The ceiling of the log-variances of a trained model, measured on its training data.

Far from the training data a log-variance can be hundreds: a draw is then so far away that the next
log-variance is larger still, and the last one overflows. A ceiling that the training data does not
reach prevents that and leaves the scores of such data as they are.
"""

import math

import numpy as np
import tensorflow as tf

from biva_tf.inference import chunks
from biva_tf.model import plans
from biva_tf.model.latent_distributions import log_variances
from biva_tf.model.network import Network
from biva_tf.model.noise import SeededNoise
from biva_tf.nn import graphs

EXAMPLES = 512  # the largest log-variance of so few is within 0.3 of that of all images
LEAST = 6.0
MARGIN = 0.5


def measured(model: Network, images) -> float:
    """A ceiling for a model without one: a whole number that its data does not reach.

    It is the largest log-variance of any latent, in q or in p, of the images and of as many samples
    of the prior, plus `MARGIN`, rounded up, and at least `LEAST`.

    Args:
      model: the model, with its weights.
      images: training images; the first `EXAMPLES` are used.

    Raises:
      ValueError: there are none, or a log-variance of theirs is not finite.
    """
    number = min(len(images), EXAMPLES)
    if not number:
        raise ValueError("images: expected at least one, got none")
    size = min(number, chunks.ROWS)
    weights = model.fixed_weights.read(size)
    largest = -math.inf
    for start, stop in chunks.spans(number, size):
        # A last, smaller chunk is filled up, so that all chunks share one graph.
        rows = np.asarray(images[start:stop])[np.minimum(np.arange(size), stop - start - 1)]
        seed = tf.constant([0, start], tf.int64)
        found = graphs.call(_largest, model, tf.constant(rows), seed, weights).numpy()
        if not np.isfinite(found):
            raise ValueError(f"images {start} to {stop - 1}: a log-variance is {found}")
        largest = max(largest, float(found))
    return max(LEAST, float(math.ceil(largest + MARGIN)))


@tf.function(autograph=False)
def _largest(model: Network, images: tf.Tensor, seed: tf.Tensor, weights) -> tf.Tensor:
    noise = SeededNoise(seed)
    with model.fixed_weights.used(weights):
        features = model.bottom_up(model.image_features(images, noise), noise)
        inferred = model.top_down(features, plans.posterior(model.spec), noise).latents
        sampled = model.top_down(None, plans.prior(model.spec), noise, rows=images.shape[0]).latents
    every = [latent.p for latent in (*inferred, *sampled)] + [latent.q for latent in inferred]
    found = [log_variances(each) for each in every]
    return tf.reduce_max(tf.stack([tf.reduce_max(each) for each in found if each is not None]))
