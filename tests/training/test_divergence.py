"""What counts as divergence, and what a run reports of the steps that it skipped."""

import json

import numpy as np
import pytest

from biva_tf.model import architectures
from biva_tf.runs.config import RunConfig
from biva_tf.runs.metrics import read_metrics
from biva_tf.runs.run_dir import RunDir
from biva_tf.training.divergence import Watch
from biva_tf.training.reporting import Reporter


def _step(loss=1.0, norm=2.0, **more):
    return {"loss": loss, "elbo": -loss, "gradient_norm": norm, "bits_per_dim": 0.1, **more}


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_step_that_is_not_finite_is_found(value):
    watch = Watch(RunConfig())
    assert watch.good_steps([_step(), _step()]) == 2
    assert watch.good_steps([_step(), _step(loss=value)]) == 1
    assert watch.good_steps([_step(norm=value), _step()]) == 0
    error = watch.error(7, _step(norm=value), "runs/a/ckpt-5")
    said = str(error)
    assert said.startswith(f"step 7: the loss is 1.0, the norm of its gradient {value}.")
    assert ", or skip_gradient_norm (the norm was 2 before, as a median)" in said
    assert ", or --skip_gradient_norm (the norm was 2 before" in error.with_flags()


def test_too_many_skipped_steps_in_a_row_end_a_run():
    watch = Watch(RunConfig(skip_gradient_norm=5.0, max_skipped=3))
    good, skipped = _step(skipped=0.0), _step(np.nan, np.nan, skipped=1.0)
    assert watch.good_steps([skipped, skipped, good, skipped]) == 4
    assert watch.good_steps([skipped, good, skipped]) == 3
    assert watch.good_steps([skipped, skipped, good]) == 1  # the third one in a row
    assert ", and max_skipped=3 steps in a row were skipped" in str(watch.error(9, skipped, None))


def test_skipped_steps_are_counted_and_not_in_the_means(tmp_path, capsys):
    run_dir = RunDir(tmp_path)
    run_dir.write_config(architectures.get("tiny_dense"), RunConfig())
    reporter = Reporter(run_dir, 0, 4, 8)
    skipped = _step(np.nan, np.nan, skipped=1.0)
    reporter.train(2, [skipped, skipped])
    reporter.train(4, [_step(3.0, skipped=0.0), skipped])
    reporter.close()
    first, second = map(json.loads, run_dir.metrics.read_text().splitlines())
    assert first == {"step": 2, "split": "train", "skipped": 2}
    assert second == {"step": 4, "split": "train", "skipped": 1, **_step(3.0)}
    assert "2 steps skipped" in capsys.readouterr().err
    assert read_metrics(run_dir) == {"train": [second]}


def test_steps_of_an_earlier_process_are_reported_without_a_speed(tmp_path, capsys):
    """As when the first step after a resumption diverges: no step of this process is reported."""
    run_dir = RunDir(tmp_path)
    run_dir.write_config(architectures.get("tiny_dense"), RunConfig())
    reporter = Reporter(run_dir, 2, 40, 8)
    reporter.train(2, [_step(), _step()])
    reporter.train(4, [_step(), _step()])
    reporter.close()
    first, second = capsys.readouterr().err.splitlines()
    assert first == "step 2/40  loss 1.00  ELBO -1.00 nats 0.1000 bits/dim"
    assert second.startswith(f"{first.replace('2/40', '4/40')}  ") and "steps/s" in second
