import numpy as np
import pytest

from biva_tf.evaluation.detection import detect


def test_the_scores_agree_with_a_case_counted_by_hand():
    """AUROC: the outlier has the higher score in 14 of the 16 pairs, and an equal one in 1 pair.

    AUPRC: in descending order, the scores are those of the outliers 9, 8 and 7, the inlier 6, the
    outlier 4, which ties with an inlier, and the inliers 2 and 1. Precision is 1 at the recalls
    1/4, 2/4 and 3/4, and 4/6 at recall 1.

    FPR80: 80% of four outliers are all four. They are found with two of four false positives.
    """
    found = detect(np.array([1.0, 2.0, 4.0, 6.0]), np.array([9.0, 8.0, 7.0, 4.0]))
    assert found.auroc == pytest.approx(14.5 / 16)
    assert found.auprc == pytest.approx((1 + 1 + 1 + 4 / 6) / 4)
    assert found.fpr80 == pytest.approx(2 / 4)


def test_separable_scores_are_perfect_and_reversed_ones_the_worst():
    low, high = np.arange(5.0), np.arange(5.0) + 10
    assert detect(low, high).auroc == 1 and detect(low, high).fpr80 == 0
    assert detect(high, low).auroc == 0 and detect(high, low).fpr80 == 1


def test_fpr80_is_at_the_first_threshold_that_finds_80_percent():
    found = detect(np.arange(10.0), np.array([20.0, 20, 20, 5.5, -1]))
    assert found.fpr80 == pytest.approx(4 / 10)  # at threshold 5.5: inliers 6, 7, 8, 9


def test_a_missing_data_set_is_refused():
    with pytest.raises(ValueError, match="expected scores of at least one"):
        detect(np.array([1.0]), np.array([]))


@pytest.mark.parametrize("odd", [np.nan, np.inf, -np.inf])
def test_a_score_that_is_not_finite_ranks_above_all_others(odd):
    inliers = np.array([1.0, 3.0, 9.0])
    assert detect(inliers, np.array([2.0, odd])) == detect(inliers, np.array([2.0, 10.0]))
    assert detect(np.array([1.0, odd]), inliers) == detect(np.array([1.0, 10.0]), inliers)
