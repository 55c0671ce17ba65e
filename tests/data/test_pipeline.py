import dataclasses
from pathlib import Path

import numpy as np
import pytest

from biva_tf.data import pipeline, sources
from biva_tf.data.images import BINARIZATIONS, NO_LABEL, Images

NO_FOLDER = sources.Location(Path("nowhere"))  # for data sets that are part of the package


def test_mnist_10k_is_split_in_file_order():
    source = sources.load("mnist_10k", NO_FOLDER)
    assert source.train.images.shape == (9000, 28, 28, 1)
    assert source.test.images.shape == (1000, 28, 28, 1)
    assert source.train.images.dtype == np.uint8
    with np.load(sources.__path__[0] + "/mnist_10k.npz") as file:
        np.testing.assert_array_equal(source.train.images[..., 0], file["images"][:9000])
        np.testing.assert_array_equal(source.test.labels, file["labels"][9000:])
    images = np.concatenate([source.train.images, source.test.images]).reshape(10_000, -1)
    assert len(np.unique(images, axis=0)) == 10_000


def test_a_module_added_to_the_sources_is_found(tmp_path, monkeypatch):
    (tmp_path / "two_images.py").write_text(
        "import numpy as np\n"
        "from biva_tf.data.sources import Source, Split\n"
        "def load(location):\n"
        "    split = Split(np.zeros((2, 8, 8, 1), np.uint8), np.zeros(2, np.uint8))\n"
        "    return Source(split, split)\n"
    )
    monkeypatch.setattr(sources, "__path__", [*sources.__path__, str(tmp_path)])
    assert "two_images" in sources.names()
    assert sources.load("two_images", NO_FOLDER).train.images.shape == (2, 8, 8, 1)


def test_the_error_for_an_unknown_source_lists_the_known_ones():
    with pytest.raises(sources.DataError, match=r"^dataset: expected one of .*mnist_10k.*'mnist'"):
        sources.load("mnist", NO_FOLDER)


def test_the_error_for_a_damaged_source_names_its_file(tmp_path, monkeypatch):
    from biva_tf.data.sources import mnist_10k

    path = tmp_path / "cut.npz"
    path.write_bytes(mnist_10k._FILE.read_bytes()[:10_000])
    monkeypatch.setattr(mnist_10k, "_FILE", path)
    with pytest.raises(sources.DataError, match=r"cut.npz: expected the npz file that ships"):
        mnist_10k.load(NO_FOLDER)


GREY = np.repeat(np.array([0, 51, 127, 128, 255], np.uint8), 20_000).reshape(5, 20_000, 1, 1)


def test_binarization_keeps_thresholds_or_draws_grey_values():
    def read(mode, seed=0):
        return Images(GREY, mode, seed)[:]

    np.testing.assert_allclose(read("none")[:, 0, 0, 0], [0, 0.2, 127 / 255, 128 / 255, 1])
    np.testing.assert_array_equal(read("threshold")[:, 0, 0, 0], [0, 0, 0, 1, 1])
    above_0 = Images(GREY, "threshold", 0, threshold=0)
    np.testing.assert_array_equal(above_0[:][:, 0, 0, 0], [0, 1, 1, 1, 1])
    drawn = read("bernoulli")
    assert set(np.unique(drawn)) == {0.0, 1.0}
    np.testing.assert_allclose(
        drawn.mean(axis=(1, 2, 3)), [0, 0.2, 127 / 255, 128 / 255, 1], atol=0.02
    )
    np.testing.assert_array_equal(drawn, read("bernoulli"))
    assert not np.array_equal(drawn, read("bernoulli", seed=1))


def test_binarized_pixels_are_a_function_of_seed_epoch_and_example():
    images = Images(GREY.swapaxes(0, 1)[:100], "dynamic", 3)
    whole = images.batch(np.arange(100), epoch=2).images
    part = images.batch(np.array([7, 90]), epoch=2).images
    np.testing.assert_array_equal(part, whole[[7, 90]])
    assert not np.array_equal(images.batch(np.arange(100), epoch=3).images, whole)
    np.testing.assert_array_equal(images[10:12], images.batch(np.array([10, 11]), epoch=0).images)
    np.testing.assert_array_equal(images.first(5)[:], images[:5])
    static = Images(images.pixels, "bernoulli", 3)
    five, six = (static.batch(np.arange(9), epoch).images for epoch in (5, 6))
    np.testing.assert_array_equal(five, six)


def _settings(binarize="threshold", validation_size=1000, name="mnist_10k", **changes):
    location = sources.Location(Path("nowhere"))
    return pipeline.DataConfig(name, location, binarize, 127, validation_size, **changes)


def _load(binarize="threshold", validation_size=1000, seed=0):
    return pipeline.load(_settings(binarize, validation_size), seed)


def test_the_validation_split_is_the_end_of_the_training_split():
    data, whole = _load(), _load(validation_size=0)
    assert len(data.train.images) == 8000 and len(data.validation) == 1000
    assert len(whole.train.images) == 9000 and whole.validation is None
    joined = np.concatenate([data.train.images.pixels, data.validation.pixels])
    np.testing.assert_array_equal(joined, whole.train.images.pixels)


