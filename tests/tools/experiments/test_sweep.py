"""The runs of an experiment: whose flags count, what is trained again, tables and JSON."""

import json
import subprocess

import pytest

from biva_tf.errors import SettingsError
from biva_tf.model import architectures
from biva_tf.runs.run_dir import RunDir, RunDirError
from tools.experiments import ablations, semi, sweep
from tools.experiments.sweep import Sweep

OWN = {"architecture": "tiny_dense", "seed": 3}
SET_BY = {"model_dir": "output_dir", "architecture": "architecture", "seed": "seeds"}


@pytest.fixture
def trainings(monkeypatch):
    """The settings of each training, which only writes what a finished run has of them."""
    done = []

    def train(command, **_):
        config = sweep.train.read_settings(sweep._parse(command[3:]))
        run_dir = RunDir(sweep.Path(config.model_dir))
        run_dir.write_config(architectures.read(config.config.architecture), config.config)
        steps = config.config.steps
        bound = {"elbo_nats": -2.0, "reconstruction_nats": -1.0, "kl_nats": {"z1": 1.0}}
        run_dir.write_summary({"step": steps, "selected_step": steps, **bound})
        done.append(config.config)
        return subprocess.CompletedProcess(command, 0)

    monkeypatch.setattr(sweep.subprocess, "run", train)
    return done


def test_own_values_win_then_passed_ones_then_defaults(tmp_path, trainings):
    flagfile = tmp_path / "some.flags"
    flagfile.write_text("--model_dir=elsewhere\n--seed=9\n--steps=7\n--batch_size=5\n")
    passed = [f"--flagfile={flagfile}", "--batch_size", "6"]
    defaults = {"steps": 1, "batch_size": 2, "log_every": 4}
    run_dir = Sweep(tmp_path, defaults, passed, SET_BY).train("run", OWN)
    (config,) = trainings
    assert run_dir.path == tmp_path / "run" and run_dir.summary.exists()
    assert (config.seed, config.architecture) == (3, "tiny_dense")
    assert (config.steps, config.batch_size, config.log_every) == (7, 6, 4)


@pytest.mark.parametrize("passed", [["--seed=4"], ["-seed", "4"], ["--steps=4", "--seed", "4"]])
def test_a_flag_that_the_experiment_sets_cannot_be_passed(tmp_path, passed):
    with pytest.raises(SettingsError, match="--seed cannot follow --: use --seeds, before --"):
        Sweep(tmp_path, {}, passed, SET_BY)


@pytest.mark.parametrize(
    "tool,settings,flag,instead",
    [
        (ablations, ablations.AblationsSettings, "model_dir=x", "output_dir"),
        (ablations, ablations.AblationsSettings, "architecture=x", "architecture"),
        (ablations, ablations.AblationsSettings, "seed=1", "seeds"),
        (ablations, ablations.AblationsSettings, "steps=1", "steps"),
        (semi, semi.SemiSettings, "model_dir=x", "output_dir"),
        (semi, semi.SemiSettings, "architecture=x", "architecture"),
        (semi, semi.SemiSettings, "labels=1", "labels"),
        (semi, semi.SemiSettings, "label_seed=1", "label_seeds"),
    ],
)
def test_the_tools_name_their_own_setting(tmp_path, trainings, tool, settings, flag, instead):
    with pytest.raises(SettingsError, match=f"use --{instead}, before --"):
        tool.run(settings(str(tmp_path)), [f"--{flag}"])
    assert not trainings


@pytest.mark.parametrize("passed", ["--bach_size=4", "--batch_size=many", "4"])
def test_what_train_does_not_take_is_an_error_before_any_training(tmp_path, passed):
    with pytest.raises(SettingsError, match=r"biva_tf\.train: "):
        Sweep(tmp_path, passed=[passed])


def test_only_runs_that_are_not_finished_with_these_settings_are_trained(tmp_path, trainings):
    runs = Sweep(tmp_path, {"steps": 4})
    for _ in range(2):
        runs.train("run", OWN)
    assert len(trainings) == 1
    runs.train("run", {**OWN, "steps": 8})
    runs.train("run", {**OWN, "steps": 8, "learning_rate": 0.5})
    runs.train("other", OWN)
    assert [config.steps for config in trainings] == [4, 8, 8, 4]
    runs.run_dir("other").summary.unlink()  # as a training leaves it that was interrupted
    runs.train("other", OWN)
    assert len(trainings) == 5


def test_a_run_of_another_architecture_is_an_error(tmp_path, trainings):
    runs = Sweep(tmp_path)
    runs.train("run", OWN)
    with pytest.raises(RunDirError, match="holds a run of another architecture"):
        runs.train("run", {"architecture": "tiny_conv"})
    assert len(trainings) == 1


def test_a_training_that_fails_is_named(tmp_path, monkeypatch):
    failed = subprocess.CompletedProcess([], 3)
    monkeypatch.setattr(sweep.subprocess, "run", lambda *_, **__: failed)
    message = "this training failed with exit code 3: run, 4 steps"
    with pytest.raises(sweep.TrainingError, match=message):
        Sweep(tmp_path).train("run", {**OWN, "steps": 4})


def test_a_setting_needs_values_that_are_known():
    sweep.check_some("names", ["a"], {"a": 1, "b": 2})
    with pytest.raises(SettingsError, match="--names: expected some of a, b, got 'c'"):
        sweep.check_some("names", ["a", "c"], {"a": 1, "b": 2})
    with pytest.raises(SettingsError, match="--seeds: expected at least one value, got none"):
        sweep.check_some("seeds", ())


def test_a_table_is_aligned_markdown():
    lines = sweep.table(["model", "q(y|x)"], [["a", "1.25"], ["longer", "± 12.50"]])
    assert lines == [
        "| model  | q(y\\|x) |",
        "| ------ | ------: |",
        "| a      |    1.25 |",
        "| longer | ± 12.50 |",
    ]


def test_the_last_line_is_json(capsys):
    sweep.show(["one", "two"], {"value": 1.5, "seeds": (0, 1)})
    *lines, last = capsys.readouterr().out.splitlines()
    assert lines == ["one", "two"]
    assert json.loads(last) == {"value": 1.5, "seeds": [0, 1]}
