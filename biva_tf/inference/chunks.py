"""Loops over chunks, so that memory does not grow with the number of images or samples.

`loop` runs inside a graph, `spans` on the host. Every loop over chunks in the project is one of the
two.
"""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import tensorflow as tf

# A graph computes this many chunks in parallel. On a CPU, two chunks keep the cores busier than one
# chunk of twice the size: the operations of one fill the gaps that the other leaves.
PARALLEL = 2
ROWS = 32  # per chunk, in sampling and in exports


def loop(
    body: Callable[[tf.Tensor, Any, Any], Any],
    number: int | tf.Tensor,
    size: int | tf.Tensor,
    state: Any,
) -> Any:
    """Runs body(first, count, state) -> state on chunks of `size` out of `number` items.

    `PARALLEL` chunks are in memory at a time.

    Args:
      body: gets the first item of the chunk, a scalar tensor; the number of items in the chunk, an
        int if all chunks are equally large and `number` and `size` are ints, else a scalar tensor;
        and the state so far.
      number: the number of items.
      size: the size of a chunk; it has the dtype of `number` if both are tensors.
      state: the state before the first chunk, a nest of tensors.

    Returns:
      The state after the last chunk.
    """
    static = isinstance(number, int) and isinstance(size, int) and number % size == 0
    if static and number == size:
        return body(tf.constant(0), size, state)
    dtype = number.dtype if tf.is_tensor(number) else tf.int32  # type: ignore[union-attr]
    number, step = tf.cast(number, dtype), tf.cast(size, dtype)

    def next_chunk(first, state):
        count = size if static else tf.minimum(step, number - first)
        return first + step, body(first, count, state)

    _, state = tf.while_loop(
        lambda first, _: first < number,
        next_chunk,
        (tf.constant(0, dtype), state),
        parallel_iterations=PARALLEL,
    )
    return state


def concat_rows(
    rows: Callable[[tf.Tensor, Any], Any],
    number: int | tf.Tensor,
    specs: Any,
    size: int = ROWS,
) -> Any:
    """Joins what `rows` gives for every chunk along the first axis; inside a graph.

    Args:
      rows: maps (first, count), as `body` of `loop`, to a nest of tensors [count, ...].
      number: the number of rows, an int or a scalar int32 tensor.
      specs: the nest with a `tf.TensorSpec` [None, ...] for each tensor.
      size: the size of a chunk.
    """
    if isinstance(number, int) and number <= size:
        return rows(tf.constant(0), number)
    count = -(-number // size)
    arrays = tf.nest.map_structure(
        lambda s: tf.TensorArray(s.dtype, count, element_shape=s.shape, infer_shape=False), specs
    )

    def body(first, count, arrays):
        values, index = rows(first, count), first // size
        return tf.nest.map_structure(lambda a, value: a.write(index, value), arrays, values)

    arrays = loop(body, number, size, arrays)
    return tf.nest.map_structure(
        lambda array, s: tf.ensure_shape(array.concat(), s.shape), arrays, specs
    )


def take(tensor: tf.Tensor, first: tf.Tensor, count: int | tf.Tensor) -> tf.Tensor:
    """The rows first ... first + count - 1; their number is static if `count` is an int."""
    static = count if isinstance(count, int) else None
    return tf.ensure_shape(tensor[first : first + count], (static, *tensor.shape[1:]))


def spans(number: int, size: int, first: int = 0) -> Iterator[tuple[int, int]]:
    """(start, stop) of the chunks of `size` from `first` up to `number`; on the host."""
    for start in range(first, number, size):
        yield start, min(start + size, number)


def concat_on_host(rows: Callable[[int, int], Any], number: int, size: int) -> Any:
    """Joins the nests of arrays rows(start, stop) of every span along the first axis."""
    parts = [rows(start, stop) for start, stop in spans(number, size)]
    return tf.nest.map_structure(lambda *arrays: np.concatenate(arrays), *parts)
