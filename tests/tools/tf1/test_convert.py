"""Checkpoints of the original: converted to a model_dir and back bit for bit, and their bounds."""

import json
import re
import shutil
import textwrap

import numpy as np
import pytest
import tensorflow as tf
from conftest import ROOT, last_json, run, stage

import biva_tf
from biva_tf import api
from biva_tf.data import pipeline
from biva_tf.model import architectures
from biva_tf.model.noise import SeededNoise
from biva_tf.model.spec import DenseLatent, ModelSpec, SpecError
from biva_tf.runs import config
from biva_tf.runs.run_dir import RunDir
from tools.tf1 import checkpoint as tf1_checkpoint
from tools.tf1 import names as tf1
from tools.tf1 import noise as tf1_noise

AVERAGE = "/ExponentialMovingAverage"


def _write(path, names_and_shapes):
    """Writes a checkpoint of random values with the TensorFlow 1 API."""
    v1 = tf.compat.v1
    with tf.Graph().as_default(), v1.Session() as session:
        for i, (name, shape) in enumerate(names_and_shapes):
            # These gains keep the activations of a deep model in range.
            scale = v1.random_uniform_initializer(0.1, 0.2, seed=i)
            normal = v1.random_normal_initializer(0, 0.05, seed=i)
            initializer = scale if "/g" in name else normal
            v1.get_variable(name, shape, initializer=initializer, use_resource=False)
        session.run(v1.global_variables_initializer())
        v1.train.Saver().save(session, str(path), write_meta_graph=False)


def _names_and_shapes(architecture, averages=True):
    variables = tf1.variables_by_tf1_name(biva_tf.build(architecture))
    suffixes = ("", AVERAGE) if averages else ("",)
    return [(name + s, tuple(v.shape)) for name, v in variables.items() for s in suffixes]


def _convert(checkpoint, model_dir, *args):
    return run(
        "-m", "tools.tf1.convert", f"--checkpoint={checkpoint}", f"--model_dir={model_dir}", *args
    )


def _restored(path, names_and_shapes):
    """The values that the TensorFlow 1 Saver restores, by name."""
    v1 = tf.compat.v1
    with tf.Graph().as_default(), v1.Session() as session:
        variables = {
            name: v1.get_variable(name, shape, use_resource=False)
            for name, shape in names_and_shapes
        }
        v1.train.Saver().restore(session, str(path))
        return session.run(variables)


@pytest.mark.slow
def test_converting_mnist_l6_there_and_back_keeps_every_value(tmp_path):
    names = _names_and_shapes("mnist_l6")
    assert len(names) == 2 * 681
    path, back, model_dir = tmp_path / "model", tmp_path / "back" / "model", tmp_path / "run"
    _write(path, names)
    result = _convert(path, model_dir, "--architecture=mnist_l6")
    assert result.returncode == 0, result.stderr[-3000:]
    assert result.stdout.splitlines()[-1] == "681 weights, 681 moving averages"

    args = ("--iw_samples=2", "--num_examples=3")
    result = run("-m", "biva_tf.evaluate", f"--model_dir={model_dir}", *args)
    assert result.returncode == 0, result.stderr[-3000:]
    assert np.isfinite(last_json(result.stdout)["l_k_nats"])

    result = _convert(back, model_dir, "--reverse")
    assert result.returncode == 0, result.stderr[-3000:]
    before, after = _restored(path, names), _restored(back, names)
    for name in before:
        np.testing.assert_array_equal(before[name], after[name], name)


@pytest.fixture(scope="module")
def digits_checkpoint(tmp_path_factory):
    """(JSON file of a small model for 28x28 images, path of a checkpoint of the model)."""
    folder = tmp_path_factory.mktemp("tf1")
    spec = ModelSpec(
        image_shape=(28, 28, 1),
        stages=(stage(DenseLatent(3), (4, 4)), stage(DenseLatent(3), (2, 2))),
    )
    (folder / "spec.json").write_text(spec.to_json())
    _write(folder / "model", _names_and_shapes(spec))
    return folder / "spec.json", folder / "model"


def test_averages_are_selected_and_training_continues_from_the_weights(digits_checkpoint, tmp_path):
    spec, path = digits_checkpoint
    model_dir = tmp_path / "run"
    args = (f"--architecture={spec}", "--batch_size=8", "--log_every=1", "--ema_decay=0.9")
    result = _convert(path, model_dir, *args)
    assert result.returncode == 0, result.stderr[-3000:]
    weights, averages = tf1_checkpoint.read(path)
    for kind, arrays in (("raw", weights), ("averaged", averages)):
        model = api.load(model_dir, weights=kind)
        for name, variable in tf1.variables_by_tf1_name(model).items():
            np.testing.assert_array_equal(variable, arrays[name])

    # As the original, the run goes on without warm-up of the averages.
    assert RunDir(model_dir).read()[1]["ema_warmup"] is False
    again = _convert(path, model_dir, *args)
    assert again.returncode == 1
    assert f"--model_dir={model_dir} holds a run" in again.stderr

    steps = ("--steps=1", "--eval_every=1", "--checkpoint_every=1")
    result = run("-m", "biva_tf.train", f"--model_dir={model_dir}", *args, *steps)
    assert result.returncode == 0, result.stderr[-3000:]
    assert "going on from step 0" in result.stderr


def test_without_averages_the_weights_are_selected(digits_checkpoint, tmp_path):
    spec, path = digits_checkpoint
    weights, _ = tf1_checkpoint.read(path)
    tf1_checkpoint.write(tmp_path / "model", weights, {})
    result = _convert(tmp_path / "model", tmp_path / "run", f"--architecture={spec}")
    assert result.returncode == 0, result.stderr[-3000:]
    assert result.stdout.splitlines()[-1] == f"{len(weights)} weights, 0 moving averages"
    model = biva_tf.load(tmp_path / "run")
    for name, variable in tf1.variables_by_tf1_name(model).items():
        np.testing.assert_array_equal(variable, weights[name])


