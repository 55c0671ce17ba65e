import numpy as np
import pytest

from biva_tf.evaluation.resumable import compute_all

VALUES = np.arange(10.0)


class Compute:
    """Gives values and their sum by threes, and records the parts. That at `fails_at` fails."""

    def __init__(self, fails_at=None):
        self.fails_at, self.calls = fails_at, []

    def __call__(self, start):
        for first in range(start, len(VALUES), 3):
            if first == self.fails_at:
                raise KeyboardInterrupt
            part = VALUES[first : first + 3]
            self.calls.append((first, first + len(part)))
            yield first + len(part), {"value": part}, {"sum": part.sum(keepdims=True)}


def _compute_all(compute, path):
    return compute_all(compute, len(VALUES), path, describe=lambda results: f"{results.done}")


def test_every_example_is_computed_once(tmp_path):
    compute = Compute()
    results = _compute_all(compute, tmp_path / "new" / "a.npz")
    assert compute.calls == [(0, 3), (3, 6), (6, 9), (9, 10)]
    np.testing.assert_array_equal(results.examples["value"], VALUES)
    assert results.totals["sum"] == VALUES.sum() and results.done == 10


def test_an_interrupted_computation_continues_after_its_finished_chunks(tmp_path):
    path = tmp_path / "a.npz"
    with pytest.raises(KeyboardInterrupt):
        _compute_all(Compute(fails_at=6), path)
    compute = Compute()
    results = _compute_all(compute, path)
    assert compute.calls == [(6, 9), (9, 10)]
    np.testing.assert_array_equal(results.examples["value"], VALUES)
    assert results.totals["sum"] == VALUES.sum()
    again = Compute()
    assert _compute_all(again, path).done == 10 and not again.calls


def test_the_examples_of_a_damaged_file_are_computed_again(tmp_path, capsys):
    path = tmp_path / "a.npz"
    path.write_bytes(b"PK not a zip")
    np.testing.assert_array_equal(_compute_all(Compute(), path).examples["value"], VALUES)
    assert "cannot be read; its examples are computed again" in capsys.readouterr().err
