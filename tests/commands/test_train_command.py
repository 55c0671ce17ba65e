"""The training command, as a user runs it."""

import dataclasses
import json
import shutil

import numpy as np
import pytest
import tensorflow as tf
from conftest import last_json, run, run_state, train_args

import biva_tf
from biva_tf.data import pipeline
from biva_tf.runs.checkpoints import CheckpointError, SelectedWeights
from biva_tf.runs.config import RunConfig
from biva_tf.runs.run_dir import RunDir, RunDirError
from biva_tf.training import run as training_run


def _metrics(model_dir):
    return [json.loads(line) for line in (model_dir / "metrics.jsonl").read_text().splitlines()]


def test_the_last_line_printed_is_the_summary(finished):
    model_dir, result = finished
    summary = last_json(result.stdout)
    assert summary.keys() == {"step", "elbo_nats", "bits_per_dim"}
    assert summary["step"] == 40
    assert summary["bits_per_dim"] == pytest.approx(-summary["elbo_nats"] / 784 / np.log(2))
    written = json.loads((model_dir / "summary.json").read_text())
    assert {k: written[k] for k in summary} == summary
    assert "KL z2_td" in result.stdout and "bits/dim" in result.stdout


def test_progress_goes_to_stderr_in_plain_lines(finished):
    lines = [line for line in finished[1].stderr.splitlines() if line.startswith("step 10/40 ")]
    assert len(lines) == 1
    for part in ("loss", "ELBO", "nats", "bits/dim", "steps/s", "images/s", "left"):
        assert part in lines[0]


def test_a_run_writes_metrics_config_and_samples(finished):
    model_dir, _ = finished
    rows = _metrics(model_dir)
    train = [row for row in rows if row["split"] == "train"]
    assert [row["step"] for row in train] == list(range(5, 41, 5))
    names = {"z1_bu", "z1_td", "z2_bu", "z2_td", "z3"}
    for row in train:
        assert row["kl"].keys() == names
        assert row["elbo"] == pytest.approx(row["reconstruction"] - sum(row["kl"].values()))
        assert {"loss", "bits_per_dim", "learning_rate", "gradient_norm"} <= row.keys()
    assert [row["step"] for row in rows if row["split"] == "validation"] == [20, 40]
    config = json.loads((model_dir / "config.json").read_text())
    assert config["settings"]["batch_size"] == 8
    for name in ("step_0000020", "step_0000040", "final"):
        picture = tf.io.decode_png((model_dir / "samples" / f"{name}.png").read_bytes())
        assert picture.shape == (8 * 58 + 2, 8 * 58 + 2, 1)
        assert len(np.unique(picture)) > 10
    assert not list(model_dir.rglob("*.tmp"))


def test_tensorboard_has_the_metrics_by_name(finished):
    tags = set()
    for path in (finished[0] / "tensorboard").iterdir():
        for event in tf.compat.v1.train.summary_iterator(str(path)):
            tags |= {value.tag for value in event.summary.value}
    assert {"train/loss", "train/elbo", "train/reconstruction", "train/learning_rate"} <= tags
    assert {"train_kl/z1_bu", "train_kl/z3", "validation/elbo", "samples"} <= tags


def test_load_gives_the_selected_averaged_weights(finished):
    """Their ELBO on the test split is what the run reported, up to the noise of its samples."""
    model_dir, result = finished
    model = biva_tf.load(model_dir)
    data = pipeline.load(RunConfig(binarize="dynamic", validation_size=40).data, seed=3)
    score = model.score(data.test[:400], seed=11, max_rows=400)
    error = 5 * score.bound_nats.std() / 20
    assert abs(score.bound_nats.mean() - last_json(result.stdout)["elbo_nats"]) < error
    reader = tf.train.load_checkpoint(tf.train.latest_checkpoint(str(model_dir / "checkpoints")))
    saved = {key: reader.get_tensor(key) for key in reader.get_variable_to_shape_map()}
    # Every variable is its average in the newest checkpoint, not its weight there.
    best = json.loads((model_dir / "summary.json").read_text())["selected_step"]
    assert best == 40
    different = 0
    vectors = [v.shape[0] for v in model.trainable_variables if len(v.shape) == 1]
    packed_averages = saved["optimizer/adamax.Svectors_average/.ATTRIBUTES/VARIABLE_VALUE"]
    vector_averages = iter(np.split(packed_averages, np.cumsum(vectors[:-1])))
    for variable in model.trainable_variables:
        path = variable.path.replace("/", ".S")
        slot = path.replace(".S", "_")
        if len(variable.shape) == 1:
            average = next(vector_averages)
        else:
            average = saved[f"optimizer/adamax.S{slot}_average/.ATTRIBUTES/VARIABLE_VALUE"]
        np.testing.assert_array_equal(variable, average)
        raw = saved[f"weights/{path}/.ATTRIBUTES/VARIABLE_VALUE"]
        different += not np.array_equal(raw, average)
    # The others have no gradient because of the free bits.
    assert different > len(model.trainable_variables) / 2


