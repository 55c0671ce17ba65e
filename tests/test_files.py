"""Files on a full disk: nothing half-written stays, and what was there before is there still."""

import errno
import os
import subprocess

import numpy as np
import pytest
import tensorflow as tf

import biva_tf
from biva_tf import files
from biva_tf.batch_scoring.output import OutputError, ScoresFolder
from biva_tf.data import picture_files, prepared
from biva_tf.runs.checkpoints import SelectedWeights, remove_remains
from biva_tf.serving import exporting

NO_ROOM = os.strerror(errno.ENOSPC)


def _everything(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def test_a_file_that_cannot_be_written_whole_leaves_the_one_before(disk):
    path = disk / "a.json"
    files.write_atomically(path, b"before")
    with pytest.raises(OSError, match=f"{NO_ROOM}: '{path}'"):
        files.write_atomically(path, bytes(300_000))
    assert path.read_bytes() == b"before"
    assert _everything(disk) == ["a.json"]
    with pytest.raises(OSError, match=f"{NO_ROOM}: '{disk / 'pictures'}'"):
        noise = np.random.default_rng(0).integers(0, 256, (99, 64, 64, 3)).astype(np.uint8)
        picture_files.write(disk / "pictures", noise)
    assert _everything(disk) == ["a.json"]


def test_a_memory_map_has_its_place_before_it_is_written(disk, monkeypatch, capsys):
    """Without it, the process ends by SIGBUS."""
    path = disk / "images.npy"
    with prepared._file_for(path, (400, 1000)) as images:
        images[:] = 1
    assert np.asarray(images).sum() == 400_000
    assert f"note: {path}: no room for 0.4 MiB" in capsys.readouterr().err
    assert not _everything(disk)
    monkeypatch.setattr(prepared, "_IN_MEMORY", 1000)
    with (
        pytest.raises(OSError, match=r"no room for 0\.4 MiB"),
        prepared._file_for(path, (400, 1000)),
    ):
        pass
    assert not _everything(disk)
    with prepared._file_for(path, (100, 1000)) as images:
        images[:] = 2
    assert np.load(path).sum() == 200_000


def test_a_checkpoint_that_cannot_be_written_leaves_those_before(disk):
    model = biva_tf.build("tiny_dense")
    selected = SelectedWeights(disk / "weights", model)
    selected.save(1)
    before = _everything(disk)
    first = (disk / "weights" / "ckpt-1.index").read_bytes()
    subprocess.run(["dd", "if=/dev/zero", f"of={disk / 'full'}"], capture_output=True)
    for step in (1, 2):  # step 1 is written over
        with pytest.raises(OSError, match=f"{NO_ROOM}: '{disk / 'weights'}/ckpt-{step}'"):
            selected.save(step)
        assert _everything(disk) == sorted([*before, "full"])
        assert (disk / "weights" / "ckpt-1.index").read_bytes() == first
    (disk / "full").unlink()
    selected.save(2)
    assert selected.restore() == 2


def test_what_a_kill_leaves_of_a_checkpoint_is_removed(tmp_path):
    model = biva_tf.build("tiny_dense")
    SelectedWeights(tmp_path, model).save(1)
    before = _everything(tmp_path)
    (tmp_path / "ckpt-2_temp").mkdir()
    for name in ("ckpt-2_temp/part", "checkpoint.tmp1", ".ckpt-1.index.1.tmp", "ckpt-2.data-0-1"):
        (tmp_path / name).write_bytes(b"x")
    remove_remains(tmp_path)
    assert _everything(tmp_path) == before
    (tmp_path / "checkpoint").unlink()  # as before the first checkpoint is whole
    index = tmp_path / "ckpt-1.index"
    index.write_bytes(index.read_bytes()[:-100])
    remove_remains(tmp_path)
    assert not _everything(tmp_path)


@pytest.mark.slow
def test_an_export_that_cannot_be_written_leaves_nothing(disk):
    model = biva_tf.build("tiny_conv")
    (disk / "full").write_bytes(bytes(190_000))
    with pytest.raises(OSError, match=f"{NO_ROOM}: '{disk}/1'"):
        exporting.export(model, disk)
    assert _everything(disk) == ["full"]


def test_scores_go_on_in_a_folder_where_a_start_has_failed(tmp_path):
    folder = tmp_path / "scores"
    (folder / "parts").mkdir(parents=True)
    for name in (".scores.json.123.tmp", ".lock", "parts/.000000.parquet.1.tmp"):
        (folder / name).write_text("{")
    ScoresFolder(folder, {"seed": 0})
    assert _everything(folder) == [".lock", "parts", "scores.json"]
    other = tmp_path / "other"
    (other / "parts").mkdir(parents=True)
    (other / "parts" / "mine").write_text("")
    with pytest.raises(OutputError, match="it has other files"):
        ScoresFolder(other, {"seed": 0})


def test_only_errors_of_the_system_are_named(tmp_path):
    path = tmp_path / "a"
    with pytest.raises(KeyError), files.naming(path):
        raise KeyError("a")
    in_words = tf.errors.ResourceExhaustedError(None, None, f"{path}/b_temp; {NO_ROOM}")
    with pytest.raises(OSError, match=f"{NO_ROOM}: '{path}'"), files.naming(path):
        raise in_words
    with pytest.raises(FileNotFoundError, match="'/elsewhere'"), files.naming(path):
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), "/elsewhere")
