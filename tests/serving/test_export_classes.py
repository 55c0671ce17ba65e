"""The export of a model with classes: label of `sample`, `classify`, y of `encode` and `decode`."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf
from conftest import perturbed, random_images, run, served
from wrong_answers import Altered

from biva_tf.model import architectures, plans
from biva_tf.model.assignments import Assignment
from biva_tf.model.noise import SameNoise, SeededNoise
from biva_tf.model.spec import Classes
from biva_tf.serving import checks, exporting

SEED = np.array([5, 0], np.int32)


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    spec = dataclasses.replace(architectures.get("tiny_dense"), classes=Classes(3, True, 8))
    model = perturbed(spec)
    return model, exporting.export(model, tmp_path_factory.mktemp("export"))


@pytest.fixture(scope="module")
def ports(exported, tmp_path_factory):
    with served(exported[1].parent, tmp_path_factory.mktemp("elsewhere")) as found:
        yield found


@pytest.mark.slow
def test_serve_check_passes_over_grpc_and_rest(ports):
    targets = [f"--target=127.0.0.1:{ports['grpc']}", f"--rest=127.0.0.1:{ports['rest']}"]
    result = run("-m", "biva_tf.serve_check", *targets, "--classes=3")
    assert result.returncode == 0, result.stdout + result.stderr[-3000:]
    for line in (
        "  ok  classify, sample of a label: 3 classes\n",
        "  ok  28 bad requests: each an error, and the server answers as before\n",
    ):
        assert result.stdout.count(line) == 2


def _labels_moved(client, inputs):
    answer = client.call("classify", inputs)
    return {**answer, "labels": (answer["labels"] + 1) % 3}


def _sums_halved(client, inputs):
    answer = client.call("classify", inputs)
    return {**answer, "probabilities": answer["probabilities"] / 2}


def _two_classes_alike(client, inputs):
    label = np.int32(min(inputs["label"], 1))
    return client.call("sample", {**inputs, "label": label})


@pytest.mark.slow
@pytest.mark.parametrize(
    ("signature", "change", "message"),
    [
        ("classify", _labels_moved, "labels are not the largest"),
        ("classify", _sums_halved, "they do not sum to 1"),
        ("sample", _two_classes_alike, "two classes gave the same samples"),
    ],
)
def test_a_server_with_wrong_answers_is_detected(ports, signature, change, message):
    client = checks.GrpcClient(f"127.0.0.1:{ports['grpc']}", "biva", 60.0)
    with pytest.raises(checks.FailedError, match=message):
        list(checks.checks(Altered(client, signature, change), classes=3))


@pytest.mark.slow
def test_signatures_agree_with_the_model(exported):
    model, folder = exported
    images = random_images(model.spec, 40)
    sample = {"num_samples": 5, "temperature": 1.0, "seed": SEED}
    y = np.float32(np.random.default_rng(0).dirichlet(np.ones(3), 40))
    with exporting.cpp_loader(folder) as call:
        of_class = call("sample", {**sample, "label": 2})["images"]
        of_any = call("sample", {**sample, "label": -1})["images"]
        found = call("classify", {"images": images, "num_samples": 6, "seed": SEED})
        codes = call("encode", {"images": images})
        decoded = call("decode", {**codes, "y": y})["images"]
        score = call("score", {"images": images, "k": 1, "num_importance_samples": 4, "seed": SEED})
    np.testing.assert_allclose(of_class, model.sample(5, seed=5, label=2), atol=1e-6)
    np.testing.assert_allclose(of_any, model.sample(5, seed=5), atol=1e-6)
    q_y = model.classify(images, num_samples=6, seed=5)
    np.testing.assert_allclose(found["probabilities"], q_y, atol=1e-5)
    np.testing.assert_array_equal(found["labels"], found["probabilities"].argmax(axis=1))
    np.testing.assert_array_equal(codes["y"].sum(axis=1), 1)
    live = model.score(images, num_importance_samples=4, seed=5)
    np.testing.assert_allclose(score["bound_nats"], live.bound_nats, rtol=1e-5)
    np.testing.assert_allclose(score["kl_nats"], live.kl_nats, rtol=1e-3, atol=1e-3)
    assert score["kl_nats"].shape == (40, len(model.spec.latents) + 1)
    plan = tuple(plans.Given(codes[latent.name]) for latent in model.spec.latents)
    noise = SameNoise(SeededNoise(0))
    output = model.top_down(None, plan, noise, rows=40, classes=Assignment(tf.constant(y)))
    np.testing.assert_allclose(decoded, model.likelihood.image(output.px, noise), atol=1e-5)
