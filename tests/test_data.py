from pathlib import Path

import numpy as np
import pytest

from biva_tf.data import binarization, pipeline, sources


def test_mnist_10k_is_split_in_file_order():
    source = sources.load("mnist_10k")
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
        "def load():\n"
        "    split = Split(np.zeros((2, 8, 8, 1), np.uint8), np.zeros(2, np.uint8))\n"
        "    return Source(split, split)\n"
    )
    monkeypatch.setattr(sources, "__path__", [*sources.__path__, str(tmp_path)])
    assert "two_images" in sources.names()
    assert sources.load("two_images").train.images.shape == (2, 8, 8, 1)


def test_an_unknown_source_lists_the_known_ones():
    with pytest.raises(sources.DataError, match=r"--dataset: expected one of .*mnist_10k.*'mnist'"):
        sources.load("mnist")


def test_a_damaged_source_names_its_file(tmp_path, monkeypatch):
    from biva_tf.data.sources import mnist_10k

    path = tmp_path / "cut.npz"
    path.write_bytes(mnist_10k._FILE.read_bytes()[:10_000])
    monkeypatch.setattr(mnist_10k, "_FILE", path)
    with pytest.raises(sources.DataError, match=r"cut.npz: expected the npz file that ships"):
        mnist_10k.load()


GREY = np.repeat(np.array([0, 51, 127, 128, 255], np.uint8), 20_000).reshape(5, 20_000, 1, 1)


def test_binarization():
    np.testing.assert_allclose(
        binarization.fixed(GREY, "none", 0)[:, 0, 0, 0], [0, 0.2, 127 / 255, 128 / 255, 1]
    )
    np.testing.assert_array_equal(
        binarization.fixed(GREY, "threshold", 0)[:, 0, 0, 0], [0, 0, 0, 1, 1]
    )
    drawn = binarization.fixed(GREY, "bernoulli", 0)
    assert set(np.unique(drawn)) == {0.0, 1.0}
    np.testing.assert_allclose(
        drawn.mean(axis=(1, 2, 3)), [0, 0.2, 127 / 255, 128 / 255, 1], atol=0.02
    )
    np.testing.assert_array_equal(drawn, binarization.fixed(GREY, "bernoulli", 0))
    assert not np.array_equal(drawn, binarization.fixed(GREY, "bernoulli", 1))


def _load(binarize="threshold", validation_size=1000, seed=0):
    return pipeline.load("mnist_10k", binarize=binarize, validation_size=validation_size, seed=seed)


def test_the_validation_split_is_the_end_of_the_training_split():
    data, whole = _load(), _load(validation_size=0)
    assert len(data.train.images) == 8000 and len(data.validation) == 1000
    assert len(whole.train.images) == 9000 and whole.validation is None
    np.testing.assert_array_equal(
        np.concatenate([data.train.images, data.validation]), whole.train.images
    )


def test_a_validation_split_that_leaves_nothing():
    with pytest.raises(sources.DataError, match=r"--validation_size: expected .* 0\.\.8999"):
        _load(validation_size=9000)


def test_a_batch_is_a_function_of_seed_and_step():
    data = _load("dynamic").train
    np.testing.assert_array_equal(data.batch(7, 32), data.batch(7, 32))
    assert not np.array_equal(data.batch(7, 32), data.batch(8, 32))
    assert not np.array_equal(data.batch(7, 32), _load("dynamic", seed=1).train.batch(7, 32))
    streamed = [batch.numpy() for batch in data.batches(5, 8, 32)]
    for step, batch in zip((5, 6, 7), streamed, strict=True):
        np.testing.assert_array_equal(batch, data.batch(step, 32))


def test_every_run_is_tested_on_the_same_images():
    for mode in ("bernoulli", "dynamic"):
        one, two = (_load(mode, seed=seed) for seed in (0, 1))
        np.testing.assert_array_equal(one.test, two.test)
        np.testing.assert_array_equal(one.validation, two.validation)
        assert not np.array_equal(one.test[:500], one.validation[:500])


def test_a_batch_has_no_image_twice():
    data = _load("none").train
    batch = data.batch(0, 8000)
    assert len(np.unique(batch.reshape(8000, -1), axis=0)) == 8000


def test_dynamic_binarization_changes_with_every_visit_and_static_does_not():
    for mode, same in (("dynamic", False), ("bernoulli", True)):
        data = _load(mode).train
        one, two = (
            pipeline.TrainingData(data.images[:16], 0).batch(step, 16).sum(axis=0)
            for step in (0, 1)
        )
        assert np.array_equal(one, two) == same


def test_the_attribution_ships_with_the_data():
    text = (Path(sources.__path__[0]) / "mnist_10k.md").read_text()
    assert "CC BY-SA 3.0" in text and "LeCun" in text
