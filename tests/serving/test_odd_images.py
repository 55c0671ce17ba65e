"""Images unlike the training data: every answer, of models and of exports, is a finite number."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf
from conftest import ROOT, perturbed

import biva_tf
from biva_tf import pretrained
from biva_tf.model import architectures
from biva_tf.model.spec import Classes
from biva_tf.serving import exporting, signatures
from biva_tf.serving.limits import Limits

SEED = tf.constant([3, 0])


def odd_images(spec):
    """Constant, striped, noisy, inverted and foreign images with the values of a model."""
    height, width, channels = spec.image_shape
    rng = np.random.default_rng(0)
    row, column = np.mgrid[:height, :width][..., np.newaxis]
    examples = [
        np.load(ROOT / "biva_tf" / "pretrained" / name / "examples.npz")["images"][:4]
        for name in ("mnist_10k_small", "fashion_small")
    ]
    foreign = np.concatenate(examples).reshape(8, 28, 28, 1)[:, :height, :width] / 255
    images = [
        *(np.full((height, width, 1), value) for value in (0, 0.5, 1)),
        *(at // step % 2 for at in (row, column, row + column) for step in (1, 2)),
        *rng.random((3, height, width, 1)),
        *(rng.random((1, height, width, 1)) > 0.1),
        *foreign,
        *(1 - foreign),
    ]
    images = np.stack(images) * rng.uniform(0.3, 1, channels).round(1 if channels > 1 else 0)
    if spec.likelihood.binary:
        return (images > 0.5).astype(np.float32)
    return (np.round(255 * images) / 255).astype(np.float32)


def answers(model):
    """The answers of all signatures to odd requests, by signature."""
    _, functions = signatures.module(
        model, Limits(max_temperature=100.0), exporting.grey_rule(model)
    )
    spec, images = model.spec, tf.constant(odd_images(model.spec))
    encoded = tf.stack([tf.io.encode_png(np.uint8(np.rint(255 * i))) for i in images.numpy()])
    score = {"k": tf.constant(spec.num_levels - 1), "seed": SEED}
    score |= {"num_importance_samples": tf.constant(2)}
    label = {} if spec.classes is None else {"label": tf.constant(1)}
    codes = functions["encode"](images=images)
    found = {
        "score": functions["score"](images=images, **score),
        "score_png": functions["score_png"](images_png=encoded, **score),
        "encode": codes,
        "decode": functions["decode"](**{name: 100 * value for name, value in codes.items()}),
        "reconstruct": functions["reconstruct"](
            images=images, levels=tf.constant(spec.num_levels), seed=SEED
        ),
    }
    for temperature in (1.0, 10.0, 100.0):
        found[f"sample at {temperature:g}"] = functions["sample"](
            num_samples=tf.constant(16), temperature=tf.constant(temperature), seed=SEED, **label
        )
    if spec.classes is not None:
        found["classify"] = functions["classify"](
            images=images, num_samples=tf.constant(2), seed=SEED
        )
    return found


def _check_finite(found):
    for name, outputs in found.items():
        for key, values in outputs.items():
            if values.dtype != tf.string:
                assert np.isfinite(values.numpy()).all(), f"{name}: {key}"


def test_odd_images_have_bounds_of_ordinary_size_and_any_temperature_gives_images():
    model = biva_tf.load("mnist_10k_small")
    score = model.score(odd_images(model.spec), num_importance_samples=2, seed=0)
    for values in (score.bound_nats, score.elbo_nats, score.reconstruction_nats):
        assert (values > -1e5).all()
    for temperature in (1.0, 100.0):
        assert np.isfinite(model.sample(8, temperature=temperature, seed=0)).all()


@pytest.mark.slow
@pytest.mark.parametrize("name", pretrained.names())
def test_shipped_models_answer_odd_requests_with_finite_numbers(name):
    model = biva_tf.load(name)
    found = answers(model)
    _check_finite(found)
    # Nothing overflowed either: the bounds are those of a sum of ordinary terms.
    bounds = found["score"]["bound_nats"].numpy()
    assert (bounds > -1e6).all()
    np.testing.assert_array_equal(found["score_png"]["bound_nats"].numpy(), bounds)


@pytest.mark.parametrize(
    "broken", [pytest.param(False, marks=pytest.mark.slow), True], ids=["ceiling", "overflowing"]
)
def test_a_colour_model_with_classes_answers_odd_requests_with_finite_numbers(broken):
    spec = dataclasses.replace(architectures.get("tiny_conv"), classes=Classes(3, True, 8))
    model = perturbed(spec if broken else spec.with_ceiling(8.0))
    for variable in model.trainable_variables:
        if "_var/" in variable.path and variable.path.endswith("/b"):
            variable.assign(variable + 2000.0)  # so that a draw without a ceiling is infinite
    found = answers(model)
    _check_finite(found)
    score = {name: value.numpy() for name, value in found["score"].items()}
    if broken:
        least, greatest = np.finfo(np.float32).min, np.finfo(np.float32).max
        assert (score["bound_nats"] == least).all() and (score["elbo_nats"] == least).all()
        assert (score["bits_per_dim"] == greatest).all()
        assert (score["llr_above_k_nats"] == greatest).all()
    else:
        assert (score["bound_nats"] > -1e9).all()
    np.testing.assert_allclose(found["classify"]["probabilities"].numpy().sum(axis=1), 1, rtol=1e-5)


def test_a_score_that_overflows_in_python_is_infinite_and_never_nan():
    model = perturbed("tiny_dense")
    for variable in model.trainable_variables:
        if "_var/" in variable.path and variable.path.endswith("/b"):
            variable.assign(variable + 2000.0)
    score = model.score(odd_images(model.spec), num_importance_samples=2, k=1)
    assert (score.bound_nats == -np.inf).all() and (score.elbo_nats == -np.inf).all()
    for values in dataclasses.asdict(score).values():
        if isinstance(values, np.ndarray):
            assert not np.isnan(values).any()


def test_samples_that_overflow_cost_no_other_its_weight():
    """The importance weight of a sample that overflows is 0; L_K is then still a lower bound."""
    from biva_tf.inference.objectives import ImportanceSums, Terms

    def bound(kl):
        kl = tf.constant(kl, tf.float32)[:, tf.newaxis]
        terms = Terms(tf.fill([len(kl)], -1.0), kl)
        return ImportanceSums.zero(1, 1).add(terms, len(kl)).scores()

    scores = bound([2.0, np.nan, np.inf, -np.inf])
    assert scores.bound.numpy() == pytest.approx(np.log(np.exp(-3) / 4))
    assert scores.elbo.numpy() == -np.inf and scores.kl.numpy() == np.inf
    assert scores.effective_sample_size.numpy() == pytest.approx(1)
