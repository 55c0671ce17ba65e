"""Exports: signatures as loaded by Python and by C++, versions, and the files of a version."""

import json
import os
import pickle
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf
from conftest import ROOT, perturbed, random_images, run

from biva_tf import api
from biva_tf.inference import exploration
from biva_tf.model import plans
from biva_tf.model.noise import NoNoise, SameNoise, SeededNoise
from biva_tf.nn import graphs
from biva_tf.runs import config
from biva_tf.serving import exporting

SEED = np.array([5, 0], np.int32)


def _trained(name):
    model = perturbed(name)
    for variable in model.trainable_variables:  # closer to the gains of a trained model
        if variable.path.endswith("/g"):
            variable.assign(0.4 * variable)
    model.training = api.Training("averaged", 0, {**config.defaults(), "architecture": name})
    return model


@pytest.fixture(
    scope="module", params=["mnist_sample", pytest.param("tiny_conv", marks=pytest.mark.slow)]
)
def exported(request, tmp_path_factory):
    """(Model, folder): a binary model with dense latents, or a colour one with map latents."""
    graphs.disable_rewriting_on_cpu()  # as the commands do; exports must not depend on it
    trained = _trained(request.param)
    return trained, exporting.export(trained, tmp_path_factory.mktemp("export"))


def _png(images):
    return np.array([tf.io.encode_png(np.uint8(np.rint(i * 255))).numpy() for i in images], object)


