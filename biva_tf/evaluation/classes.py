"""How good predicted class probabilities are."""

import dataclasses

import numpy as np

_BINS = 15  # of the calibration error (Guo et al. 2017)


@dataclasses.dataclass(frozen=True)
class Classification:
    """How well q(y|x) predicts the labels of a split.

    Attributes:
      examples: their number.
      error: the part whose most probable class is not the label.
      nll_nats: -log q(y|x) of the label, the mean.
      ece: the expected calibration error: the mean, over 15 equal bins of the largest probability
        and weighted by their examples, of |accuracy - largest probability|.
      confusion: [classes, classes], examples by label (rows) and prediction (columns).
    """

    examples: int
    error: float
    nll_nats: float
    ece: float
    confusion: np.ndarray


def assess(probabilities: np.ndarray, labels: np.ndarray) -> Classification:
    """Compares q(y|x) [examples, classes] with the labels [examples], 0 ... classes - 1."""
    probabilities = np.asarray(probabilities, np.float64)
    number, classes = probabilities.shape
    predicted, confidence = probabilities.argmax(axis=1), probabilities.max(axis=1)
    correct = predicted == labels
    of_label = probabilities[np.arange(number), labels]
    bins = np.minimum((confidence * _BINS).astype(int), _BINS - 1)
    gaps = np.bincount(bins, correct - confidence, minlength=_BINS)
    pairs = np.bincount(classes * np.asarray(labels, np.int64) + predicted, minlength=classes**2)
    return Classification(
        examples=number,
        error=float(1.0 - correct.mean()),
        nll_nats=float(-np.log(np.maximum(of_label, np.finfo(np.float32).tiny)).mean()),
        ece=float(np.abs(gaps).sum() / number),
        confusion=pairs.reshape(classes, classes),
    )
