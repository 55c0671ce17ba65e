"""The trained models that ship: they load, keep to their size, and score as their cards say."""

import json
import shutil

import numpy as np
import pytest
from conftest import ROOT, run

import biva_tf
from biva_tf import pretrained
from biva_tf.model.architectures import ARCHITECTURES
from biva_tf.runs import weights_file
from biva_tf.runs.checkpoints import CheckpointError
from biva_tf.runs.run_dir import RunDirError

NAMES = pretrained.names()


def test_all_weights_keep_to_their_size():
    """12 MB for the binary models together, and 5 MB for the one of 8-bit images."""
    sizes = {name: weights_file.path(pretrained.FOLDER / name).stat().st_size for name in NAMES}
    assert sizes.pop("fashion_grey_small") <= 5e6
    assert len(sizes) >= 2 and sum(sizes.values()) <= 12e6


@pytest.mark.parametrize("name", NAMES)
def test_the_architecture_is_a_named_one_with_a_ceiling_of_its_own(name):
    spec, settings = pretrained.run_dir(name).read()
    named = ARCHITECTURES[settings["architecture"]]()
    assert spec.log_variance_ceiling is not None
    assert spec == named.with_ceiling(spec.log_variance_ceiling)


@pytest.mark.parametrize("name", NAMES)
def test_the_card_tells_what_was_measured(name):
    folder = pretrained.FOLDER / name
    card = (folder / "README.md").read_text()
    measured = json.loads((folder / "evaluation.json").read_text())
    for bound in ("l_1", "l_k"):
        mean = measured[bound]
        assert f"{-mean['nats']:.2f} ± {mean['nats_standard_error']:.2f}" in card
    for line in card.splitlines():
        if "--flagfile=" in line:
            assert (ROOT / line.split("--flagfile=")[1]).is_file()
    assert (folder / "samples.png").is_file() and "licence" in card


def test_the_digits_model_scores_the_test_split_as_its_card_says():
    model = biva_tf.load("mnist_10k_small")
    measured = json.loads((pretrained.FOLDER / "mnist_10k_small" / "evaluation.json").read_text())
    images = model.images()
    assert measured["examples"] == len(images)
    elbo = model.score(images[:], seed=0).elbo_nats
    # One draw of the latents here, the mean over many there.
    assert np.mean(elbo) == pytest.approx(measured["l_1"]["nats"], abs=0.6)


def test_an_unknown_name_is_refused_with_the_known_ones():
    with pytest.raises(RunDirError, match=f"huge.config.json: no such file.*{NAMES[0]}"):
        biva_tf.load("huge")


def test_damaged_weights_are_refused(tmp_path, monkeypatch):
    shutil.copytree(pretrained.FOLDER / NAMES[0], tmp_path / NAMES[0])
    monkeypatch.setattr(pretrained, "FOLDER", tmp_path)
    path = weights_file.path(tmp_path / NAMES[0])
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(CheckpointError, match="expected sha256"):
        biva_tf.load(NAMES[0])


def test_a_folder_comes_before_a_shipped_model_of_its_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert pretrained.find(NAMES[0]).path == pretrained.FOLDER / NAMES[0]
    shutil.copytree(pretrained.FOLDER / NAMES[1], tmp_path / NAMES[0])
    assert pretrained.find(NAMES[0]).read() == pretrained.run_dir(NAMES[1]).read()
    assert pretrained.find("nowhere").path.name == "nowhere"


def test_training_starts_from_a_shipped_model(tmp_path):
    """With a learning rate that changes nothing, the weights stay those of the shipped model."""
    name = "mnist_10k_small"
    every = ("--log_every=1", "--eval_every=1", "--checkpoint_every=1", "--steps=1")
    frozen = ("--learning_rate=0", "--learning_rate_floor=0")
    more = (
        f"--init_from={name}",
        f"--model_dir={tmp_path}",
        "--validation_size=8",
        *every,
        *frozen,
    )
    result = run("-m", "biva_tf.train", *more)
    assert result.returncode == 0, result.stderr[-3000:]
    first, second = biva_tf.load(name), biva_tf.load(tmp_path)
    for a, b in zip(first.trainable_variables, second.trainable_variables, strict=True):
        np.testing.assert_array_equal(a, b)