def _answers_of_a_new_process(folder, requests, tmp_path):
    """The answers of both loaders, computed in a new process that cannot import the project."""
    paths = tmp_path / "requests.pickle", tmp_path / "answers.pickle"
    paths[0].write_bytes(pickle.dumps(requests))
    env = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    script = ROOT / "tests" / "serving" / "run_export.py"
    result = subprocess.run(
        [sys.executable, script, folder, *paths],
        cwd=tmp_path,
        env=env,
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stderr[-3000:]
    return pickle.loads(paths[1].read_bytes())


def _live_score(model, images, k, samples):
    score = model.score(images, num_importance_samples=samples, seed=5)
    above = model.score(images, num_importance_samples=samples, seed=5, k=k)
    return {
        "bound_nats": score.bound_nats,
        "bits_per_dim": score.bits_per_dim,
        "elbo_nats": score.elbo_nats,
        "reconstruction_nats": score.reconstruction_nats,
        "kl_nats": score.kl_nats,
        "elbo_above_k_nats": above.elbo_nats,
        "llr_above_k_nats": score.elbo_nats - above.elbo_nats,
    }


def _live_codes(model, images):
    output = model(images, plan=plans.posterior(model.spec), noise=NoNoise())
    names = [latent.name for latent in model.spec.latents]
    return {name: stats.z.numpy() for name, stats in zip(names, output.latents, strict=True)}


def _live_decoded(model, codes):
    noise = SameNoise(SeededNoise(0))
    plan = tuple(plans.Given(codes[latent.name]) for latent in model.spec.latents)
    output = model.top_down(None, plan, noise, rows=len(codes[model.spec.latents[0].name]))
    return {"images": model.likelihood.image(output.px, noise).numpy()}


def test_every_signature_agrees_with_the_live_model_in_python_and_in_cpp(exported, tmp_path):
    model, folder = exported
    top = model.spec.num_levels - 1
    images = random_images(model.spec, 64)
    sample_inputs = {"num_samples": np.int32(70), "temperature": np.float32(0.8), "seed": SEED}
    samples = model.sample(70, seed=5, temperature=0.8)

    def score_inputs(k, samples):
        return {"k": np.int32(k), "num_importance_samples": np.int32(samples), "seed": SEED}

    cases = [
        ("sample", sample_inputs, {"images": samples, "images_png": _png(samples)}),
        ("serving_default", sample_inputs, {"images": samples, "images_png": _png(samples)}),
        ("sample_png", sample_inputs, {"images_bytes": _png(samples)}),
    ]
    for rows, k, number in ((1, top, 130), (3, 1, 5), (64, 0, 1)):
        x = images[:rows]
        live = _live_score(model, x, k, number)
        cases.append(("score", {"images": x, **score_inputs(k, number)}, live))
        cases.append(("score_png", {"images_png": _png(x), **score_inputs(k, number)}, live))
        numbers = np.random.default_rng(rows).permutation(6)[:rows]
        shard = {"images": images[numbers], "numbers": numbers, **score_inputs(k, number)}
        whole = _live_score(model, images[:6], k, number)
        cases.append(("score_numbered", shard, {key: v[numbers] for key, v in whole.items()}))
        reconstructed = exploration.reconstruct(model, x, (top,), seed=5)[:, 0]
        inputs = {"images": x, "levels": np.int32(1), "seed": SEED}
        cases.append(("reconstruct", inputs, {"images": reconstructed}))
        codes = _live_codes(model, x)
        cases.append(("encode", {"images": x}, codes))
        cases.append(("decode", codes, _live_decoded(model, codes)))
    answers = _answers_of_a_new_process(folder, [case[:2] for case in cases], tmp_path)
    for loader in ("python", "session"):
        for (signature, _, live), found in zip(cases, answers[loader], strict=True):
            assert found.keys() == live.keys()
            for key, expected in live.items():
                what = f"{signature}/{key}, {loader}"
                if signature in ("sample", "serving_default", "sample_png"):
                    np.testing.assert_array_equal(found[key], expected, what)
                else:
                    # The error of a difference of bounds is of the size of their errors.
                    size = live["elbo_above_k_nats"] if key == "llr_above_k_nats" else expected
                    scale = max(1.0, np.abs(size).max())
                    np.testing.assert_allclose(
                        found[key] / scale, expected / scale, rtol=0, atol=1e-5, err_msg=what
                    )


@pytest.mark.slow
def test_a_second_export_gives_the_same_numbers(tmp_path):
    trained = _trained("tiny_dense")
    images = random_images(trained.spec, 3)
    requests = [
        ("sample", {"num_samples": np.int32(5), "temperature": np.float32(1), "seed": SEED}),
        ("score", {"images": images, "k": 1, "num_importance_samples": 4, "seed": SEED}),
    ]
    first, second = (exporting.export(trained, tmp_path / "models") for _ in range(2))
    assert (first.name, second.name) == ("1", "2")
    assert sorted(path.name for path in (tmp_path / "models").iterdir()) == ["1", "2"]
    found = [exporting.run_in_cpp_loader(folder, requests) for folder in (first, second)]
    for a, b in zip(*found, strict=True):
        for key in a:
            np.testing.assert_array_equal(a[key], b[key])


def test_an_export_with_wrong_outputs_is_not_written(tmp_path, monkeypatch):
    def wrong(folder, requests):
        zeros = np.zeros((4, 8, 8, 1)), np.zeros(3), np.zeros((3, 3))
        keys = ("images", "bound_nats", "kl_nats", "elbo_above_k_nats")
        return [dict(zip(keys, (*zeros, zeros[1]), strict=True)) for _ in requests]

    monkeypatch.setattr(exporting, "_save", lambda trained, folder, limits: folder.mkdir())
    monkeypatch.setattr(exporting, "run_in_cpp_loader", wrong)
    with pytest.raises(
        exporting.ExportError, match=r"sample: images of the export is off by 1\.0e"
    ):
        exporting.export(_trained("tiny_dense"), tmp_path / "models")
    assert not (tmp_path / "models").exists()


def test_the_command_writes_a_version_once_with_its_metadata(trained, tmp_path):
    args = ("-m", "biva_tf.export", f"--model_dir={trained}", f"--export_dir={tmp_path}/models")
    strays = [tmp_path / "models" / name for name in (".3-killed", ".7-killed", ".of-others")]
    for stray in strays:
        (stray / "model").mkdir(parents=True)
    result = run(*args, "--version=7")
    assert result.returncode == 0, result.stderr[-3000:]
    folder = tmp_path / "models" / "7"
    assert set(folder.parent.iterdir()) == {folder, strays[-1]}
    assert result.stdout.splitlines()[-1] == str(folder)
    metadata = json.loads((folder / "assets" / "biva_tf.json").read_text())
    run_config = json.loads((trained / "config.json").read_text())
    # The run's spec has no ceiling of the log-variances. That of the export is measured.
    assert metadata["spec"] == run_config["spec"] | {"log_variance_ceiling": 6.0}
    assert metadata["settings"] == run_config["settings"]
    assert metadata["weights"] == "averaged"
    assert set(metadata["parity"].values()) and max(metadata["parity"].values()) <= 1e-5
    warmup = folder / "assets.extra" / "tf_serving_warmup_requests"
    assert sum(1 for _ in tf.data.TFRecordDataset(str(warmup))) == 4

    again = run(*args, "--version=7")
    assert again.returncode == 1
    assert again.stderr.strip().splitlines()[-1] == (
        f"export: {folder} exists; an exported version is never written over"
    )


def test_raw_weights_are_of_the_newest_checkpoint_and_not_the_averages(trained):
    raw, averaged = (api.load(trained, weights=kind) for kind in ("raw", "averaged"))
    assert (raw.training.weights, raw.training.weights_step) == ("raw", 40)
    newest = {
        kind: tf.train.load_checkpoint(tf.train.latest_checkpoint(str(trained / folder)))
        for kind, folder in (("raw", "checkpoints"), ("averaged", "weights"))
    }
    for kind, model in (("raw", raw), ("averaged", averaged)):
        for variable in model.trainable_variables:
            key = f"weights/{variable.path.replace('/', '.S')}/.ATTRIBUTES/VARIABLE_VALUE"
            np.testing.assert_array_equal(variable, newest[kind].get_tensor(key))
    pairs = zip(raw.trainable_variables, averaged.trainable_variables, strict=True)
    assert any(not np.array_equal(a, b) for a, b in pairs)
    with pytest.raises(ValueError, match="weights: expected one of averaged, raw"):
        api.load(trained, weights="best")
