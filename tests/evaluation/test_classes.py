import numpy as np
import pytest

from biva_tf.evaluation.classes import assess


def test_the_numbers_counted_by_hand():
    q_y = np.array([[0.9, 0.1], [0.8, 0.2], [0.3, 0.7], [0.6, 0.4]])
    found = assess(q_y, np.array([0, 1, 1, 0]))
    assert found.examples == 4
    assert found.error == 0.25
    assert found.nll_nats == pytest.approx(-np.log([0.9, 0.2, 0.7, 0.6]).mean())
    # Each largest probability has a bin of its own: .9 is right, .8 wrong, .7 right, .6 right.
    assert found.ece == pytest.approx((0.1 + 0.8 + 0.3 + 0.4) / 4)
    assert found.confusion.tolist() == [[2, 0], [1, 1]]


def test_calibrated_predictions_have_a_small_calibration_error():
    rng = np.random.default_rng(0)
    q_y = rng.dirichlet(np.ones(3), 50_000)
    labels = (rng.random(50_000)[:, None] > q_y.cumsum(axis=1)).sum(axis=1)
    assert assess(q_y, labels).ece < 0.02
    # The same labels, by predictions that are too sure.
    sure = q_y**3 / (q_y**3).sum(axis=1, keepdims=True)
    assert assess(sure, labels).ece > 0.1
