"""A folder that one process at a time writes."""

import contextlib
import errno
import fcntl
import os
import signal
import socket

import pytest
from conftest import run, train_args

from biva_tf.errors import Setting, UserError
from biva_tf.locks import NAME, LockedError, only_one


def _held(folder):
    return only_one(folder, Setting("model_dir", folder), "training")


@contextlib.contextmanager
def _another_process(folder):
    """Its number, while it holds the folder; it is killed at the end."""
    read, write = os.pipe()
    child = os.fork()
    if not child:
        with _held(folder):
            os.write(write, b"held")
            signal.pause()
    os.read(read, 4)
    try:
        yield child
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        os.close(read)
        os.close(write)


def test_a_second_process_is_refused_by_host_process_and_folder_until_the_first_is_killed(tmp_path):
    folder = tmp_path / "runs" / "model"
    with _another_process(folder) as number, pytest.raises(LockedError) as refused, _held(folder):
        pass
    expected = f"training is under way there, by process {number} on {socket.gethostname()}. "
    assert f"--model_dir={folder}: {expected}" in refused.value.with_flags()
    with _held(folder):  # although the file of the killed one is there
        assert (folder / NAME).read_text() == f"{socket.gethostname()} {os.getpid()}\n"


def test_a_lock_leaves_nothing_behind(tmp_path):
    with _held(tmp_path / "new" / "model"):
        pass
    assert not list(tmp_path.iterdir())
    (tmp_path / "file").write_text("")
    with _held(tmp_path):
        pass
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_file_in_place_of_the_folder_is_named(tmp_path):
    path = tmp_path / "file"
    path.write_text("")
    with pytest.raises(UserError, match="file: expected a folder, got a file"), _held(path):
        pass
    below = path / "model"
    with pytest.raises(UserError, match="cannot make the folder"), _held(below):
        pass


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.EOPNOTSUPP])
def test_a_file_system_without_locks_says_so_once_and_goes_on(
    number, tmp_path, monkeypatch, capsys
):
    def flock(*_):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", flock)
    done = False
    with _held(tmp_path):
        done = True
    assert done
    said = capsys.readouterr().err
    assert said == (
        f"note: {tmp_path} cannot be locked ({os.strerror(number)}); see to it that only one "
        "process writes it\n"
    )


def test_a_folder_that_cannot_be_written_says_so_and_goes_on(tmp_path, monkeypatch, capsys):
    def read_only(path, *_):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(path))

    monkeypatch.setattr(os, "open", read_only)
    with _held(tmp_path):
        pass
    assert "cannot be locked (Read-only file system)" in capsys.readouterr().err


def test_a_second_training_is_refused_and_changes_nothing(trained, digits_json):
    before = {path: path.read_bytes() for path in trained.rglob("*") if path.is_file()}
    with _held(trained):
        result = run(*train_args(trained, digits_json, "--seed=4"))
    assert result.returncode == 1
    process = f"process {os.getpid()} on {socket.gethostname()}"
    assert result.stderr.startswith(
        f"train: --model_dir={trained}: training is under way there, by {process}."
    )
    assert len(result.stderr.splitlines()) == 1
    assert before == {path: path.read_bytes() for path in trained.rglob("*") if path.is_file()}


@pytest.mark.slow
def test_a_run_is_evaluated_while_it_trains(trained):
    with _held(trained):
        result = run("-m", "biva_tf.evaluate", f"--model_dir={trained}", "--iw_samples=1")
    assert result.returncode == 0, result.stderr[-3000:]
