"""The class y of an image in the top-down pass.

A spec with classes has p(x|z,y) with a uniform prior p(y), and a classifier q(y | x, z_{<L}^bu)
(paper, section 4.2; Kingma et al. 2014). What does not depend on y is computed once per row; where
y enters the top-down pass, the rows go on as an `Assignment` says: each with one class, or once
with every class.
"""

import dataclasses

import tensorflow as tf

from biva_tf.model.noise import Noise

_STREAM = "y/prior"


@dataclasses.dataclass(frozen=True)
class Assignment:
    """The rows that go on once y enters the top-down pass, and the class of each.

    Attributes:
      y: the class, [new rows, classes] float32: one-hot, or a mixture of classes.
      rows: the old row of each new one, [new rows]; None: all of them, once, in their order.
    """

    y: tf.Tensor
    rows: tf.Tensor | None = None

    def gather(self, tensor: tf.Tensor) -> tf.Tensor:
        """[old rows, ...] to [new rows, ...]."""
        return tensor if self.rows is None else tf.gather(tensor, self.rows)


def given(labels: tf.Tensor, number: int) -> Assignment:
    """Every row once, with its label in 0 ... number - 1."""
    return Assignment(tf.one_hot(labels, number))


def given_or_drawn(labels: tf.Tensor, number: int, noise: Noise) -> Assignment:
    """Every row once, with its label; a negative label stands for a draw from the prior."""
    drawn = from_prior(tf.shape(labels)[0], number, noise)
    known = (labels >= 0)[:, tf.newaxis]
    return Assignment(tf.where(known, given(labels, number).y, drawn.y))


def every_class(rows: tf.Tensor, number: int) -> Assignment:
    """Some rows, each with every class: first all of them with class 0, then with class 1, ..."""
    count = tf.size(rows) if rows.shape[0] is None else rows.shape[0]
    labels = tf.repeat(tf.range(number), count)
    return Assignment(tf.one_hot(labels, number), tf.tile(rows, [number]))


def most_probable(logits: tf.Tensor) -> Assignment:
    """Every row once, with the class of the largest logit; logits [rows, classes]."""
    return given(tf.argmax(logits, axis=-1), logits.shape[-1])


def from_prior(rows: int | tf.Tensor, number: int, noise: Noise) -> Assignment:
    """Every row once, with a class drawn from the uniform prior."""
    uniform = noise.uniform(_STREAM, (rows, 1))[:, 0]
    labels = tf.minimum(tf.cast(uniform * number, tf.int32), number - 1)
    return given(labels, number)


def join(first: Assignment, second: Assignment) -> Assignment:
    """The new rows of the one, then those of the other; both with `rows`."""
    parts = ((first.y, second.y), (first.rows, second.rows))
    return Assignment(*(tf.concat(pair, axis=0) for pair in parts))
