import numpy as np
import pytest

from biva_tf.data import labelled, pipeline, sources
from biva_tf.data.images import NO_LABEL, Images
from biva_tf.data.pipeline import TrainingData

LABELS = np.repeat(np.arange(5), [30, 20, 40, 25, 35])


def test_every_class_has_as_many_labels_and_the_seed_chooses_them():
    places = labelled.choose(LABELS, 5, 50, seed=1)
    assert np.bincount(LABELS[places]).tolist() == [10] * 5
    assert len(np.unique(places)) == 50
    np.testing.assert_array_equal(places, labelled.choose(LABELS, 5, 50, seed=1))
    assert not np.array_equal(places, labelled.choose(LABELS, 5, 50, seed=2))
    np.testing.assert_array_equal(labelled.choose(LABELS, 5, None, seed=0), np.arange(150))


@pytest.mark.parametrize(
    "number,classes,message",
    [
        (12, 5, "^labels: expected a multiple of the 5 classes, got 12"),
        (150, 5, "^labels: expected at most 20 images of class 1, got 30"),
        (10, 4, "labels: expected classes 0 to 3, got 0, 1, 2, 3, 4"),
    ],
)
def test_labels_that_cannot_be_chosen_are_refused(number, classes, message):
    with pytest.raises(sources.DataError, match=message):
        labelled.choose(LABELS, classes, number, seed=0)


@pytest.fixture
def data():
    pixels = np.arange(150, dtype=np.uint8).reshape(-1, 1, 1, 1)
    places = labelled.choose(LABELS, 5, 20, seed=0)
    return TrainingData(Images(pixels, "none", 0, LABELS), seed=3, labelled=places)


def test_every_second_row_of_a_batch_is_labelled_and_the_others_are_not(data):
    for step in range(5):
        images, labels = data.batch(step, 16)
        places = np.rint(images[:, 0, 0, 0] * 255).astype(int)
        assert set(places[::2]) <= set(data.labelled)
        np.testing.assert_array_equal(labels[::2], LABELS[places[::2]])
        assert (labels[1::2] == NO_LABEL).all()


def test_a_batch_is_the_same_in_parts_and_in_every_call(data):
    whole = data.batch(7, 16)
    parts = [data.batch(7, 16, part, 4) for part in range(4)]
    for field, joined in zip(whole, zip(*parts, strict=True), strict=True):
        np.testing.assert_array_equal(field, np.concatenate(joined))


def test_few_labels_are_drawn_with_replacement(data):
    images, labels = data.batch(0, 100)
    assert len(np.unique(images[::2])) <= 20 and (labels[::2] >= 0).all()
    assert len(np.unique(images[1::2])) == 50


def test_loading_for_classes_chooses_labels_of_the_training_split():
    config = pipeline.DataConfig(
        dataset="mnist_10k",
        location=sources.Location.from_text("unused"),
        binarize="threshold",
        threshold=127,
        validation_size=1000,
        labels=100,
        label_seed=4,
    )
    train = pipeline.load(config, seed=0, classes=10).train
    assert np.bincount(train.images.labels[train.labelled]).tolist() == [10] * 10
    assert pipeline.load(config, seed=0).train.labelled is None
