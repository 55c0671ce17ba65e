import numpy as np
import pytest

from biva_tf.evaluation.detection import detect


def test_against_a_case_counted_by_hand():
    """Of the 16 pairs the outlier is higher in 14 and equal in 1: AUROC = 14.5 / 16.

    From the top: outliers 9, 8, 7, then the inlier 6, the outlier 4, which ties with an inlier,
    and the inliers 2 and 1. Precision is 1 at recalls 1/4, 2/4, 3/4, and 4/6 at recall 1.
    80% of four outliers are all of them, found at two false positives of four.
    """
    found = detect(np.array([1.0, 2.0, 4.0, 6.0]), np.array([9.0, 8.0, 7.0, 4.0]))
    assert found.auroc == pytest.approx(14.5 / 16)
    assert found.auprc == pytest.approx((1 + 1 + 1 + 4 / 6) / 4)
    assert found.fpr80 == pytest.approx(2 / 4)


def test_separable_and_reversed():
    low, high = np.arange(5.0), np.arange(5.0) + 10
    assert detect(low, high).auroc == 1 and detect(low, high).fpr80 == 0
    assert detect(high, low).auroc == 0 and detect(high, low).fpr80 == 1


def test_fpr80_is_at_the_first_threshold_that_finds_80_percent():
    found = detect(np.arange(10.0), np.array([20.0, 20, 20, 5.5, -1]))
    assert found.fpr80 == pytest.approx(4 / 10)  # at 5.5: inliers 6, 7, 8, 9


@pytest.mark.parametrize("outliers", [[], [np.nan]])
def test_scores_that_are_none(outliers):
    with pytest.raises(ValueError, match="expected finite scores of at least one"):
        detect(np.array([1.0]), np.array(outliers))
