"""tools.release.ship: what it writes, and that it leaves an earlier model alone when it fails."""

import json

import numpy as np
import pytest
from conftest import ROOT

import biva_tf
from biva_tf import pretrained
from biva_tf.runs.run_dir import RunDir
from tools.release import ship


def _settings(model_dir, folder, **changes):
    values = {
        "model_dir": str(model_dir),
        "name": "digits",
        "flagfiles": (str(ROOT / "configs/mnist_sample.flags"),),
        "licence": "The digits are free.",
        "iw_samples": 2,
        "num_examples": 16,
        "folder": str(folder),
    }
    return ship.ShipSettings(**(values | changes))


def test_a_shipped_model_scores_as_its_card_says(trained, tmp_path):
    shipped = ship.run(_settings(trained, tmp_path))
    assert shipped.folder == tmp_path / "digits"
    names = {path.name for path in shipped.folder.iterdir()}
    assert names == {
        *("README.md", "config.json", "evaluation.json", "metrics.jsonl", "samples.png"),
        *("weights.json", "weights.npz", "examples.npz"),
    }
    card = (shipped.folder / "README.md").read_text()
    bound = shipped.summary.l_k
    assert f"| L_2 | {-bound.nats:.2f} ± {bound.nats_standard_error:.2f} |" in card
    assert "--binarize=dynamic" in card and "configs/mnist_sample.flags" in card
    assert "--num_examples=16" in card and "The digits are free." in card
    settings = json.loads((shipped.folder / "config.json").read_text())["settings"]
    assert "data_dir" not in settings and settings["seed"] == 3
    again = biva_tf.load(shipped.folder)
    examples = pretrained.examples(RunDir(shipped.folder))
    np.testing.assert_array_equal(examples[:], again.images()[:64])
    assert again.training.weights_step == biva_tf.load(trained).training.weights_step
    score = again.score(again.images()[:16], num_importance_samples=2, seed=0)
    assert score.bound_nats.mean() == pytest.approx(bound.nats, rel=1e-5)


@pytest.mark.parametrize(
    "tolerance,changes,message",
    [
        (0.0, {}, "in float16, L_1 and L_2 move by .* expected less than 0.0"),
        (0.05, {"flagfiles": ("configs/none.flags",)}, "--flagfiles=configs/none.flags: expected"),
    ],
)
def test_a_failure_leaves_the_earlier_model_as_it_was(
    tolerance, changes, message, trained, tmp_path, monkeypatch
):
    earlier = tmp_path / "digits"
    earlier.mkdir()
    (earlier / "weights.npz").write_bytes(b"earlier")
    monkeypatch.setattr(ship, "TOLERANCE_NATS", tolerance)
    with pytest.raises(ship.ShipError, match=message):
        ship.run(_settings(trained, tmp_path, **changes))
    assert [path.read_bytes() for path in earlier.iterdir()] == [b"earlier"]