def test_a_finished_run_started_again_gives_the_same_result(finished, digits_json):
    model_dir, result = finished
    again = run(*train_args(model_dir, digits_json))
    assert again.stdout == result.stdout
    config = (model_dir / "config.json").read_bytes()
    for change, message in (
        ("--steps=20", "--steps: expected at least 40"),
        ("--ema_decay=0", "--ema_decay: the run in"),
    ):
        refused = run(*train_args(model_dir, digits_json, change))
        assert refused.returncode == 1 and message in refused.stderr
        assert (model_dir / "config.json").read_bytes() == config


def test_a_changed_architecture_is_refused_and_the_difference_is_shown(
    finished, digits_spec, tmp_path
):
    model_dir, _ = finished
    before = run_state(model_dir)
    path = tmp_path / "changed.json"
    path.write_text(digits_spec.to_json().replace('"units": 3', '"units": 7'))
    result = run(*train_args(model_dir, path))
    assert result.returncode == 1
    assert f"--model_dir={model_dir} holds a run of another architecture" in result.stderr
    assert '-        "units": 3' in result.stderr and '+        "units": 7' in result.stderr
    assert run_state(model_dir) == before


def test_a_loss_that_is_not_finite_stops_the_run_and_keeps_its_checkpoints(
    finished, digits_json, tmp_path
):
    model_dir = tmp_path / "diverged"
    shutil.copytree(finished[0], model_dir)
    before = tf.train.latest_checkpoint(str(model_dir / "checkpoints"))
    # With a learning rate and a floor this high, the weights diverge in the next steps.
    changes = ("--steps=80", "--learning_rate=1e30", "--learning_rate_floor=1e30")
    result = run(*train_args(model_dir, digits_json, *changes))
    assert result.returncode == 1
    message = result.stderr.strip().splitlines()[-1]
    assert message.startswith("train: step 4") and "the loss is" in message
    assert message.endswith(f"the last good checkpoint: {before}")
    assert "The same command with other settings goes on from the last good checkpoint" in message
    assert "a setting differs from the earlier run: learning_rate: was 0.002" in result.stderr
    assert tf.train.latest_checkpoint(str(model_dir / "checkpoints")) == before
    assert biva_tf.load(model_dir).sample(1).shape == (1, 28, 28, 1)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (["--binarize=none"], "--binarize=none leaves the grey values"),
        (["--architecture=tiny_dense"], "expects (8, 8, 1)"),
        (["--architecture=mnist_l7"], "--architecture: expected one of mnist_l6"),
        (["--batch_size=9000"], "--batch_size: expected at most the 8960 training images"),
        (["--model_dir=README.md"], "--model_dir=README.md: expected a folder, got a file"),
        (["--learning_rate_decay=0"], "--learning_rate_decay=0: expected a number in (0, 1]"),
        (["--dataset=mnist_11k"], "--dataset"),
        (["--free_bits=-1"], "--free_bits"),
        (["--colour=red"], "--colour: there is no such flag"),
        (["stray"], "unexpected arguments: stray"),
        (["--flagfile=none.flags"], "none.flags"),
        (["--batch_size=9", "--strategy=mirrored", "--logical_devices=2"], "2 replicas"),
    ],
)
def test_settings_that_cannot_start_a_run_give_one_message(digits_json, tmp_path, changes, message):
    result = run(*train_args(tmp_path / "model", digits_json, *changes))
    assert result.returncode != 0
    assert message in result.stderr
    assert "Traceback" not in result.stderr
    assert not (tmp_path / "model" / "checkpoints").exists()


