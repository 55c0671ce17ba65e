"""The bound of a batch from its bottom-up features: the top-down pass, and the terms it gives.

Where a spec has classes, the sum over the classes of an unlabelled image is exact (Kingma et al.
2014, eq. 7): with L(x,y) the bound on log p(x,y) of eq. 6,

    U(x) = sum over y of q(y|x) (L(x,y) - log q(y|x)).

The bottom-up latents and the top latent are drawn once, the same for all classes.
"""

import dataclasses
import math

import tensorflow as tf

from biva_tf.inference import objectives
from biva_tf.inference.objectives import Terms
from biva_tf.model import assignments, plans
from biva_tf.model.assignments import Assignment
from biva_tf.model.bottom_up import Features
from biva_tf.model.network import Network, Output
from biva_tf.model.noise import Noise


@dataclasses.dataclass(frozen=True)
class Bound:
    """The bound of a batch.

    Attributes:
      terms: the bound's terms, per row.
      output: the top-down pass's output. With classes, it has a row for every class of every row.
      q_y: q(y|x), or one-hot where y is known, [classes, rows]; None without classes.
    """

    terms: Terms
    output: Output
    q_y: tf.Tensor | None

    def expected(self, values: tf.Tensor) -> tf.Tensor:
        """The mean under q(y|x) of what the output has: [output rows, ...] to [rows, ...]."""
        return values if self.q_y is None else _mean_over_classes(values, self.q_y)


def bound(
    model: Network,
    features: Features,
    plan: plans.Plan,
    noise: Noise,
    images: tf.Tensor,
    *,
    labels: tf.Tensor | None = None,
    training: bool = False,
    kl: str = "sampled",
) -> Bound:
    """The bound of images on log p(x), or on log p(x,y) where y is known.

    Args:
      model: the model.
      features: the images' features.
      plan: the plan of the top-down pass.
      noise: the noise of the draws and the dropout.
      images: [rows, *spec.image_shape] in [0, 1].
      labels: for a spec with classes, int64 [rows], negative where y is unknown; None: nowhere
        known.
      training: whether dropout is active.
      kl: as in `objectives.terms`.
    """
    classes = model.spec.classes
    if classes is None:
        output = model.top_down(features, plan, noise, training=training)
        return Bound(objectives.terms(output, images, kl), output, None)
    rows = tf.shape(images)[0] if images.shape[0] is None else images.shape[0]
    every = assignments.every_class(tf.range(rows), classes.number)
    output = model.top_down(features, plan, noise, classes=every, training=training)
    log_q = tf.transpose(tf.nn.log_softmax(features.class_logits))
    of_classes = objectives.terms(output, every.gather(images), kl)
    terms, q_y = _sum_over_classes(of_classes, log_q, labels)
    return Bound(terms, output, q_y)


def alternating_terms(
    model: Network,
    features: Features,
    plan: plans.Plan,
    noise: Noise,
    images: tf.Tensor,
    labels: tf.Tensor,
    *,
    training: bool = False,
    kl: str = "sampled",
) -> Terms:
    """The terms of `bound` of a batch whose rows 0, 2, 4, ... are labelled and the others are not.

    A labelled row costs one pass of the layers that read y, an unlabelled one a pass for each
    class.

    The arguments are those of `bound`; the number of rows is known when the graph is made.
    """
    number, rows = model.spec.classes.number, images.shape[0]
    known, unknown = tf.range(0, rows, 2), tf.range(1, rows, 2)
    split = known.shape[0]
    of_labels = Assignment(tf.one_hot(labels[::2], number), known)
    assignment = assignments.join(of_labels, assignments.every_class(unknown, number))
    output = model.top_down(features, plan, noise, classes=assignment, training=training)
    t = objectives.terms(output, assignment.gather(images), kl)
    kl_y = tf.fill([split, 1], math.log(number))  # of a known class: -log p(y)
    labelled = Terms(t.reconstruction[:split], tf.concat([t.kl[:split], kl_y], axis=1))
    log_q = tf.transpose(tf.nn.log_softmax(features.class_logits[1::2]))
    others, _ = _sum_over_classes(Terms(t.reconstruction[split:], t.kl[split:]), log_q, None)
    return Terms(*(_alternate(*pair) for pair in zip(labelled[:2], others[:2], strict=True)))


def _alternate(even: tf.Tensor, odd: tf.Tensor) -> tf.Tensor:
    """Rows 0, 2, 4, ... from the one, rows 1, 3, 5, ... from the other."""
    return tf.reshape(tf.stack([even, odd], axis=1), (-1, *even.shape[1:]))


def _sum_over_classes(
    t: Terms, log_q: tf.Tensor, labels: tf.Tensor | None
) -> tuple[Terms, tf.Tensor]:
    """The terms of U(x), or where y is known of L(x,y), and q(y|x), one-hot where y is known.

    Args:
      t: a value for every class of every row, [classes * rows].
      log_q: log q(y|x), [classes, rows].
      labels: as in `bound`.
    """
    number = log_q.shape[0]
    q_y, kl_y = tf.exp(log_q), math.log(number) + tf.reduce_sum(tf.exp(log_q) * log_q, axis=0)
    # log p(y) + log p(x,z|y) - log q(z|x,y)
    log_joint = tf.reshape(t.bound, tf.shape(log_q)) - math.log(number)
    log_weight = tf.reduce_logsumexp(log_joint, axis=0)
    if labels is not None:
        known, one_hot = labels >= 0, tf.one_hot(labels, number, axis=0)
        q_y = tf.where(known, one_hot, q_y)
        kl_y = tf.where(known, math.log(number), kl_y)
        log_weight = tf.where(known, tf.reduce_sum(one_hot * log_joint, axis=0), log_weight)
    kl = tf.concat([_mean_over_classes(t.kl, q_y), kl_y[:, tf.newaxis]], axis=1)
    return Terms(_mean_over_classes(t.reconstruction, q_y), kl, log_weight), q_y


def _mean_over_classes(values: tf.Tensor, q_y: tf.Tensor) -> tf.Tensor:
    """[classes * rows, ...] to [rows, ...]."""
    by_class = tf.reshape(values, (*tf.unstack(tf.shape(q_y)), *values.shape[1:]))
    weights = tf.reshape(q_y, (*tf.unstack(tf.shape(q_y)), *[1] * (values.shape.rank - 1)))
    return tf.reduce_sum(weights * by_class, axis=0)
