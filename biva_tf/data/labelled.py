"""Which training images are labelled, in semi-supervised learning."""

import numpy as np

from biva_tf.data.sources import DataError
from biva_tf.errors import Setting


def choose(labels: np.ndarray, classes: int, number: int | None, seed: int) -> np.ndarray:
    """The places of the labelled images, in order: as many of each class, drawn at random.

    Args:
      labels: the labels of all training images, integers in 0 ... classes - 1.
      classes: their number.
      number: how many images; None for all.
      seed: the seed of the draw.

    Raises:
      DataError: labels that are not classes of the model, a number that is not a multiple of the
        classes, or more images than a class has.
    """
    if not np.isin(labels, np.arange(classes)).all():
        present = ", ".join(map(str, np.unique(labels)[:12]))
        raise DataError(f"labels: expected classes 0 to {classes - 1}, got {present}")
    if number is None:
        return np.arange(len(labels))
    per_class, rest = divmod(number, classes)
    if rest:
        expected = f"a multiple of the {classes} classes"
        raise DataError(Setting("labels"), f": expected {expected}, got {number}")
    rng = np.random.default_rng(seed)
    chosen = []
    for y in range(classes):
        places = np.flatnonzero(labels == y)
        if len(places) < per_class:
            raise DataError(
                Setting("labels"),
                f": expected at most {len(places)} images of class {y}, got {per_class}",
            )
        chosen.append(rng.choice(places, per_class, replace=False))
    return np.sort(np.concatenate(chosen))
