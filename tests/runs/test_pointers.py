"""The file `checkpoint` that names the checkpoints of a folder is damaged, or the weights are."""

import shutil

import numpy as np
import pytest
import tensorflow as tf

import biva_tf
from biva_tf import sample
from biva_tf.runs.checkpoints import SelectedWeights, TrainingCheckpoint, UnreadableError
from biva_tf.training.optimizer import Adamax
from tests.conftest import run, run_state, train_args

DAMAGE = {
    "empty": b"",
    "cut": b'model_checkpoint_path: "ckpt-3"\nall_model_checkpoint_paths: "ckp',
    "cut after a line": b'model_checkpoint_path: "ckpt-3"\n',
    "zeros": b"\0" * 200,
    "bytes": b"\xff\xfe\x00",
    "of another folder": b'model_checkpoint_path: "ckpt-9"\nall_model_checkpoint_paths: "ckpt-9"\n',
    "missing": None,
    "a folder": None,
}


def _damage(pointer, kind):
    pointer.unlink()
    if kind == "a folder":
        pointer.mkdir()
    elif kind != "missing":
        pointer.write_bytes(DAMAGE[kind])


def _fill(model, value):
    for v in model.trainable_variables:
        v.assign(tf.fill(v.shape, float(value)))


def _value(model):
    return {float(np.unique(v)[0]) for v in model.trainable_variables}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """(model, optimizer, folder with `checkpoints` and `weights` of the steps 1 to 3)."""
    folder = tmp_path_factory.mktemp("run")
    model, optimizer = biva_tf.build("tiny_dense"), Adamax()
    optimizer.build(model.trainable_variables)
    training = TrainingCheckpoint(folder / "checkpoints", model, optimizer, keep=3)
    selected = SelectedWeights(folder / "weights", model)
    for step in (1, 2, 3):
        _fill(model, step)
        training.save(step)
        selected.save(step)
    return model, optimizer, folder


@pytest.mark.parametrize("kind", DAMAGE)
def test_the_newest_checkpoint_there_is_read_and_later_ones_follow_it(kind, made, tmp_path):
    model, optimizer, folder = made
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    for name in ("checkpoints", "weights"):
        _damage(tmp_path / name / "checkpoint", kind)
    training = TrainingCheckpoint(tmp_path / "checkpoints", model, optimizer, keep=3)
    selected = SelectedWeights(tmp_path / "weights", model)
    _fill(model, 0)
    assert training.restore().path.endswith("ckpt-3") and _value(model) == {3.0}
    _fill(model, 0)
    assert selected.restore() == 3 and _value(model) == {3.0}
    _fill(model, 4)
    training.save(4)
    selected.save(4)
    for name in ("checkpoints", "weights"):  # those of before are among the three that are kept
        paths = sorted(path.stem for path in (tmp_path / name).glob("*.index"))
        assert paths == ["ckpt-2", "ckpt-3", "ckpt-4"], (tmp_path / name / "checkpoint").read_text()
        assert tf.train.latest_checkpoint(tmp_path / name).endswith("ckpt-4")


def _break(folder, step):
    (data,) = folder.glob(f"ckpt-{step}.data-*")
    data.write_bytes(data.read_bytes()[:100])


def test_damaged_selected_weights_say_which_others_are_there(made, tmp_path):
    model, _, folder = made
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    _break(tmp_path / "weights", 3)
    selected = SelectedWeights(tmp_path / "weights", model)
    with pytest.raises(UnreadableError) as caught:
        selected.restore()
    message = caught.value.with_flags()
    assert message.startswith(f"{tmp_path}/weights/ckpt-3: the checkpoint cannot be read")
    assert message.endswith("; to read others, give --step=1, 2") and "\n" not in message
    assert selected.restore(2) == 2 and _value(model) == {2.0}


@pytest.mark.slow
def test_a_run_whose_selected_weights_are_damaged_is_evaluated_and_goes_on(
    finished, trained, digits_json
):
    state = run_state(trained)
    steps = {int(p.stem[5:]) for p in (trained / "weights").glob("*.index")}
    best = max(steps)
    _break(trained / "weights", best)
    evaluate = ("-m", "biva_tf.evaluate", f"--model_dir={trained}", "--iw_samples=1")
    failed = run(*evaluate, "--num_examples=4")
    assert failed.returncode == 1
    assert f"ckpt-{best}: the checkpoint cannot be read" in failed.stderr.splitlines()[-1]
    assert f"--step={min(steps)}" in failed.stderr and "Traceback" not in failed.stderr
    other = run(*evaluate, "--num_examples=4", f"--step={min(steps)}")
    assert other.returncode == 0, other.stderr[-3000:]
    assert f"weights of step {min(steps)} " in other.stdout
    model = sample.SampleSettings(model_dir=trained, step=min(steps)).load()
    assert model.training.weights_step == min(steps)
    result = run(*train_args(trained, digits_json))
    assert result.returncode == 0, result.stderr[-3000:]
    assert f"the weights selected at step {best} cannot be read" in result.stderr
    assert run_state(trained) == state
