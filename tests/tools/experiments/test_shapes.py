import json

import pytest
from conftest import run

from biva_tf.errors import SettingsError
from tools.experiments import shapes


def test_all_shapes_are_of_the_same_images():
    assert {shape.spec.image_shape for shape in shapes.shapes().values()} == {(28, 28, 1)}


def test_an_unknown_name_is_refused(tmp_path):
    settings = shapes.ShapesSettings(output_dir=str(tmp_path), names=("huge",))
    with pytest.raises(SettingsError, match=r"expected some of small_l5, .*, got 'huge'"):
        shapes.run(settings)


@pytest.mark.slow
def test_each_shape_trains_for_as_many_steps_as_fit_into_the_time(tmp_path):
    names = ("four", "small_l5_float32")
    command = (
        *("-m", "tools.experiments.shapes", f"--output_dir={tmp_path}", "--dataset=mnist_10k"),
        *("--seconds=1", f"--names={','.join(names)}"),
    )
    first = run(*command, timeout=600)
    assert first.returncode == 0, first.stderr[-3000:]
    rows = json.loads((tmp_path / "shapes.json").read_text())["rows"]
    assert {row["name"] for row in rows} == set(names)
    for row in rows:
        # To a multiple of four, for the evaluations.
        assert abs(row["steps"] - 1 / row["seconds_per_step"]) <= 4
        assert f"{-row['validation_elbo_nats']:.2f}" in first.stdout
        config = json.loads((tmp_path / row["name"] / "config.json").read_text())["settings"]
        assert (config["precision"] == "float32") == row["name"].endswith("float32")
    assert rows[0]["validation_elbo_nats"] >= rows[1]["validation_elbo_nats"]
