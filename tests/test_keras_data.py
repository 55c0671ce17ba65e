"""The data that `fit`, `evaluate` and `predict` take: every kind that Keras has, and uint8."""

import dataclasses
import inspect

import keras
import numpy as np
import pytest
import tensorflow as tf
from conftest import perturbed, random_images

import biva_tf
from biva_tf.inference.scoring import scores
from biva_tf.model import architectures, observations
from biva_tf.model.pixels import as_floats
from biva_tf.model.spec import Classes

ROWS, BATCH = 11, 4  # the last batch is smaller


class _Batches(keras.utils.PyDataset):
    """Batches, with a method of Keras's for each of the ways it reads them."""

    def __init__(self, batches, **settings):
        super().__init__(**settings)
        self._batches = batches

    def __len__(self):
        return len(self._batches)

    def __getitem__(self, index):
        return self._batches[index]


def _bare_generator(batches):
    for batch in batches:
        yield batch[0] if len(batch) == 1 else batch


# Each makes data of batches, tuples of arrays.
KINDS = {
    "dataset": lambda batches: tf.data.Dataset.from_generator(
        lambda: iter(batches),
        output_signature=tuple(tf.TensorSpec((None, *a.shape[1:]), a.dtype) for a in batches[0]),
    ),
    "py_dataset": _Batches,
    "py_dataset_with_workers": lambda batches: _Batches(batches, workers=2),
    "generator": lambda batches: (batch for batch in batches),
    "generator_of_arrays": _bare_generator,
    "iterator": iter,
}


def _batches(*arrays):
    return [tuple(a[i : i + BATCH] for a in arrays) for i in range(0, len(arrays[0]), BATCH)]


def _fitted(name, x, y=None, **arguments):
    keras.utils.set_random_seed(4)
    model = biva_tf.build(name)
    model.compile(seed=4)
    history = model.fit(x, y, shuffle=False, verbose=0, **arguments).history
    return model, history


def test_fit_has_the_signature_of_keras():
    """So that editors, wrappers and tuners see the same arguments and defaults."""
    for method in ("fit", "predict"):
        own = inspect.signature(getattr(biva_tf.BIVA, method)).parameters.values()
        keras_own = inspect.signature(getattr(keras.Model, method)).parameters.values()
        assert [(p.name, p.default, p.kind) for p in own] == [
            (p.name, p.default, p.kind) for p in keras_own
        ]


@pytest.fixture(scope="module")
def images():
    return random_images(architectures.get("tiny_dense"), ROWS)


@pytest.fixture(scope="module")
def of_array(images):
    """A model that was fitted to an array, and the history."""
    return _fitted("tiny_dense", images, batch_size=BATCH, validation_data=(images,))


@pytest.mark.parametrize("kind", ["dataset", "py_dataset", "generator"])
def test_fit_takes_batches_as_it_takes_an_array(of_array, images, kind):
    array, history = of_array
    make = KINDS[kind]
    model, own_history = _fitted(
        "tiny_dense", make(_batches(images)), validation_data=make(_batches(images))
    )
    assert int(model.optimizer.iterations) == int(array.optimizer.iterations) == 3
    assert history.keys() == own_history.keys()
    for key, values in history.items():
        np.testing.assert_allclose(own_history[key], values, rtol=1e-4, err_msg=key)
    for a, b in zip(model.trainable_variables, array.trainable_variables, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-5, err_msg=a.path)


@pytest.mark.parametrize("kind", KINDS)
def test_predict_and_evaluate_take_batches_as_they_take_an_array(of_array, images, kind):
    model, _ = of_array
    make = KINDS[kind]
    for method, tolerance in (("predict", 1e-5), ("evaluate", 1e-4)):
        of_batches = getattr(model, method)(make(_batches(images)), verbose=0)
        whole = getattr(model, method)(images, batch_size=BATCH, verbose=0)
        np.testing.assert_allclose(of_batches, whole, rtol=tolerance, atol=1e-5)


@pytest.mark.parametrize("kind", ["dataset", "generator"])
def test_labels_come_with_the_images_of_a_model_with_classes(kind):
    spec = dataclasses.replace(architectures.get("tiny_dense"), classes=Classes(3, True, 8))
    images = random_images(spec, 8)
    labels = np.arange(8, dtype=np.int32) % 3
    _, history = _fitted(spec, images, labels.astype(np.float32), batch_size=BATCH)
    _, other_history = _fitted(spec, KINDS[kind](_batches(images, labels)))
    assert {"accuracy", "classifier_nats"} <= history.keys() == other_history.keys()
    for key, values in history.items():
        np.testing.assert_allclose(values, other_history[key], rtol=1e-3, err_msg=key)


