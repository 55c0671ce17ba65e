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


def of_shape(value: tf.Tensor, name: str, shape: tuple[int, ...]) -> tf.Tensor:
    """The value; an error of the graph if it has another shape.

    A server feeds tensors of any rank, whatever the signature says.

    Args:
      value: an input.
      name: the input's name.
      shape: the expected shape.
    """
    found = shape_text(tf.shape(value))
    expected = "x".join(map(str, shape))
    message = f"{name}: expected {f'the shape {list(shape)}' if shape else 'one value'}, got {{}}"
    value = checked(value, tf.equal(found, expected), message, tf.shape(value))
    return tf.reshape(value, shape)


def shape_text(shape: tf.Tensor) -> tf.Tensor:
    """The sizes with an x between them, "" of a scalar.

    TensorFlow cannot compute it before the graph runs, so that it does not simplify away a check of
    the rank.
    """
    return tf.strings.reduce_join(tf.strings.as_string(shape), separator="x")
