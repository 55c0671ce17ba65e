import json

import numpy as np
import pytest
from conftest import run

from biva_tf.errors import SettingsError
from tools.experiments import semi


def test_a_model_without_classes_is_refused(tmp_path):
    settings = semi.SemiSettings(output_dir=str(tmp_path), architecture="mnist_sample")
    with pytest.raises(SettingsError, match="expected one with classes, got 'mnist_sample'"):
        semi.run(settings)


@pytest.mark.slow
def test_each_set_of_labels_trains_each_model(tmp_path):
    command = (
        *(
            "-m",
            "tools.experiments.semi",
            f"--output_dir={tmp_path}",
            "--labels=20",
            "--label_seeds=3,5",
        ),
        *("--nolvae_plus", "--alone_steps=4", "--num_samples=2", "--"),
        *("--batch_size=4", "--steps=2", "--log_every=2", "--eval_every=2"),
        *("--checkpoint_every=2", "--validation_size=0", "--ema_decay=0"),
    )
    first = run(*command, timeout=600)
    assert first.returncode == 0, first.stderr[-3000:]
    found = json.loads((tmp_path / "semi_20.json").read_text())
    assert [row["name"] for row in found["models"]] == ["small_semi", "small_semi_labels_alone"]
    for row in found["models"]:
        assert f"{100 * np.mean(row['error']):.3f}" in first.stdout
    for name, steps, weight in (("small_semi", 2, 1.0), ("small_semi_labels_alone", 4, 0.0)):
        for seed in (3, 5):
            config = tmp_path / f"{name}_20_labels_{seed}" / "config.json"
            of_run = json.loads(config.read_text())["settings"]
            assert (of_run["label_seed"], of_run["labels"]) == (seed, 20)
            assert (of_run["steps"], of_run["bound_weight"]) == (steps, weight)
