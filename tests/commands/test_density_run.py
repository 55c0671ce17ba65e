"""A model of a density: trained by the command, resumed, evaluated, drawn."""

import json

import numpy as np
import pytest
import tensorflow as tf
from conftest import last_json, run
from html_pages import Page

from biva_tf import evaluate, export, report, sample
from biva_tf.data.densities import DENSITIES
from biva_tf.serving.exporting import ExportError


def _train(model_dir, *changes):
    settings = (
        *("--architecture=density_2d", "--dataset=two_moons", "--free_bits=0", "--batch_size=16"),
        *("--log_every=5", "--eval_every=20", "--checkpoint_every=10", "--ema_decay=0.9"),
    )
    return run("-m", "biva_tf.train", f"--model_dir={model_dir}", *settings, *changes)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """(model_dir, completed process) of a run that was resumed once."""
    model_dir = tmp_path_factory.mktemp("density") / "model"
    assert _train(model_dir, "--steps=20").returncode == 0
    result = _train(model_dir, "--steps=40")
    assert result.returncode == 0, result.stderr[-3000:]
    return model_dir, result


def test_a_resumed_run_sees_the_points_of_an_uninterrupted_one(trained, tmp_path):
    _, resumed = trained
    assert "two_moons: without end to train, 1,000 to validate, 10,000 to test" in resumed.stderr
    assert "going on from step 20" in resumed.stderr
    whole = _train(tmp_path / "whole", "--steps=40")
    assert last_json(whole.stdout) == last_json(resumed.stdout)


def test_its_pictures_of_samples_are_scatter_plots(trained):
    for name in ("step_0000020", "final"):
        picture = tf.io.decode_png((trained[0] / "samples" / f"{name}.png").read_bytes())
        assert picture.shape[2] == 3 and picture.shape[0] > 300


def test_its_evaluation_is_at_most_the_negative_entropy(trained):
    settings = evaluate.EvaluateSettings(
        model_dir=str(trained[0]), iw_samples=10, num_examples=200, k=(1,), max_rows=2000
    )
    summary = evaluate.run(settings).summary
    assert summary.l_1.nats <= summary.l_k.nats
    error = summary.l_k.nats_standard_error
    assert summary.l_k.nats < -DENSITIES["two_moons"].entropy + 4 * error
    written = json.loads((trained[0] / "summary.json").read_text())
    assert abs(written["elbo_nats"] - summary.l_1.nats) < 4 * summary.l_1.nats_standard_error


@pytest.mark.parametrize("mode,shape", [("prior", (2048,)), ("levels", (8, 2))])
def test_its_samples_are_drawn(trained, tmp_path, mode, shape):
    settings = sample.SampleSettings(
        model_dir=str(trained[0]), mode=mode, output=str(tmp_path / mode)
    )
    drawn = sample.run(settings)
    assert drawn.arrays["images"].shape == (*shape, 1, 1, 2) and drawn.png.exists()
    assert np.isfinite(drawn.arrays["images"]).all()


def test_its_page_shows_scatter_plots(trained, tmp_path):
    output = str(tmp_path / "page.html")
    path = report.run(report.ReportSettings(model_dir=str(trained[0]), output=output))
    shown = Page(path.read_text()).pictures
    pictures = {alt.split(":")[0].split(",")[0]: picture for alt, picture in shown}
    assert pictures["2048 samples of the prior"].shape[0] > 300
    wide = pictures["From left to right"].shape  # the points, and without 0 and 1 levels
    one = pictures["2048 samples of the prior"].shape
    assert wide[1] > 2 * one[1]
    assert pictures["Per panel a unit of z2"].shape == one  # z2 has one unit


def test_it_is_not_exported(trained, tmp_path):
    settings = export.ExportSettings(model_dir=str(trained[0]), export_dir=str(tmp_path / "e"))
    with pytest.raises(ExportError, match=r"expected a model of images in .*, got .* gaussian"):
        export.run(settings)
    assert not (tmp_path / "e").exists()
