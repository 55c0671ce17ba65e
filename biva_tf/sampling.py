"""Samples of a model, in chunks that fit in memory."""

import typing

import tensorflow as tf

from biva_tf import plans
from biva_tf.noise import SeededNoise

if typing.TYPE_CHECKING:
    from biva_tf.model import BIVA


def sample(
    model: "BIVA", num_samples: int, *, seed: int = 0, temperature: float = 1.0, max_rows: int = 256
) -> tf.Tensor:
    """See `BIVA.sample`."""
    if num_samples < 1:
        raise ValueError(f"num_samples: expected an integer >= 1, got {num_samples}")
    if not temperature >= 0:
        raise ValueError(f"temperature: expected a number >= 0, got {temperature}")
    # A power of two where max_rows allows it: few sizes, since each is traced once.
    size = min(max_rows, 1 << (num_samples - 1).bit_length())
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