def test_a_pretrained_model_is_converted_with_its_averages_as_weights(tmp_path):
    name = "mnist_10k_small"
    path = tmp_path / "model"
    args = ("--reverse", f"--checkpoint={path}", f"--pretrained={name}")
    result = run("-m", "tools.tf1.convert", *args)
    assert result.returncode == 0, result.stderr[-3000:]
    weights, averages = tf1_checkpoint.read(path)
    variables = tf1.variables_by_tf1_name(biva_tf.load(name))
    assert weights.keys() == averages.keys() == variables.keys()
    for key, variable in variables.items():
        np.testing.assert_array_equal(weights[key], variable)
        np.testing.assert_array_equal(averages[key], variable)
    forward = run("-m", "tools.tf1.convert", *args[1:])
    assert forward.returncode == 1 and "--pretrained: expected --reverse" in forward.stderr


def test_every_variable_that_does_not_fit_is_named(digits_checkpoint, tmp_path):
    spec, _ = digits_checkpoint
    names = dict(_names_and_shapes(architectures.read(str(spec)), averages=False))
    del names["BIVA/dense/V"], names["BIVA/dense/b"]
    names["BIVA/other/V"] = (2, 2)
    names["BIVA/dense/g"] = (7,)
    names["optimizer/global_step"] = ()  # not the model's
    _write(tmp_path / "model", names.items())
    result = _convert(tmp_path / "model", tmp_path / "run", f"--architecture={spec}")
    assert result.returncode == 1
    assert result.stderr.strip().splitlines()[-1] == (
        f"convert_tf1: {tmp_path}/model: variables do not fit the model: "
        "2 missing: BIVA/dense/V, BIVA/dense/b; 1 unknown: BIVA/other/V; "
        "1 misshapen: BIVA/dense/g (expected (1,), got (7,))"
    )
    assert not (tmp_path / "run" / "config.json").exists()


def test_an_existing_checkpoint_is_not_written_over(digits_checkpoint):
    path = digits_checkpoint[1]
    with pytest.raises(tf1_checkpoint.Tf1CheckpointError, match="exists; it is not written over"):
        tf1_checkpoint.write(path, {"BIVA/x": np.zeros(1, np.float32)}, {})


def test_a_file_that_is_no_checkpoint_is_refused(digits_checkpoint, tmp_path):
    for file in digits_checkpoint[1].parent.glob("model.*"):
        shutil.copy(file, tmp_path)
    data = tmp_path / "model.data-00000-of-00001"
    data.write_bytes(data.read_bytes()[:1000])
    for path in (tmp_path / "model", tmp_path / "none"):
        with pytest.raises(tf1_checkpoint.Tf1CheckpointError, match="expected a TensorFlow check"):
            tf1_checkpoint.read(path)


def test_the_originals_arguments_give_the_same_stages_back():
    for name in ("mnist_l6", "cifar10_l15"):
        spec = architectures.get(name)
        plain = json.loads(json.dumps(tf1.config_from_spec(spec)))
        assert tf1.spec_from_config(plain).stages == spec.stages
    with pytest.raises(SpecError, match="the original has no model like this one"):
        tf1.config_from_spec(architectures.get("mnist_l6_lvae"))


def test_the_program_of_the_page_prints_the_originals_arguments():
    text = (ROOT / "tools" / "tf1" / "README.md").read_text()
    program = re.search(
        r"    python -c '(import biva_tf, json\n.*?)' > config.json", text, re.DOTALL
    )[1]
    result = run("-c", textwrap.dedent(f"    {program}"))
    assert result.returncode == 0, result.stderr[-3000:]
    found = tf1.spec_from_config(last_json(result.stdout))
    assert found.stages == architectures.get("mnist_l6").stages


def test_tied_noise_is_the_same_for_latents_of_one_shape():
    noise = tf1_noise.TiedNoise(SeededNoise(1))
    a, b = (noise.normal(f"{z}/posterior", (4, 3)) for z in ("z1_bu", "z1_td"))
    np.testing.assert_array_equal(a, b)
    assert np.abs(noise.normal("z2_bu/posterior", (4, 2)) - a[:, :2]).max() > 0.1


def test_the_bounds_under_tied_and_independent_noise_are_printed(digits_checkpoint):
    spec, path = digits_checkpoint
    args = (f"--architecture={spec}", "--iw_samples=3", "--num_examples=70")
    result = run("-m", "tools.tf1.compare", f"--checkpoint={path}", *args)
    assert result.returncode == 0, result.stderr[-3000:]
    tied, independent = (line.split() for line in result.stdout.splitlines()[-2:])
    assert tied[:3] == ["L_3,", "noise", "tied,"] and independent[:3] == [
        "L_3,",
        "noise",
        "independent",
    ]

    model = biva_tf.build(architectures.read(str(spec)))
    tf1.load_variables(model, tf1_checkpoint.read(path)[1], "averages")
    images = pipeline.evaluation_images(config.data_config(config.defaults()), "test")[:70]
    bounds = tf1_noise.bounds(model, images, 3)
    np.testing.assert_allclose(float(tied[5]), bounds.tied.mean(), rtol=1e-4)
    np.testing.assert_allclose(float(independent[3]), bounds.independent.mean(), rtol=1e-4)
    # `score` has independent noise too. Its seed differs, so its bound differs only by chance.
    score = model.score(images, num_importance_samples=3, seed=1).bound_nats
    error = (score - bounds.independent).std() / np.sqrt(len(images))
    assert abs(score.mean() - bounds.independent.mean()) < 5 * error
