"""What labels are to a training: nothing, or those of semi-supervised learning.

A model without classes learns from images alone. One with classes learns from labels, too: this is
where their trainings differ.
"""

import dataclasses

import numpy as np
import tensorflow as tf

from biva_tf.data.images import NO_LABEL, Batch
from biva_tf.data.pipeline import Examples
from biva_tf.inference import bounds, classification, objectives
from biva_tf.inference.objectives import LabelTerms, Terms
from biva_tf.model import assignments, plans
from biva_tf.model.assignments import Assignment
from biva_tf.model.network import Network
from biva_tf.model.noise import Noise
from biva_tf.model.spec import ModelSpec

Scalars = dict[str, tf.Tensor]


class Unsupervised:
    """The training of a model without classes.

    Attributes:
      together: the rows of a batch that stay together on a replica.
      label_metrics: the names of the metrics of the labels.
    """

    together: int = 1
    label_metrics: tuple[str, ...] = ()

    def passes(
        self, model: Network, batch: Batch, noise: Noise, kl: str = "sampled"
    ) -> tuple[Terms, LabelTerms | None]:
        """The terms of the bound, and those of the labels if the model has classes.

        `kl` is as in `objectives.terms`.
        """
        output = model(batch.images, noise=noise, training=True)
        return objectives.terms(output, batch.images, kl), None

    def first_classes(self, rows: int) -> Assignment | None:
        """The classes of the images on which the weights are initialised."""
        return None

    def rows_below_y(self) -> set[int]:
        """How many rows go on where y enters, of a batch of two rows."""
        return {2}

    def accuracy(self, model: Network, images: Examples, seed: int) -> dict[str, float]:
        """The accuracy of q(y|x), by its name; nothing without classes."""
        return {}


@dataclasses.dataclass(frozen=True)
class SemiSupervised(Unsupervised):
    """The training of a model with classes.

    Attributes:
      number: the number of classes.
      alternating: whether rows 0, 2, 4, ... of a batch are labelled and the others are not;
        otherwise any row may be labelled.
    """

    number: int
    alternating: bool

    together = 2  # a labelled row and one that is not
    label_metrics = ("classifier_nats", "accuracy")

    def passes(
        self, model: Network, batch: Batch, noise: Noise, kl: str = "sampled"
    ) -> tuple[Terms, LabelTerms | None]:
        """The terms of the bound, and those of the labels."""
        images, labels = batch
        image_features = model.image_features(images, noise, training=True)
        features = model.bottom_up(image_features, noise, training=True)
        arguments = (model, features, plans.posterior(model.spec), noise, images)
        if self.alternating:
            terms = bounds.alternating_terms(*arguments, labels, training=True, kl=kl)
            labels = tf.where(tf.range(images.shape[0]) % 2 == 0, labels, NO_LABEL)
        else:
            terms = bounds.bound(*arguments, labels=labels, training=True, kl=kl).terms
        return terms, objectives.label_terms(features.class_logits, labels)

    def first_classes(self, rows: int) -> Assignment | None:
        """All classes in turn."""
        return assignments.given(tf.range(rows) % self.number, self.number)

    def rows_below_y(self) -> set[int]:
        """One labelled row, and one that goes on with every class."""
        return {2, self.number, 1 + self.number}

    def accuracy(self, model: Network, images: Examples, seed: int) -> dict[str, float]:
        """The share of images whose most probable class is their label."""
        probabilities = classification.classify(model, images[:], num_samples=1, seed=seed)
        return {"accuracy": float(np.mean(probabilities.argmax(axis=1) == images.labels))}


def of(spec: ModelSpec, *, alternating: bool = False) -> Unsupervised:
    """The training of a model; `alternating` as in `SemiSupervised`."""
    if spec.classes is None:
        return Unsupervised()
    return SemiSupervised(spec.classes.number, alternating)