@pytest.mark.parametrize("name, compiled", [("tiny_dense", False), ("tiny_conv", True)])
def test_no_batch_size_changes_what_predict_gives(name, compiled):
    """It is what the whole input at once gives, in batches of any size, time after time."""
    model = perturbed(name)
    images = random_images(model.spec, ROWS)
    if compiled:
        model.compile(seed=7, steps_per_execution=2)
    whole = model.reconstruct(images, seed=7 if compiled else 0)
    for batch_size in (1, 3, 8, 3):
        predicted = model.predict(images, batch_size=batch_size, verbose=0)
        np.testing.assert_allclose(predicted, whole, atol=1e-5, err_msg=str(batch_size))
    np.testing.assert_allclose(model.predict_on_batch(images[:2]), whole[:2], atol=1e-5)
    same = model.predict(np.repeat(images[:1], 2, axis=0), batch_size=1, verbose=0)
    assert np.abs(same[0] - same[1]).max() > 1e-3  # each image has noise of its own


def test_no_batch_size_changes_what_evaluate_gives():
    model = perturbed("tiny_dense")
    images = random_images(model.spec, ROWS)
    model.compile(seed=5)
    (score,) = scores(model, images, (0,), seed=(5, 1))
    for batch_size in (1, 3, 8, 3):
        logs = model.evaluate(images, batch_size=batch_size, return_dict=True, verbose=0)
        np.testing.assert_allclose(logs["elbo"], score.elbo_nats.mean(), rtol=1e-5)
    logs = model.test_on_batch(images[:2], return_dict=True)
    np.testing.assert_allclose(logs["elbo"], score.elbo_nats[:2].mean(), rtol=1e-5)


def _eight_bit(spec, seed=0):
    """Images of all 256 values; of a binary model, of 0 and 255."""
    rng = np.random.default_rng(seed)
    values = [0, 255] if spec.likelihood.binary else np.arange(256)
    return rng.choice(values, (ROWS, *spec.image_shape)).astype(np.uint8)


def test_fit_on_uint8_images_is_fit_on_their_floats():
    pixels = _eight_bit(architectures.get("tiny_conv"))
    of_bytes, history = _fitted("tiny_conv", pixels, batch_size=BATCH)
    of_floats, expected = _fitted("tiny_conv", pixels.astype(np.float32) / 255, batch_size=BATCH)
    np.testing.assert_array_equal(history["loss"], expected["loss"])
    for a, b in zip(of_bytes.get_weights(), of_floats.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("name", ["tiny_dense", "tiny_conv"])
def test_uint8_images_are_8_bit_images(name):
    """All results are those of the same images as floats."""
    model = perturbed(name)
    model.compile()
    pixels = _eight_bit(model.spec)
    results = []
    for images in (pixels, pixels.astype(np.float32) / np.float32(255)):
        batches = tf.data.Dataset.from_tensor_slices(images).batch(BATCH)
        results.append(
            {
                "evaluate": [model.evaluate(data, verbose=0) for data in (images, batches)],
                "predict": [model.predict(data, verbose=0) for data in (images, batches)],
                "score": model.score(images, seed=1).bound_nats,
                "encode": list(model.encode(images).values())[-1],
                "call": model(images[:2]).px_parameters,
            }
        )
    for key, value in results[0].items():
        # `predict` reads the batches of a data set in its graph. That of bytes is another one, in
        # which TensorFlow may round the last bit of a probability in another way.
        rtol = 1e-6 if key == "predict" else 0
        np.testing.assert_allclose(value, results[1][key], rtol=rtol, err_msg=key)


def test_uint8_zeros_and_ones_of_a_binary_model_are_bits():
    model = perturbed("tiny_dense")
    bits = random_images(model.spec, ROWS)
    expected = model.score(bits, seed=1).bound_nats
    for images in (bits.astype(np.uint8), bits.astype(np.uint8) * 255):
        np.testing.assert_array_equal(model.score(images, seed=1).bound_nats, expected)
        data = model.compress(images)
        np.testing.assert_array_equal(model.decompress(data), images)


@pytest.mark.parametrize(
    ("likelihood", "expected"),
    [
        (observations.LogisticMixture(), [0, 1 / 255]),
        (observations.Bernoulli(), [0, 1]),
        (observations.Gaussian(), [0, 1]),
        (observations.Text(vocabulary=9), [0, 1]),
    ],
)
def test_what_uint8_values_mean_follows_the_likelihood(likelihood, expected):
    values = np.array([0, 1], np.uint8)
    for images in (values, tf.constant(values)):
        floats = as_floats(images, likelihood)
        assert floats.dtype == np.float32
        np.testing.assert_array_equal(floats, np.array(expected, np.float32))


@pytest.mark.parametrize("call", ["fit", "evaluate", "predict"])
def test_floats_out_of_range_are_refused_in_every_batch(call):
    """In a data set, too, whose batches are read later."""
    model = perturbed("tiny_dense")
    model.compile()
    images = random_images(model.spec, 8)
    images[6] *= 255
    data = tf.data.Dataset.from_tensor_slices(images).batch(4)
    message = r"^images: expected values in \[0, 1\] or uint8 of 0 to 255, got 0 to 255$"
    with pytest.raises(ValueError, match=message):
        getattr(model, call)(data, verbose=0)
