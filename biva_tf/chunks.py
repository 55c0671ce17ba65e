"""Rows computed a few at a time inside a graph, so that memory does not grow with their number."""

from collections.abc import Callable
from typing import Any

import tensorflow as tf

# Chunks computed side by side: on a CPU the cores are kept busier by two than by one of twice the
# rows, since the operations of one fill the gaps that the other leaves.
AT_ONCE = 2
ROWS = 32  # of a chunk


def concat_rows(rows: Callable[[tf.Tensor, tf.Tensor], Any], number: tf.Tensor, specs: Any) -> Any:
    """rows(0, ROWS), rows(ROWS, 2 ROWS), ... up to `number`, joined along the first axis.

    `AT_ONCE` of them are in memory.

    Args:
      rows: maps (first, stop), scalar int32 tensors, to a nest of tensors [stop - first, ...].
      number: of all rows, a scalar int32 tensor.
      specs: the nest with a `tf.TensorSpec` [None, ...] for each tensor.
    """
    chunks = -(-number // ROWS)
    arrays = tf.nest.map_structure(
        lambda s: tf.TensorArray(s.dtype, chunks, element_shape=s.shape, infer_shape=False), specs
    )

    def step(index, arrays):
        first = index * ROWS
        values = rows(first, tf.minimum(first + ROWS, number))
        written = tf.nest.map_structure(lambda a, value: a.write(index, value), arrays, values)
        return index + 1, written

    _, arrays = tf.while_loop(
        lambda index, _: index < chunks, step, (0, arrays), parallel_iterations=AT_ONCE
    )
    return tf.nest.map_structure(
        lambda array, s: tf.ensure_shape(array.concat(), s.shape), arrays, specs
    )
