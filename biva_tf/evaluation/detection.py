"""How well a score tells one data set from another."""

import dataclasses

import numpy as np

from biva_tf import extras


@dataclasses.dataclass(frozen=True)
class Detection:
    """How well a score finds out-of-distribution examples, which are the positives.

    Attributes:
      auroc: area under the ROC curve: the chance that an outlier scores higher than an inlier.
      auprc: area under the precision-recall curve, as average precision.
      fpr80: the least false positive rate at which 80% of the outliers are found.
    """

    auroc: float
    auprc: float
    fpr80: float


def detect(inliers: np.ndarray, outliers: np.ndarray) -> Detection:
    """How well a score separates, given that of each inlier and outlier: higher is more anomalous.

    A score that is not finite ranks above all others.

    Raises:
      ValueError: there are no inliers or no outliers.
      MissingPackageError: scikit-learn is not installed.
    """
    extras.require("anomaly detection", "sklearn")
    from sklearn import metrics

    truth = np.concatenate([np.zeros(len(inliers)), np.ones(len(outliers))])
    scores = np.concatenate([inliers, outliers])
    if not (len(inliers) and len(outliers)):
        raise ValueError("expected scores of at least one inlier and one outlier")
    # All three numbers depend on the ranks alone; scikit-learn takes no infinite scores.
    _, scores = np.unique(np.where(np.isfinite(scores), scores, np.inf), return_inverse=True)
    false_positives, true_positives, _ = metrics.roc_curve(truth, scores, drop_intermediate=False)
    return Detection(
        auroc=float(metrics.roc_auc_score(truth, scores)),
        auprc=float(metrics.average_precision_score(truth, scores)),
        fpr80=float(false_positives[true_positives >= 0.8].min()),
    )
