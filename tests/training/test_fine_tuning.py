import json
import shutil

import numpy as np
import pytest
from conftest import last_json, run

import biva_tf

FINE_TUNING = ("--free_bits=0", "--steps=10", "--eval_every=10")


def _train(model_dir, *args):
    return run("-m", "biva_tf.train", f"--model_dir={model_dir}", *args)


def test_fine_tuning_starts_from_the_selected_weights(trained, tmp_path):
    """With a learning rate that changes nothing, the weights are those of the first run."""
    frozen = ("--learning_rate=1e-30", "--learning_rate_floor=0")
    result = _train(tmp_path / "fine", f"--init_from={trained}", *FINE_TUNING, *frozen)
    assert result.returncode == 0, result.stderr[-3000:]
    assert "starting from the weights of step" in result.stderr
    first, second = biva_tf.load(trained), biva_tf.load(tmp_path / "fine")
    assert first.spec == second.spec
    for a, b in zip(first.trainable_variables, second.trainable_variables, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.slow
def test_settings_that_are_not_given_are_those_of_the_first_run(trained, tmp_path):
    args = (f"--init_from={trained}", *FINE_TUNING)
    result = _train(tmp_path / "fine", *args)
    assert result.returncode == 0, result.stderr[-3000:]
    old = json.loads((trained / "config.json").read_text())["settings"]
    new = json.loads((tmp_path / "fine" / "config.json").read_text())["settings"]
    different = {name for name in new if new[name] != old[name]}
    assert different == {"init_from", "free_bits", "steps", "eval_every"}
    assert last_json(result.stdout)["step"] == 10
    # The run continues without the weights of the first run.
    shutil.move(trained / "weights", tmp_path / "away")
    more = _train(tmp_path / "fine", *args, "--steps=20")
    assert more.returncode == 0, more.stderr[-3000:]
    assert "going on from step 10" in more.stderr


def test_another_architecture_is_refused(trained, tmp_path):
    result = _train(
        tmp_path / "fine", f"--init_from={trained}", "--architecture=mnist_small", *FINE_TUNING
    )
    assert result.returncode == 1
    assert "which is another model than --architecture=mnist_small" in result.stderr
