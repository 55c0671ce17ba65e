"""The checkpoints of a run of version 0.1 (tests/data/golden_run) restore and give its numbers.

The files and arrays were written by the code of that version. The tests fail if one is missing.
"""

import shutil

import numpy as np
import pytest
from conftest import DATA, last_json, run

from biva_tf import api
from biva_tf.runs.run_dir import RunDir

GOLDEN = DATA / "golden_run"


@pytest.fixture(scope="module")
def expected():
    with np.load(GOLDEN / "expected.npz") as file:
        return {name: file[name] for name in file.files}


@pytest.mark.parametrize("weights", ["averaged", "raw"])
def test_the_bound_is_that_of_version_0_1(weights, expected):
    model = api.load(GOLDEN, weights)
    assert model.training.weights_step == 20
    images = model.images()[:50]
    score = model.score(images, num_importance_samples=3, seed=1)
    np.testing.assert_allclose(score.bound_nats, expected[weights], rtol=1e-6)


def test_the_samples_are_those_of_version_0_1(expected):
    samples = api.load(GOLDEN).sample(2, seed=4)
    np.testing.assert_allclose(samples, expected["samples"], atol=1e-6)


def test_the_run_continues_as_in_version_0_1(tmp_path):
    """Slots and averages are restored too: ten more steps give the ELBO that they gave then."""
    model_dir = shutil.copytree(GOLDEN, tmp_path / "run")
    spec = tmp_path / "digits.json"
    spec.write_text(api.load(GOLDEN).spec.to_json())
    settings = (
        "--binarize=threshold",
        "--batch_size=8",
        "--validation_size=40",
        "--log_every=5",
        "--eval_every=10",
        "--checkpoint_every=10",
        "--ema_decay=0.9",
        "--seed=3",
    )
    result = run(
        *("-m", "biva_tf.train", f"--architecture={spec}", f"--model_dir={model_dir}"),
        *("--steps=30", *settings),
    )
    assert result.returncode == 0, result.stderr[-3000:]
    assert "going on from step 20" in result.stderr
    np.testing.assert_allclose(last_json(result.stdout)["elbo_nats"], -482.4352827, rtol=1e-6)
    # The run was made before there was a warm-up of the averages, and goes on without it.
    assert RunDir(model_dir).read()[1]["ema_warmup"] is False
