"""Parts of models from outside the package: the code of WORKSPACE's recipes, in a user's own file.

One model has a part of every recipe. It goes through JSON and .keras files, a training that is
resumed, evaluation, an export and its scores.
"""

import re
import shutil

import keras
import numpy as np
import pytest
from conftest import ROOT, last_json, perturbed, random_images, run, train_args

import biva_tf
from biva_tf import export, score_dataset
from biva_tf.model import architectures
from biva_tf.model.spec import ModelSpec

_SPEC = """
import biva_tf

_blocks = (Plain(4, stride=2), biva_tf.BlockSpec(4, (3, 3), (2, 2)))
spec = biva_tf.ModelSpec(
    image_shape=(28, 28, 1),
    stages=(
        biva_tf.StageSpec(_blocks, biva_tf.ConvLatent(2, (3, 3))),
        biva_tf.StageSpec(_blocks[::-1], Correlated(2)),
    ),
    top_prior=ScaledPrior(),
    likelihood=FlippedBernoulli(flips=0.02),
    stages_kind=Ladder(),
)
"""


def recipes():
    """The code of the recipes."""
    text = (ROOT / "WORKSPACE.md").read_text()
    return re.findall(r"^```python\n(.*?)^```", text, re.DOTALL | re.MULTILINE)


@pytest.fixture
def file(tmp_path, own_account):
    path = tmp_path / "my_model.py"
    path.write_text("\n\n".join(recipes()) + _SPEC)
    return path


def test_a_model_of_the_recipes_goes_through_json_and_keras_files(file, tmp_path):
    spec = architectures.read(f"{file}:spec")
    assert ModelSpec.from_json(spec.to_json()) == spec
    model = perturbed(spec)
    images = random_images(spec, 6)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    log_px = [m(images).px.log_prob(images) for m in (model, loaded)]
    np.testing.assert_array_equal(*log_px)
    assert np.isfinite(log_px[0]).all()


@pytest.mark.slow
def test_a_model_of_the_recipes_trains_resumes_and_is_evaluated_exported_and_scored(
    file, tmp_path, own_account
):
    model_dir = tmp_path / "run"
    for steps in 10, 20:
        result = run(*train_args(model_dir, f"{file}:spec", f"--steps={steps}"))
        assert result.returncode == 0, result.stderr[-3000:]
    assert last_json(result.stdout)["step"] == 20
    assert "steps: was 10, is 20" in result.stderr
    file.rename(tmp_path / "moved")  # from now on the copy in the run's folder is used
    result = run(
        "-m", "biva_tf.evaluate", f"--model_dir={model_dir}", "--split=validation", "--iw_samples=2"
    )
    assert result.returncode == 0, result.stderr[-3000:]
    assert np.isfinite(last_json(result.stdout)["l_k_nats"])
    own_account.forget()
    export_dir = tmp_path / "export"
    model = biva_tf.load(model_dir)
    export.run(export.ExportSettings(model_dir=str(model_dir), export_dir=str(export_dir)))
    images = random_images(model.spec, 8)
    np.savez(tmp_path / "images.npz", images=(255 * images).astype(np.uint8))
    shutil.rmtree(model_dir)
    own_account.forget()
    scores = score_dataset.run(
        score_dataset.ScoreDatasetSettings(
            export_dir=str(export_dir),
            input=str(tmp_path / "images.npz"),
            output=str(tmp_path / "scores"),
            iw_samples=2,
            workers=1,
        )
    )
    assert scores.images == 8 and np.isfinite(scores.l_k_nats)