def test_a_config_without_newer_settings_has_their_defaults(finished, digits_spec, tmp_path):
    """The config.json of an older version lacks the settings that were added later."""
    shutil.copy(finished[0] / "config.json", tmp_path)
    plain = json.loads((tmp_path / "config.json").read_text())
    del plain["settings"]["clip_norm"]
    plain["settings"]["binarize"] = "threshold"
    (tmp_path / "config.json").write_text(json.dumps(plain))
    old = {**json.loads((finished[0] / "config.json").read_text())["settings"]}
    # For this data set "auto" means "threshold".
    settings = RunConfig(**{**old, "binarize": "auto"})
    assert RunDir(tmp_path).check(digits_spec, settings) == {}
    changed = RunConfig(**{**old, "binarize": "threshold", "clip_norm": 1.0})
    assert RunDir(tmp_path).check(digits_spec, changed) == {"clip_norm": (0.0, 1.0)}


def test_validations_of_other_images_are_not_compared():
    """Whatever the validation images depend on makes a resumed run forget its best one."""
    of_data = {field.name for field in dataclasses.fields(pipeline.DataConfig)} - {"location"}
    assert of_data <= training_run._VALIDATION_SETTINGS


@pytest.mark.slow
def test_a_validation_split_added_later_selects_the_weights(digits_json, tmp_path):
    model_dir = tmp_path / "model"
    first = run(*train_args(model_dir, digits_json, "--validation_size=0", "--steps=20"))
    assert first.returncode == 0, first.stderr[-3000:]
    assert json.loads((model_dir / "summary.json").read_text())["selected_step"] == 20
    second = run(*train_args(model_dir, digits_json, "--steps=40"))
    assert second.returncode == 0, second.stderr[-3000:]
    assert json.loads((model_dir / "summary.json").read_text())["selected_step"] == 40


def test_help_lists_every_setting():
    result = run("-m", "biva_tf.train", "--help")
    for field in dataclasses.fields(RunConfig):
        assert f"{field.name}:" in result.stdout
    assert "--model_dir" in result.stdout and "Nats per latent that are free" in result.stdout


def test_two_logical_devices_from_the_command_line(digits_json, tmp_path):
    changes = ("--steps=5", "--logical_devices=2", "--strategy=auto")
    result = run(*train_args(tmp_path / "model", digits_json, *changes))
    assert result.returncode == 0, result.stderr[-3000:]
    assert last_json(result.stdout)["step"] == 5


def test_load_says_what_is_missing(tmp_path, finished):
    with pytest.raises(RunDirError, match=r"config.json: no such file; is it the model_dir"):
        biva_tf.load(tmp_path)
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(RunDirError, match=r"config.json: expected the settings of a run"):
        biva_tf.load(tmp_path)
    (tmp_path / "config.json").write_bytes((finished[0] / "config.json").read_bytes())
    with pytest.raises(CheckpointError, match=r"weights: no weights; a run writes them at its"):
        biva_tf.load(tmp_path)


def test_restored_weights_of_a_step_become_the_newest(tmp_path):
    model = biva_tf.build("tiny_dense")
    weights = SelectedWeights(tmp_path, model)
    first = [v.numpy() for v in model.trainable_variables]
    weights.save(10)
    for v in model.trainable_variables:
        v.assign(v + 1.0)
    weights.save(20)
    weights.restore_step(10)
    again = biva_tf.build("tiny_dense")
    SelectedWeights(tmp_path, again).restore()
    for v, w in zip(again.trainable_variables, first, strict=True):
        np.testing.assert_array_equal(v, w)


def test_a_damaged_checkpoint_is_named(finished, tmp_path):
    model_dir = tmp_path / "damaged"
    shutil.copytree(finished[0], model_dir)
    data = next((model_dir / "weights").glob("ckpt-40.data-*"))
    data.write_bytes(data.read_bytes()[: data.stat().st_size // 2])
    with pytest.raises(CheckpointError, match=r"ckpt-40: the checkpoint cannot be read"):
        biva_tf.load(model_dir)