def test_the_validation_split_of_a_data_set_is_used(monkeypatch):
    source = sources.load("mnist_10k", sources.Location(Path("nowhere")))
    with_validation = dataclasses.replace(
        source, validation=sources.Split(*(a[:50] for a in _test_arrays(source)))
    )
    monkeypatch.setattr(sources, "load", lambda name, location: with_validation)
    plain = pipeline.load(_settings(), 0)
    assert (len(plain.train.images), len(plain.validation)) == (9000, 50)
    both = pipeline.load(_settings(train_on_validation=True, validation_size=20), 0)
    assert (len(both.train.images), len(both.validation)) == (9030, 20)
    np.testing.assert_array_equal(both.validation.pixels, with_validation.validation.images[30:])


def test_the_validation_split_of_few_images_is_a_fifth_of_them(monkeypatch):
    source = sources.load("mnist_10k", sources.Location(Path("nowhere")))
    few = dataclasses.replace(
        source, train=sources.Split(source.train.images[:300], source.train.labels[:300])
    )
    default = _settings(validation_size=None)
    all_images, given = pipeline.load(default, 0), pipeline.load(_settings(), 0)
    assert all_images.validation_size == len(given.validation) == 1000
    np.testing.assert_array_equal(all_images.validation.pixels, given.validation.pixels)
    monkeypatch.setattr(sources, "load", lambda name, location: few)
    data = pipeline.load(default, 0)
    assert (len(data.train.images), len(data.validation), data.validation_size) == (240, 60, 60)
    assert len(pipeline.evaluation_images(default, "validation")) == 60
    with pytest.raises(sources.DataError, match=r"split: expected one of .*, got 'tset'"):
        pipeline.evaluation_images(default, "tset")


def _test_arrays(source):
    return source.test.images, source.test.labels


def test_a_validation_split_that_leaves_no_training_images_is_refused():
    with pytest.raises(sources.DataError, match=r"^validation_size: expected .* 0\.\.8999"):
        _load(validation_size=9000)


def test_a_batch_is_a_function_of_seed_and_step():
    data = _load("dynamic").train
    batch = data.batch(7, 32).images
    np.testing.assert_array_equal(batch, data.batch(7, 32).images)
    assert not np.array_equal(batch, data.batch(8, 32).images)
    assert not np.array_equal(batch, _load("dynamic", seed=1).train.batch(7, 32).images)


@pytest.mark.parametrize("hosts", [1, 2])
def test_the_parts_of_all_hosts_join_to_the_batch(hosts):
    """There are four replicas, on one host or on two hosts with two each."""
    data, parts = _load("dynamic").train, 4
    count = parts // hosts
    streams = [
        list(data.batches(5, 8, 32, host * count, count, parts).as_numpy_iterator())
        for host in range(hosts)
    ]
    for i, step in enumerate((5, 6, 7)):
        read = [stream[i * count : (i + 1) * count] for stream in streams]
        whole = data.batch(step, 32)
        for name in ("images", "labels"):
            joined = np.concatenate([getattr(part, name) for of_host in read for part in of_host])
            np.testing.assert_array_equal(joined, getattr(whole, name))


def test_labels_stay_with_their_images():
    """In splits, in batches and after `first`. The label of an image is looked up by its pixels."""
    source, data = sources.load("mnist_10k", NO_FOLDER), _load("none")
    of_image = {
        image.tobytes(): label
        for image, label in zip(source.train.images, source.train.labels, strict=True)
    }
    batch = data.train.batch(3, 64)
    pixels = np.uint8(np.rint(batch.images * 255))
    assert batch.labels.dtype == np.int64 and len(set(batch.labels)) > 5
    assert [of_image[image.tobytes()] for image in pixels] == batch.labels.tolist()
    np.testing.assert_array_equal(data.validation.labels, source.train.labels[8000:])
    np.testing.assert_array_equal(data.test.first(7).labels, source.test.labels[:7])


def test_a_batch_without_labels_has_no_label_in_every_row():
    batch = Images(GREY, "none", 0).batch(np.arange(3))
    np.testing.assert_array_equal(batch.labels, [NO_LABEL] * 3)


def test_the_evaluation_images_do_not_depend_on_the_seed():
    for mode in ("bernoulli", "dynamic"):
        one, two = (_load(mode, seed=seed) for seed in (0, 1))
        np.testing.assert_array_equal(one.test[:], two.test[:])
        np.testing.assert_array_equal(one.validation[:], two.validation[:])
        np.testing.assert_array_equal(
            one.test[:9], pipeline.evaluation_images(_settings(mode), "test")[:9]
        )


def test_a_batch_has_no_image_twice():
    data = _load("none").train
    batch = data.batch(0, 8000).images
    assert len(np.unique(batch.reshape(8000, -1), axis=0)) == 8000


def test_dynamic_binarization_changes_with_every_epoch_and_static_does_not():
    for mode, same in (("dynamic", False), ("bernoulli", True)):
        images = _load(mode).train.images.first(16)
        data = pipeline.TrainingData(images, 0)
        one, two = (data.batch(step, 16).images.sum(axis=0) for step in (0, 1))
        assert np.array_equal(one, two) == same


def test_the_attribution_ships_with_the_data():
    text = (Path(sources.__path__[0]) / "mnist_10k.md").read_text()
    assert "CC BY-SA 3.0" in text and "LeCun" in text


@pytest.mark.parametrize("binarize", BINARIZATIONS)
def test_one_index_gives_one_image(binarize):
    pixels = np.random.default_rng(0).integers(0, 256, (5, 4, 4, 1), np.uint8)
    split = Images(pixels, binarize, seed=3)
    for place in (0, 3, -1):
        assert split[place].shape == (4, 4, 1)
        np.testing.assert_array_equal(split[place], split[:][place])
