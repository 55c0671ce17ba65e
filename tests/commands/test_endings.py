"""How commands end with an error: in one line, without a traceback unless one asks for it."""

import errno
import os
import sys

import pytest
import tensorflow as tf
from conftest import run

from biva_tf.commands import endings
from biva_tf.errors import Setting, SettingsError
from biva_tf.files import system_error

COMMAND = ("-m", "tests.commands.failing_command")
FULL = "/d/ckpt-5_temp/part-00000-of-00001; No space left on device"


def _op_error(kind, message):
    return kind(None, None, message)


@pytest.mark.parametrize(
    "error, said",
    [
        (SettingsError(Setting("steps"), ": expected 1"), "--steps: expected 1"),
        (
            OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "/d/a b.npz"),
            "/d/a b.npz: No space left on device; make room there, and run the same command again",
        ),
        (
            OSError(errno.EROFS, os.strerror(errno.EROFS), "/d"),
            "/d: Read-only file system; name a place that can be written",
        ),
        (
            OSError(errno.EXDEV, os.strerror(errno.EXDEV), "/d/a", None, "/e/a"),
            "/d/a -> /e/a: Invalid cross-device link",
        ),
        (OSError("no usable folder"), "no usable folder"),
        (MemoryError(), "there is not enough memory; try again where more is free"),
        (
            _op_error(
                tf.errors.ResourceExhaustedError, f"{{{{function_node x}}}} {FULL} [Op:SaveV2]"
            ),
            f"{FULL.replace(';', ':')}; make room there, and run the same command again",
        ),
        (
            _op_error(tf.errors.OutOfRangeError, "/d/a; File too large\n\tCould not flush"),
            "/d/a: File too large; raise the limit (ulimit -f), and run the same command again",
        ),
        (
            _op_error(
                tf.errors.ResourceExhaustedError,
                "{{function_node y}} OOM when allocating tensor with shape[9,9] [Op:AddV2] name: ",
            ),
            "there is not enough memory (OOM when allocating tensor with shape[9,9]); try again "
            "where more is free",
        ),
        (
            _op_error(tf.errors.DataLossError, "corrupted record at 12 [Op:IteratorGetNext]"),
            "a file is damaged: corrupted record at 12",
        ),
        (
            _op_error(tf.errors.UnavailableError, "failed to connect"),
            "a device or a host cannot be reached: failed to connect",
        ),
        (
            _op_error(
                tf.errors.InvalidArgumentError, "Invalid PNG data, size 3\n [Op:IteratorGetNext]"
            ),
            "a file cannot be read: Invalid PNG data, size 3",
        ),
    ],
)
def test_what_can_be_foreseen_is_said_in_one_line(error, said, capsys):
    assert endings.end("train", error, show=False) == 1
    assert capsys.readouterr() == ("", f"train: {said}\n")


def test_an_error_of_the_program_is_one_line_and_a_file_in_the_temporary_folder(
    tmp_path, monkeypatch, capsys
):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    error = _op_error(tf.errors.InvalidArgumentError, "Incompatible shapes [Op:AddV2]")
    assert endings.end("train", error, show=False) == 1
    (kept,) = tmp_path.iterdir()
    assert capsys.readouterr().err == (
        "train: an error of the program: InvalidArgumentError: Incompatible shapes. "
        f"Its traceback is in {kept}; --traceback shows it\n"
    )
    assert "Incompatible shapes [Op:AddV2]" in kept.read_text()


def test_without_a_place_for_the_file_the_line_comes_alone(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "missing"))
    assert endings.end("train", KeyError("a"), show=False) == 1
    expected = "train: an error of the program: KeyError: 'a'. --traceback shows it\n"
    assert capsys.readouterr().err == expected


def test_the_file_is_in_the_folder_of_the_run_and_says_what_was_run(tmp_path):
    args = ("--how=error of the program", f"--model_dir={tmp_path}")
    result = run(*COMMAND, *args)
    assert result.returncode == 1
    (kept,) = tmp_path.iterdir()
    assert kept.name == "traceback-failing.txt"
    assert result.stderr == (
        "failing: an error of the program: KeyError: 'absent'. "
        f"Its traceback is in {kept}; --traceback shows it\n"
    )
    text = kept.read_text()
    assert "Traceback" in text and "failing_command.py" in text and sys.version in text
    assert f"'{args[0]}' {args[1]}" in text
    shown = run(*COMMAND, *args, "--traceback").stderr
    assert "Traceback" in shown and 'return {}["absent"]' in shown
    assert shown.endswith(result.stderr)


@pytest.mark.parametrize(
    "how, code, said",
    [
        ("interrupted", 130, "SIGINT: stopped"),
        (
            "full output",
            1,
            "No space left on device; make room there, and run the same command again",
        ),
        ("nobody reads", 1, "Broken pipe; what reads the output has ended"),
        (
            "too large",
            1,
            "there is not enough memory (Unable to allocate 1.00 EiB for an array with shape "
            "(1152921504606846976,) and data type uint8); try again where more is free, or with a "
            "smaller --batch_size",
        ),
    ],
)
def test_a_command_ends_in_one_line(how, code, said, tmp_path):
    result = run(*COMMAND, f"--how={how}", f"--model_dir={tmp_path}")
    assert (result.returncode, result.stderr) == (code, f"failing: {said}\n")
    assert not list(tmp_path.iterdir())


def test_an_error_that_names_no_file_of_the_system_is_none_of_its_errors():
    assert system_error(ValueError("a; b")) is None
    assert system_error(OSError("a")) is None
    found = system_error(RuntimeError("cannot write: /d/x; Read-only file system"))
    assert (found.errno, found.filename) == (errno.EROFS, "/d/x")
