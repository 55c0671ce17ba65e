"""The data that Keras's `fit`, `evaluate` and `predict` take, and an image's place in them."""

import contextlib
import itertools
import re
from collections.abc import Iterable, Iterator
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from biva_tf.inference.scoring import check_images
from biva_tf.model.pixels import as_floats
from biva_tf.model.spec import ModelSpec
from biva_tf.runs.config import INIT_IMAGES

_KINDS = "an array, a tf.data.Dataset, a keras.utils.PyDataset or a generator"


def prepared(x: Any, spec: ModelSpec) -> Any:
    """The `x` of `fit`, `evaluate` or `predict` as Keras takes it.

    Arrays are checked here. The batches of other data are checked by `observed`, in the step.

    Raises:
      ValueError: an array has a wrong shape, or values outside the likelihood's range.
    """
    if isinstance(x, list) or hasattr(x, "__array__"):
        return check_images(x, spec)
    if isinstance(x, Iterator):
        return _tuples(x)
    return x


def prepared_validation(data: Any, spec: ModelSpec) -> Any:
    """The `validation_data` of `fit`, likewise: what `x` can be, or (x, y) of arrays."""
    if isinstance(data, tuple):
        x, *others = data
        return (prepared(x, spec), *others)
    return prepared(data, spec)


def first_images(x: Any, spec: ModelSpec) -> tuple[np.ndarray, Any]:
    """The first `INIT_IMAGES` images of what `prepared` gave; and all of it, still to be read.

    Fewer images are repeated, as in `Batches.initial_images`.

    Raises:
      ValueError: no such data, or images of a wrong shape or range.
    """
    read: list[Any] = []
    match x:
        case np.ndarray():
            return _repeated(x), x
        case tf.data.Dataset():
            batches = iter(x)
        case keras.utils.PyDataset():
            numbers = itertools.count() if x.num_batches is None else range(x.num_batches)
            batches = (x[number] for number in numbers)
        case Iterator():
            batches = x
            x = _tuples(itertools.chain(read, x))
        case _:
            raise ValueError(f"x: expected {_KINDS}, got {type(x).__name__}")
    images: list[np.ndarray] = []
    for batch in batches:
        read.append(batch)
        images.append(check_images(keras.utils.unpack_x_y_sample_weight(batch)[0], spec))
        if sum(map(len, images)) >= INIT_IMAGES:
            break
    if not images:
        raise ValueError("x: expected images, got none")
    return _repeated(np.concatenate(images)), x


def observed(images: tf.Tensor, spec: ModelSpec) -> tf.Tensor:
    """The images of a batch as float32; in a step's graph, which fails if they are out of range."""
    if images.shape.rank is None:  # as that of a generator's batches
        missing = tf.equal(tf.rank(images), 3) & (spec.image_shape[-1] == 1)
        images = tf.cond(missing, lambda: images[..., tf.newaxis], lambda: images)
        images = tf.ensure_shape(images, (None, *spec.image_shape))
    elif images.shape.rank == 3 and spec.image_shape[-1] == 1:
        images = images[..., tf.newaxis]
    floats = as_floats(images, spec.likelihood)
    if images.dtype == tf.uint8:
        return floats
    least, greatest = spec.likelihood.values
    fits = tf.math.is_finite(floats) & (floats >= least) & (floats <= greatest)
    low, high = tf.reduce_min(floats), tf.reduce_max(floats)
    expected = f"images: expected {spec.likelihood.expected_values}"
    message = tf.strings.format(f"{expected}, got {{}} to {{}}", (low, high))
    with tf.control_dependencies([tf.debugging.Assert(tf.reduce_all(fits), [message])]):
        return tf.identity(floats)


@contextlib.contextmanager
def range_errors() -> Iterator[None]:
    """Makes the error of a graph that `observed` made a ValueError of one line."""
    try:
        yield
    except tf.errors.InvalidArgumentError as e:
        refused = re.search(r"assertion failed: \[(images: expected .*)\]", e.message)
        if refused is None:
            raise
        raise ValueError(refused[1]) from e


class ImageCount:
    """The number of images that a pass over the data has read, on the replicas of a strategy.

    With it, an image has its noise by its place in the whole input, whatever the batches are.
    """

    def __init__(self, strategy: tf.distribute.Strategy):
        with strategy.scope():
            self._count = tf.Variable(
                tf.constant(0, tf.int64),
                trainable=False,
                synchronization=tf.VariableSynchronization.ON_READ,  # each replica has its own
                aggregation=tf.VariableAggregation.ONLY_FIRST_REPLICA,
            )

    def reset(self) -> None:
        """A pass begins."""
        self._count.assign(0)

    def first_of(self, images: tf.Tensor) -> tf.Tensor:
        """The place of a replica's first image in the input, int64; counts the whole batch."""
        context = tf.distribute.get_replica_context()
        before = tf.identity(self._count)
        rows = tf.shape(images, tf.int64)[:1]
        if context.num_replicas_in_sync > 1:  # a last, smaller batch is not equally divided
            rows = context.all_gather(rows, 0)
        self._count.assign_add(tf.reduce_sum(rows))
        return before + tf.reduce_sum(rows[: context.replica_id_in_sync_group])


def _repeated(images: np.ndarray) -> np.ndarray:
    """The first `INIT_IMAGES` images of a cycle through these."""
    return np.resize(images, (INIT_IMAGES, *images.shape[1:]))


def _tuples(batches: Iterable) -> Iterator[tuple]:
    """A generator of Keras's kind, whose batches are tuples."""
    for batch in batches:
        yield tuple(batch) if isinstance(batch, tuple | list) else (batch,)
