"""Checks inside a graph, whose errors say what was expected and what came."""

import tensorflow as tf


def checked(value: tf.Tensor, condition: tf.Tensor, message: str, *shown: tf.Tensor) -> tf.Tensor:
    """The value; an error of the graph where the condition does not hold.

    Args:
      value: what is checked.
      condition: a scalar boolean.
      message: with a {} for each tensor of `shown`.
      shown: what came.
    """
    text = tf.strings.format(message, shown) if shown else message
    with tf.control_dependencies([tf.debugging.Assert(condition, [text])]):
        return tf.identity(value)


def of_two(value: tf.Tensor, name: str) -> tf.Tensor:
    """The value, a vector [2]; an error of the graph if it has another shape.

    A server feeds tensors of any rank, whatever the signature says.

    Args:
      value: an input.
      name: the input's name.
    """
    shape = tf.shape(value)
    fits = tf.equal(shape_text(shape), "2")
    value = checked(value, fits, f"{name}: expected the shape [2], got {{}}", shape)
    # Of a tf.reshape to [2], TensorFlow concludes that the input had two elements: it simplifies
    # the check away and reads the memory beside a shorter input.
    return tf.stack([value[0], value[1]])


def shape_text(shape: tf.Tensor) -> tf.Tensor:
    """The sizes with an x between them, "" of a scalar.

    TensorFlow cannot compute it before the graph runs, so that it does not simplify away a check of
    the rank.
    """
    return tf.strings.reduce_join(tf.strings.as_string(shape), separator="x")
