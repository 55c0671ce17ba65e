"""Samples of a model, in chunks that fit in memory."""

import typing

import tensorflow as tf

from biva_tf import chunks, layers, plans, strategy
from biva_tf.noise import SeededNoise

if typing.TYPE_CHECKING:
    from biva_tf.model import BIVA


def sample(
    model: "BIVA", num_samples: int, *, seed: int = 0, temperature: float = 1.0
) -> tf.Tensor:
    """See `BIVA.sample`."""
    if num_samples < 1:
        raise ValueError(f"num_samples: expected an integer >= 1, got {num_samples}")
    if not temperature >= 0:
        raise ValueError(f"temperature: expected a number >= 0, got {temperature}")
    with strategy.default_graph_rewriting():  # an export gives the same images to the bit
        return _draw(
            model,
            tf.constant(num_samples, tf.int32),
            tf.constant(temperature, tf.float32),
            tf.constant([seed, 0], tf.int64),
            layers.operands(_parts(model), min(num_samples, chunks.ROWS)),
        )


def _parts(model):
    """What sampling needs of it."""
    return [*model.generative_stages, model.output_layer]


@tf.function(autograph=False)
def _draw(model: "BIVA", num_samples, temperature, seed, operands) -> tf.Tensor:
    with layers.prepared(_parts(model), operands):
        return draw(model, num_samples, temperature, seed)


def draw(
    model: "BIVA", num_samples: tf.Tensor, temperature: tf.Tensor, seed: tf.Tensor
) -> tf.Tensor:
    """`BIVA.sample` in a graph: scalars int32 and float32, and a seed of shape [2]."""

    def rows(first, stop):
        noise = SeededNoise(seed, first)
        plan = plans.prior(model.spec, temperature)
        output = model.top_down(None, plan, noise, rows=stop - first)
        return model.likelihood.image(output.px, noise)

    spec = tf.TensorSpec((None, *model.spec.image_shape), tf.float32)
    return chunks.concat_rows(rows, num_samples, spec)
