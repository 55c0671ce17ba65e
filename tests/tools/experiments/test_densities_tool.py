"""The models of each density, their bounds on the KL divergence, the figure."""

import json

import pytest
import tensorflow as tf
from conftest import run

from biva_tf.data.densities import DENSITIES
from biva_tf.errors import SettingsError
from tools.experiments import densities


def test_an_unknown_density_is_refused_before_anything_is_trained(tmp_path):
    settings = densities.DensitiesSettings(str(tmp_path), densities=("potential_2", "moons"))
    with pytest.raises(SettingsError, match=r"expected some of potential_1, .*, got 'moons'"):
        densities.run(settings)
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_three_models_are_trained_scored_and_drawn(tmp_path):
    names = ("checkerboard", "potential_1")
    command = (
        *(
            "-m",
            "tools.experiments.densities",
            f"--output_dir={tmp_path}",
            "--steps=20",
            "--iw_samples=4",
        ),
        *(f"--densities={','.join(names)}", "--num_examples=50", "--grid=8"),
        "--grid_iw_samples=2",
    )
    first = run(*command, timeout=900)
    assert first.returncode == 0, first.stderr[-3000:]
    rows = json.loads((tmp_path / "densities.json").read_text())["rows"]
    pairs = [(row["density"], row["model"]) for row in rows]
    assert pairs == [(name, model) for name in names for model in densities.MODELS]
    for row in rows:
        assert row["entropy"] == DENSITIES[row["density"]].entropy
        # log p - L_K and -L_K - entropy have the same mean.
        error = row["kl_standard_error"] + row["bound_standard_error"]
        assert abs(row["kl"] - (-row["bound"] - row["entropy"])) < 4 * error
        assert row["kl_of_elbo"] >= row["kl"] > 0
        assert f"{row['kl']:.4f} ± {row['kl_standard_error']:.4f}" in first.stdout
    picture = tf.io.decode_png((tmp_path / "densities.png").read_bytes())
    assert picture.shape[1] > 2 * picture.shape[0]
    times = {path: path.stat().st_mtime for path in tmp_path.glob("*/checkpoints/*.index")}
    assert len({path.parent for path in times}) == 6
    again = run(*command, timeout=900)
    assert again.stdout == first.stdout
    assert times == {path: path.stat().st_mtime for path in times}  # nothing was trained again
