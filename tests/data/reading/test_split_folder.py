"""A folder of pictures as a data set."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from biva_tf.data.reading.notes import ReadingNotes
from biva_tf.data.reading.split_folder import SplitFolder
from biva_tf.data.sources import DataError

RNG = np.random.default_rng(0)


def _fill(folder, count=3, size=(8, 8)):
    folder.mkdir(parents=True, exist_ok=True)
    for i in range(count):
        pixels = RNG.integers(0, 256, (*size, 3)).astype(np.uint8)
        Image.fromarray(pixels).save(folder / f"{i}.png")


def _read(folder, **options):
    notes = ReadingNotes()
    found = SplitFolder(folder, notes, **options)
    examples = {split: list(each) for split, each in found.splits().items()}
    return found.labels, examples, notes.lines()


def _counts(examples):
    return {split: len(each) for split, each in examples.items()}


@pytest.mark.parametrize(
    "names", [("Train", "Test", "Val"), ("train", "test", "valid"), ("TRAIN", "test", "Validation")]
)
def test_splits_are_known_by_their_names_in_any_case(names, tmp_path):
    for name, count in zip(names, (4, 2, 3), strict=True):
        _fill(tmp_path / name, count)
    _fill(tmp_path / "extra")
    labels, examples, said = _read(tmp_path)
    assert _counts(examples) == {"train": 4, "validation": 3, "test": 2}
    assert labels is None and {label for each in examples.values() for _, label in each} == {0}
    assert said == [f"left out, since they are in no folder of a split: {tmp_path / 'extra'}"]


def test_two_folders_of_one_split_and_a_missing_one_are_named(tmp_path):
    _fill(tmp_path / "train")
    with pytest.raises(DataError, match="expected pictures for the test split, found none"):
        _read(tmp_path)
    # A link to the training pictures is not taken for a test.
    (tmp_path / "test").symlink_to(tmp_path / "train")
    with pytest.raises(DataError, match="expected pictures for the test split, found none"):
        _read(tmp_path)
    (tmp_path / "test").unlink()
    for name in ("test", "val", "valid"):
        _fill(tmp_path / name)
    with pytest.raises(DataError, match=r"valid: expected one folder of the validation split"):
        _read(tmp_path)


@pytest.mark.parametrize("inside", [".", "train", "test", "dog"])
def test_one_picture_is_not_taken_for_both_splits(inside, tmp_path):
    with pytest.raises(DataError, match="expected pictures, found none"):
        _read(tmp_path)
    for split in ("train", "test"):
        (tmp_path / split).mkdir(exist_ok=inside == split)
    _fill(tmp_path / inside, 1)
    for split in {"train", "test"} - {inside}:
        (tmp_path / split).rmdir()
    found = (Path(inside) / "0.png").as_posix()
    expected = (
        rf"one for the test, found {found} alone; .* put a copy of it into each of the folders"
    )
    with pytest.raises(DataError, match=expected):
        _read(tmp_path)
    _fill(tmp_path / inside, 2)
    if inside in (".", "dog"):
        assert _counts(_read(tmp_path)[1]) == {"train": 1, "test": 1}


def test_a_copy_of_one_picture_is_trained_on_and_tested_on(tmp_path):
    _fill(tmp_path / "train", 1)
    shutil.copytree(tmp_path / "train", tmp_path / "test")
    _, examples, said = _read(tmp_path)
    assert _counts(examples) == {"train": 1, "test": 1} and said == []
    np.testing.assert_array_equal(examples["train"][0][0], examples["test"][0][0])


def test_sub_folders_are_labels(tmp_path):
    for split, count in (("train", 3), ("test", 1)):
        for label in ("dog", "cat"):
            _fill(tmp_path / split / label, count)
    _fill(tmp_path / "train" / "eel" / "deep", 2)
    labels, examples, said = _read(tmp_path)
    assert labels == ("cat", "dog", "eel") and said == []
    assert [label for _, label in examples["train"]] == [0, 0, 0, 1, 1, 1, 2, 2]
    assert [label for _, label in examples["test"]] == [0, 1]
    labels, examples, _ = _read(tmp_path / "train")  # labels without splits
    assert labels == ("cat", "dog", "eel") and _counts(examples) == {"train": 7, "test": 1}
    _fill(tmp_path / "train", 1)
    labels, examples, said = _read(tmp_path / "train")
    assert labels is None and {label for _, label in examples["train"]} == {0}
    assert said[0].startswith("sub-folders are no labels, since there are pictures beside them")


def test_broken_pictures_are_left_out_by_name(tmp_path):
    _fill(tmp_path, 12)
    _fill(tmp_path / "other", 1, (20, 30))
    whole = (tmp_path / "other" / "0.png").read_bytes()
    (tmp_path / "other" / "0.png").unlink()
    (tmp_path / "cut.png").write_bytes(whole[:900])
    (tmp_path / "3.png").write_bytes((tmp_path / "3.png").read_bytes()[:-40])
    (tmp_path / "page.png").write_bytes(b"<html>404</html>")
    _, examples, said = _read(tmp_path)
    assert sum(_counts(examples).values()) == 11
    (line,) = said
    assert line.startswith("left out: ")
    for name in ("cut.png", "3.png", "page.png"):
        assert f"{tmp_path / name} (expected a picture (" in line
    for path in tmp_path.glob("*.png"):
        path.write_bytes(b"")
    with pytest.raises(DataError, match="no picture can be read"):
        _read(tmp_path)


def test_pictures_of_several_sizes_are_named_before_anything_is_made(tmp_path):
    _fill(tmp_path, 7)
    _fill(tmp_path / "other", 2, (20, 30))
    with pytest.raises(DataError) as e:
        SplitFolder(tmp_path, ReadingNotes()).splits()
    assert str(e.value) == (
        f"{tmp_path}: expected pictures of one size, got 7 of 8x8 (1.png, 2.png, 3.png, 4.png, "
        "5.png and 2 more); 2 of 20x30 (other/0.png, other/1.png)"
    )


def test_pixels_follow_the_rules_of_all_pictures(tmp_path):
    _fill(tmp_path, 10)
    Image.fromarray(np.full((8, 8), 1000, np.uint16)).save(tmp_path / "sixteen.png")
    Image.fromarray(np.zeros((8, 8, 4), np.uint8)).save(tmp_path / "through.png")
    _, examples, said = _read(tmp_path, background=7)
    images = [image for image, _ in examples["train"] + examples["test"]]
    assert {image.shape for image in images} == {(8, 8, 3)}
    assert any((image == 4).all() for image in images) and any((i == 7).all() for i in images)
    assert len(said) == 2
    for path in tmp_path.iterdir():
        Image.fromarray(np.eye(8, dtype=np.uint8)).save(path)
    _, examples, said = _read(tmp_path)
    assert set(np.unique(examples["train"][0][0])) == {0, 255}
    assert said == [f"taken as binary images, since all values are integers 0 and 1: {tmp_path}"]
