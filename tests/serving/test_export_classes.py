"""The export of a model with classes: label of `sample`, `classify`, y of `encode` and `decode`."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf
from conftest import perturbed, random_images, served

from biva_tf import api
from biva_tf.model import architectures, plans
from biva_tf.model.assignments import Assignment
from biva_tf.model.noise import SameNoise, SeededNoise
from biva_tf.model.spec import Classes
from biva_tf.serving import exporting
from tools.serving import checks

SEED = np.array([5, 0], np.int32)


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    spec = dataclasses.replace(architectures.get("tiny_dense"), classes=Classes(3, True, 8))
    trained = api.Trained(perturbed(spec), "averaged", 0, {"architecture": "tiny"})
    return trained.model, exporting.export(trained, tmp_path_factory.mktemp("export"))


@pytest.mark.slow
def test_the_checks_of_a_server_pass(exported, tmp_path):
    with served(exported[1].parent, tmp_path) as ports:
        client = checks.GrpcClient(f"127.0.0.1:{ports['grpc']}", "biva", 60.0)
        lines = list(checks.checks(client, classes=3))
    assert "classify, sample of a label: 3 classes" in lines
    assert lines[-1].startswith("23 bad requests")


@pytest.mark.slow
def test_signatures_agree_with_the_model(exported):
    model, folder = exported
    images = random_images(model.spec, 40)
    sample = {"num_samples": 5, "temperature": 1.0, "seed": SEED}
    y = np.float32(np.random.default_rng(0).dirichlet(np.ones(3), 40))
    with exporting.cpp_loader(folder) as run:
        of_class = run("sample", {**sample, "label": 2})["images"]
        of_any = run("sample", {**sample, "label": -1})["images"]
        found = run("classify", {"images": images, "num_samples": 6, "seed": SEED})
        codes = run("encode", {"images": images})
        decoded = run("decode", {**codes, "y": y})["images"]
        score = run("score", {"images": images, "k": 1, "num_importance_samples": 4, "seed": SEED})
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
