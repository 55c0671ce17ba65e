"""Samples of a model, in chunks that fit in memory."""

import tensorflow as tf

from biva_tf.inference import chunks
from biva_tf.model import assignments, plans
from biva_tf.model.network import Network
from biva_tf.model.noise import SeededNoise
from biva_tf.nn import graphs
from biva_tf.ranges import TEMPERATURES, Numbers, require


def sample(
    model: Network,
    num_samples: int,
    *,
    seed: int = 0,
    temperature: float = 1.0,
    label: int | None = None,
) -> tf.Tensor:
    """See `BIVA.sample`."""
    check_arguments(num_samples, temperature)
    if label is not None:
        check_label(model, label)
    with graphs.rewriting(True):  # so that an export gives the same images, bit for bit
        return graphs.call(
            _draw,
            model,
            tf.constant(num_samples, tf.int32),
            tf.constant(temperature, tf.float32),
            tf.constant([seed, 0], tf.int64),
            None if label is None else tf.constant(label, tf.int32),
            model.fixed_generative_weights.read(min(num_samples, chunks.ROWS)),
        )


def check_arguments(num_samples: int, temperature: float) -> None:
    """Raises ValueError unless num_samples is an integer >= 1 and temperature in [0, 100]."""
    require("num_samples", num_samples, Numbers(int, lower=1))
    require("temperature", temperature, TEMPERATURES)


def check_label(model: Network, label: int) -> None:
    """Raises ValueError if the model has no such class."""
    if not model.spec.num_classes:
        raise ValueError(f"label: the model has no classes, got {label}")
    require("label", label, Numbers(int, lower=0, upper=model.spec.num_classes - 1))


@tf.function(autograph=False)
def _draw(model: Network, num_samples, temperature, seed, label, weights) -> tf.Tensor:
    with model.fixed_generative_weights.used(weights):
        return draw(model, num_samples, temperature, seed, label)


def draw(
    model: Network,
    num_samples: tf.Tensor,
    temperature: tf.Tensor,
    seed: tf.Tensor,
    label: tf.Tensor | None = None,
) -> tf.Tensor:
    """`BIVA.sample` inside a graph.

    Args:
      num_samples: a scalar int32 tensor.
      temperature: a scalar float32 tensor.
      seed: [2].
      label: a scalar int32 tensor, for a model with classes; negative, or None, to draw from p(y).
    """

    def rows(first, count):
        noise = SeededNoise(seed, first)
        plan = plans.prior(model.spec, temperature)
        classes = None
        if label is not None:
            labels = tf.fill([count], label)
            classes = assignments.given_or_drawn(labels, model.spec.num_classes, noise)
        output = model.top_down(None, plan, noise, rows=count, classes=classes)
        return model.likelihood.image(output.px, noise)

    spec = tf.TensorSpec((None, *model.spec.image_shape), tf.float32)
    return chunks.concat_rows(rows, num_samples, spec)
