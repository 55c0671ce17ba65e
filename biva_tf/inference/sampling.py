"""Samples of a model, in chunks that fit in memory."""

import tensorflow as tf

from biva_tf.inference import chunks
from biva_tf.model import plans
from biva_tf.model.network import Network
from biva_tf.model.noise import SeededNoise
from biva_tf.nn import graphs, weight_norm


def sample(
    model: Network, num_samples: int, *, seed: int = 0, temperature: float = 1.0
) -> tf.Tensor:
    """See `BIVA.sample`."""
    if num_samples < 1:
        raise ValueError(f"num_samples: expected an integer >= 1, got {num_samples}")
    if not temperature >= 0:
        raise ValueError(f"temperature: expected a number >= 0, got {temperature}")
    with graphs.default_rewriting():  # so that an export gives the same images, bit for bit
        return _draw(
            model,
            tf.constant(num_samples, tf.int32),
            tf.constant(temperature, tf.float32),
            tf.constant([seed, 0], tf.int64),
            weight_norm.normalised_weights(model.generative_parts, min(num_samples, chunks.ROWS)),
        )


@tf.function(autograph=False)
def _draw(model: Network, num_samples, temperature, seed, weights) -> tf.Tensor:
    with weight_norm.fixed_weights(model.generative_parts, weights):
        return draw(model, num_samples, temperature, seed)


def draw(
    model: Network, num_samples: tf.Tensor, temperature: tf.Tensor, seed: tf.Tensor
) -> tf.Tensor:
    """`BIVA.sample` inside a graph.

    Args:
      num_samples: a scalar int32 tensor.
      temperature: a scalar float32 tensor.
      seed: [2].
    """

    def rows(first, count):
        noise = SeededNoise(seed, first)
        plan = plans.prior(model.spec, temperature)
        output = model.top_down(None, plan, noise, rows=count)
        return model.likelihood.image(output.px, noise)

    spec = tf.TensorSpec((None, *model.spec.image_shape), tf.float32)
    return chunks.concat_rows(rows, num_samples, spec)
