"""Runs that were killed, stopped by a signal, or whose newest checkpoint is damaged."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from conftest import ROOT, command, run, run_state, train_args

import biva_tf
from biva_tf.runs.checkpoints import CheckpointError, TrainingCheckpoint
from biva_tf.training.optimizer import Adamax


def _differences(expected_dir, actual_dir):
    expected, actual = run_state(expected_dir), run_state(actual_dir)
    assert expected.keys() == actual.keys()
    return [key for key in expected if expected[key] != actual[key]]


def _wait_for_step(process, model_dir, step):
    path = model_dir / "metrics.jsonl"
    while process.poll() is None:
        if path.exists() and f'"step": {step},' in path.read_text():
            return
        time.sleep(0.02)


@pytest.mark.slow
def test_a_killed_and_restarted_run_ends_like_an_uninterrupted_one(finished, digits_json, tmp_path):
    uninterrupted, _ = finished
    killed = tmp_path / "killed"
    delays = random.Random(0)
    for step in (5, 15, 20, 35):  # before the first checkpoint, between two, while evaluating
        with command(*train_args(killed, digits_json)) as process:
            _wait_for_step(process, killed, step)
            time.sleep(delays.uniform(0, 0.3))
            process.send_signal(signal.SIGKILL)
    result = run(*train_args(killed, digits_json))
    assert result.returncode == 0, result.stderr[-3000:]
    assert "going on from step" in result.stderr
    assert not _differences(uninterrupted, killed)


def _run_stopped(number, place, *args):
    """A run that sends itself a signal at a place: a step, or its next evaluation."""
    driver = Path(__file__).with_name("stopped_run.py")
    return subprocess.run(
        [sys.executable, driver, str(int(number)), place, *map(str, args[2:])],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=300,
    )


@pytest.mark.slow
def test_a_run_stopped_by_signals_ends_like_an_uninterrupted_one(finished, digits_json, tmp_path):
    stopped = tmp_path / "stopped"
    args = train_args(stopped, digits_json)
    for number, place, step in (
        (signal.SIGTERM, "7", 7),  # between two lines of metrics
        (signal.SIGINT, "evaluation", 20),
        (signal.SIGTERM, "20", 20),  # after that evaluation
        (signal.SIGTERM, "40", 40),  # before the test split
    ):
        result = _run_stopped(number, place, *args)
        assert result.returncode == 128 + number, result.stderr[-3000:]
        message = result.stderr.strip().splitlines()[-1]
        assert message.startswith(f"train: {number.name}: stopped after step {step}. The same")
        assert message.endswith(f"({stopped}/checkpoints/ckpt-{step})")
        assert not (stopped / "summary.json").exists()
    result = run(*args)
    assert result.returncode == 0, result.stderr[-3000:]
    assert not _differences(finished[0], stopped)
    assert not (stopped / "unfinished.json").exists()


@pytest.mark.slow
def test_a_run_that_ends_where_it_was_stopped_is_evaluated(digits_json, tmp_path):
    """Stopped at step 13, before its first evaluation, and asked for 13 steps then."""
    model_dir = tmp_path / "stopped"
    args = train_args(model_dir, digits_json)
    assert _run_stopped(signal.SIGTERM, "13", *args).returncode == 128 + signal.SIGTERM
    for _ in range(2):  # the second one has nothing more to do, and says the same
        result = run(*args, "--steps=13")
        assert result.returncode == 0, result.stderr[-3000:]
        assert '"step": 13' in result.stdout.splitlines()[-1]
        lines = (model_dir / "metrics.jsonl").read_text().splitlines()
        assert [(m["step"], m["split"]) for m in map(json.loads, lines)] == [
            *((5, "train"), (10, "train"), (13, "train"), (13, "validation")),
        ]
    assert (model_dir / "weights" / "ckpt-13.index").exists()
    assert (model_dir / "samples" / "final.png").exists()


def _damage(path):
    data = next(path.parent.glob(f"{path.name}.data-*"))
    data.write_bytes(data.read_bytes()[: data.stat().st_size // 2])


def test_a_damaged_newest_checkpoint_makes_a_run_take_the_one_before(
    finished, trained, digits_json
):
    shutil.copytree(finished[0], trained, dirs_exist_ok=True)
    _damage(trained / "checkpoints" / "ckpt-40")
    result = run(*train_args(trained, digits_json))
    assert result.returncode == 0, result.stderr[-3000:]
    assert "ckpt-40: the checkpoint cannot be read" in result.stderr
    assert "the one before it is taken\ngoing on from step 30" in result.stderr
    assert not _differences(finished[0], trained)


@pytest.fixture
def checkpoint(tmp_path):
    """(model, a function that makes the TrainingCheckpoint in a folder, which keeps three)."""
    model, optimizer = biva_tf.build("tiny_dense"), Adamax()
    optimizer.build(model.trainable_variables)
    return model, lambda: TrainingCheckpoint(tmp_path, model, optimizer, keep=3)


def _save(model, checkpoint, step):
    for v in model.trainable_variables:
        v.assign(tf.fill(v.shape, float(step)))
    checkpoint.save(step)


def test_the_newest_checkpoint_that_can_be_read_is_restored(checkpoint, tmp_path):
    model, make = checkpoint
    made = make()
    for step in (1, 2, 3, 4):
        _save(model, made, step)
    assert {p.stem for p in tmp_path.glob("*.index")} == {"ckpt-2", "ckpt-3", "ckpt-4"}
    (tmp_path / "checkpoint").write_bytes(b"\x00\x01 damaged")  # the file that names the newest
    _damage(tmp_path / "ckpt-3")
    _damage(tmp_path / "ckpt-4")
    made = make()
    restored = made.restore()
    assert restored.path == made.latest == str(tmp_path / "ckpt-2")
    assert ["ckpt-4" in str(restored.unreadable[0]), "ckpt-3" in str(restored.unreadable[1])]
    for v in model.trainable_variables:
        np.testing.assert_array_equal(v, np.full(v.shape, 2.0))
    _save(model, made, 5)
    _save(model, made, 6)
    _damage(tmp_path / "ckpt-6")  # the damaged ones are not among the three that are kept
    assert make().restore().path == str(tmp_path / "ckpt-5")
    _damage(tmp_path / "ckpt-5")
    assert make().restore().path == str(tmp_path / "ckpt-2")
    _damage(tmp_path / "ckpt-2")
    with pytest.raises(CheckpointError, match="ckpt-2: the checkpoint cannot be read"):
        make().restore()


def test_without_a_checkpoint_nothing_is_restored(checkpoint):
    assert checkpoint[1]().restore() is None
