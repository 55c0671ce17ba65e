"""The limits of an export, and the pictures that its model's data say how to read."""

import io
import json

import numpy as np
import pytest
import tensorflow as tf
from conftest import perturbed, random_images
from PIL import Image

from biva_tf import api
from biva_tf.data.grey import GreyRule
from biva_tf.errors import SettingsError
from biva_tf.runs import config
from biva_tf.serving import exporting, pictures
from biva_tf.serving.limits import Limits

SEED = np.array([5, 0], np.int32)
SCORE = {"k": np.int32(0), "num_importance_samples": np.int32(1), "seed": SEED}
LIMITS = Limits(max_samples=3, max_rows=40, max_temperature=0.5)
_GREY = np.arange(0, 256, 4, dtype=np.uint8).reshape(8, 8)


def _trained(binarize):
    model = perturbed("tiny_dense")
    settings = {**config.defaults(), "dataset": "mnist_10k", "binarize": binarize}
    model.training = api.Training("averaged", 0, settings)
    return model


def _png(pixels):
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def _refused(run, signature, inputs):
    with pytest.raises(tf.errors.InvalidArgumentError) as caught:
        run(signature, inputs)
    return caught.value.message


@pytest.mark.slow
def test_the_limits_of_an_export_are_its_own(tmp_path):
    """They are stated in its metadata, checked in its graphs, and kept by its own requests."""
    model = _trained("dynamic")
    folder = exporting.export(model, tmp_path, limits=LIMITS)
    metadata = json.loads((folder / "assets" / exporting.METADATA).read_text())
    assert metadata["limits"] == {"max_samples": 3, "max_rows": 40, "max_temperature": 0.5}
    sample = {"num_samples": np.int32(3), "temperature": np.float32(0.5), "seed": SEED}
    images = random_images(model.spec, 41)
    with exporting.cpp_loader(folder) as run:
        for signature, inputs, message in (
            ("sample", {**sample, "num_samples": 4}, "num_samples: expected 1 to 3, got 4"),
            (
                "sample",
                {**sample, "temperature": 1e10},
                "temperature: expected 0 to 0.5, got 1e+10",
            ),
            (
                "sample",
                {**sample, "temperature": np.nan},
                "temperature: expected 0 to 0.5, got nan",
            ),
            ("encode", {"images": images}, "images: expected 1 to 40, got 41"),
            (
                "score",
                {**SCORE, "images": images[:1], "num_importance_samples": 2**31 - 1},
                "num_importance_samples: expected 1 to 40, times the images at most 40, "
                "got 2147483647 for 1 images",
            ),
            (
                "score",
                {**SCORE, "images": images[:9], "num_importance_samples": 5},
                "at most 40, got 5 for 9 images",
            ),
            (
                "score_png",
                {**SCORE, "images_png": np.array([b""] * 41, object)},
                "images_png: expected 1 to 40, got 41",
            ),
            ("sample", {**sample, "seed": np.zeros(3)}, "seed: expected the shape [2], got [3]"),
        ):
            assert message in _refused(run, signature, inputs)
        assert np.isfinite(run("sample", sample)["images"]).all()
        assert run("score", {**SCORE, "images": images[:8], "num_importance_samples": 5})
        _check_grey_pictures(run)
    _check_the_seed_in_python(tf.saved_model.load(str(folder)).signatures["sample"], sample)


def _check_the_seed_in_python(signature, sample):
    """Its loader optimises graphs as it runs them; no check is optimised away."""
    for seed, came in (([1, 0, 0], "[3]"), ([1], "[1]"), (1, "[]"), ([[1, 0]], "[1 2]")):
        inputs = {name: tf.constant(value) for name, value in {**sample, "seed": seed}.items()}
        with pytest.raises(tf.errors.InvalidArgumentError) as caught:
            signature(**inputs)
        assert f"seed: expected the shape [2], got {came}" in caught.value.message


def _check_grey_pictures(run):
    """They are read as a data set is: by draws of their place among all."""
    pixels = np.stack([_GREY, _GREY[::-1]])
    contents = np.array([_png(each) for each in pixels], object)
    images = GreyRule("bernoulli", 127).read(pixels[..., np.newaxis], np.arange(2))
    answer, expected = (
        run("score_png", {**SCORE, "images_png": contents}),
        run("score", {**SCORE, "images": images}),
    )
    np.testing.assert_array_equal(answer["bound_nats"], expected["bound_nats"])


@pytest.mark.parametrize(
    ("binarize", "expected"),
    [("threshold", GreyRule("threshold", 127)), ("dynamic", GreyRule("bernoulli", 127))],
)
def test_grey_pictures_are_read_by_the_rule_of_the_training(binarize, expected):
    assert exporting.grey_rule(_trained(binarize)) == expected


def test_a_binary_model_without_a_rule_takes_black_and_white_pictures_alone():
    model = _trained("none")
    rule = exporting.grey_rule(model)
    assert rule is None
    decode = tf.function(
        lambda encoded: pictures.as_read(encoded, model.spec, rule),
        [tf.TensorSpec([None], tf.string)],
        autograph=False,
    )
    black_and_white = np.uint8(_GREY > 100)
    found = decode(tf.constant([_png(black_and_white), _png(black_and_white * 255)]))
    assert (found.numpy()[..., 0] == black_and_white).all()
    with pytest.raises(
        tf.errors.InvalidArgumentError, match=r"expected black and white pictures, .* got grey ones"
    ):
        decode(tf.constant([_png(_GREY)]))


@pytest.mark.parametrize(
    "limits",
    [{"max_samples": 0}, {"max_rows": 2**31}, {"max_temperature": float("nan")}],
)
def test_a_limit_out_of_its_range_is_refused_by_name(limits):
    (name,) = limits
    with pytest.raises(SettingsError, match=f"{name}: expected .*, got {limits[name]}"):
        Limits(**limits)
