"""Which files an input means."""

import os

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from biva_tf.data.reading import files, inputs
from biva_tf.data.reading.inputs import Reading
from biva_tf.data.reading.notes import ReadingNotes
from biva_tf.data.sources import DataError
from biva_tf.errors import SettingsError

SHAPE = (6, 5, 1)
HIDDEN = "left out, since their names begin with . or _"


def _pictures(folder, *names, value=9):
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        Image.fromarray(np.full(SHAPE[:2], value, np.uint8)).save(folder / name, "PNG")
    return folder


def _found(text):
    notes = ReadingNotes()
    rows, _ = inputs.find(str(text), Reading(), SHAPE, notes)
    names = [path.name for each in rows for path in each.files()]
    return names, notes.lines()


def test_hidden_files_and_folders_are_left_out_and_counted(tmp_path):
    _pictures(tmp_path, "a.png", ".b.png", "_c.png", "d.PNG")
    for folder in (".ipynb_checkpoints", "_thumbs", "__MACOSX"):
        _pictures(tmp_path / folder, "e.png")
    names, said = _found(tmp_path)
    assert names == ["a.png", "d.PNG"]
    (line,) = said
    assert line.startswith(f"{HIDDEN}: ") and line.count(str(tmp_path)) == 5
    many = [f"_{i}.png" for i in range(9)]
    _pictures(tmp_path / "many", "x.png", *many)
    assert _found(tmp_path / "many")[1][0].endswith("_4.png and 4 more")
    assert _found(tmp_path / "many" / "*")[0] == ["x.png"]
    # What is named itself is taken.
    assert _found(tmp_path / "_thumbs")[0] == ["e.png"]
    assert _found(tmp_path / "_c.png")[0] == ["_c.png"]


def test_links_to_folders_are_followed_and_loops_end(tmp_path):
    folder = _pictures(tmp_path / "a", "1.png")
    _pictures(tmp_path / "elsewhere" / "deep", "2.png")
    (folder / "more").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere" / "deep" / "back").symlink_to(folder)
    (folder / "self").symlink_to(folder / "self")
    (folder / "gone.png").symlink_to(tmp_path / "nowhere.png")
    os.mkfifo(folder / "pipe.png")
    names, said = _found(folder)
    assert names == ["1.png", "2.png"]
    assert sorted(said) == [
        f"left out, since it is no regular file: {folder / 'pipe.png'}",
        f"left out, since it was read under another name: {folder}/more/deep/back",
        f"left out, since the link leads nowhere: {folder / 'gone.png'}, {folder / 'self'}",
    ]


def test_what_exists_by_its_name_is_no_pattern(tmp_path):
    _pictures(tmp_path / "set[1]", "a[0].png", "b.png")
    _pictures(tmp_path / "set1", "c.png")
    assert _found(tmp_path / "set[1]")[0] == ["a[0].png", "b.png"]
    assert _found(tmp_path / "set[1]" / "a[0].png")[0] == ["a[0].png"]
    assert _found(tmp_path / "set[12]")[0] == ["c.png"]
    with pytest.raises(SettingsError, match=r"input=.*nothing\*: expected files, folders of pict"):
        _found(tmp_path / "nothing*")


def test_names_that_are_not_utf8_work_and_are_escaped(tmp_path):
    folder = os.fsencode(tmp_path / "p\xe4ge")
    os.mkdir(folder)
    for name in (b"caf\xe9.png", b"new\nline.png"):
        with open(os.path.join(folder, name), "wb") as file:
            Image.fromarray(np.full(SHAPE[:2], 9, np.uint8)).save(file, "PNG")
    with open(os.path.join(folder, b"bad\xff.png"), "wb") as file:
        file.write(b"x")
    rows, _ = inputs.find(os.fsdecode(folder), Reading(), SHAPE, ReadingNotes())
    (rows,) = rows
    shown = [place.rpartition("/")[2] for place, _ in rows.places()]
    assert shown == ["bad\\xff.png", "caf\\xe9.png", "new\\nline.png"]
    assert sum(isinstance(image, np.ndarray) for image in rows.read(SHAPE)) == 2
    assert rows.describe()["source"] == str(tmp_path / "p\xe4ge")
    pa.array(shown)  # they are text
    os.remove(os.path.join(folder, b"new\nline.png"))
    os.remove(os.path.join(folder, b"caf\xe9.png"))
    with pytest.raises(DataError, match=r"bad\\xff\.png: expected a picture"):
        _found(os.fsdecode(folder))


def test_a_folder_is_one_of_pictures_or_of_tables_or_of_arrays(tmp_path):
    folder = tmp_path / "x"
    folder.mkdir()
    grey = np.arange(60, dtype=np.uint8).reshape(2, *SHAPE)
    np.save(folder / "c.npy", grey)
    (folder / "_SUCCESS").write_bytes(b"")
    (folder / "notes.txt").write_text("")
    names, said = _found(folder)
    assert names == ["c.npy"]
    assert said[1:] == [f"left out, since they are of another kind: {folder / 'notes.txt'}"]
    for name in ("b.parquet", "a.PARQUET"):
        pq.write_table(pa.table({"image": grey.reshape(2, -1).tolist()}), folder / name)
    assert _found(folder)[0] == ["a.PARQUET", "b.parquet"]
    assert _found(folder / "*.parquet")[0] == ["b.parquet"]
    with pytest.raises(DataError, match=r"notes\.txt: expected a \.parquet, \.npz or \.npy file"):
        _found(folder / "*")
    (folder / "notes.txt").unlink()
    assert _found(folder / "*")[0] == ["a.PARQUET", "b.parquet", "c.npy"]
    _pictures(folder / "deep", "d.png")
    names, said = _found(folder)
    assert names == ["d.png"]
    assert f"left out, since they are of another kind: {folder / 'a.PARQUET'}" in said[1]


def test_each_file_of_an_input_has_its_range_and_pictures_have_one(tmp_path):
    bits = np.eye(6, 5, dtype=np.uint8)[np.newaxis]
    np.save(tmp_path / "a.npy", bits)
    np.save(tmp_path / "b.npy", bits * 255)
    notes = ReadingNotes()
    images, of_bits = inputs.images(str(tmp_path), Reading(), SHAPE, notes)
    np.testing.assert_array_equal(images[0], images[1])
    assert not of_bits
    assert notes.lines() == [
        f"taken as binary images, since all values are integers 0 and 1: {tmp_path / 'a.npy'}"
    ]
    _pictures(tmp_path / "p", "a.png", value=1)
    _pictures(tmp_path / "p", "b.png", value=255)
    with pytest.raises(DataError, match=r"a\.png has only the values 0 and 1, but .*b\.png has"):
        _found(tmp_path / "p")


def test_a_folder_that_cannot_be_read_is_named(tmp_path, monkeypatch):
    _pictures(tmp_path / "a", "1.png")
    _pictures(tmp_path / "closed", "2.png")
    scandir = os.scandir

    def refuse(path):
        if str(path).endswith("closed"):
            raise PermissionError(13, "Permission denied")
        return scandir(path)

    monkeypatch.setattr(files.os, "scandir", refuse)
    names, said = _found(tmp_path)
    assert names == ["1.png"]
    assert said == [f"left out, since it cannot be read (Permission denied): {tmp_path}/closed"]
