"""What a new user meets first: help, and answers to mistakes, without waiting for TensorFlow."""

import re

import pytest
from conftest import ROOT, command, run
from test_commands import COMMANDS

DIGITS = "--pretrained=mnist_10k_small"
TRAIN = ("biva_tf.train", "--model_dir=runs/none")

# The commands that read a trained model, and the flags that each has to be given.
OF_A_MODEL = {
    "evaluate": (),
    "anomaly": ("out_dataset",),
    "classify": (),
    "sample": (),
    "compress": ("input", "output"),
    "decompress": ("input", "output"),
    "plot": (),
    "report": (),
    "export": ("export_dir",),
}


def _run_and_list_imports(*args):
    """The exit code, standard output, own lines of standard error, and the imported packages."""
    with command("-X", "importtime", "-m", *args) as process:
        out, err = process.communicate(timeout=60)
    lines = err.splitlines()
    imported = [line for line in lines if line.startswith("import time:")]
    own = [line for line in lines if not line.startswith("import time:")]
    packages = {line.rpartition("|")[2].strip().partition(".")[0] for line in imported}
    return process.returncode, out, own, packages


@pytest.mark.parametrize("name", COMMANDS)
def test_help_does_not_import_tensorflow(name):
    code, out, own, packages = _run_and_list_imports(f"biva_tf.{name}", "--help")
    assert code == 0 and not own and "\nflags:\n" in out
    assert "absl" in packages and not packages & {"tensorflow", "keras"}


@pytest.mark.parametrize("name", COMMANDS)
def test_an_unknown_flag_is_answered_in_one_line_without_tensorflow(name):
    code, _, own, packages = _run_and_list_imports(f"biva_tf.{name}", "--helpp")
    assert code == 1
    assert re.fullmatch(rf"{name}: --helpp: there is no such flag; the nearest .*--help.*", *own)
    assert "tensorflow" not in packages


@pytest.mark.parametrize(
    ("args", "answer"),
    [
        ((*TRAIN, "--lerning_rate=1"), "--lerning_rate: .*; the nearest are --learning_rate, .*"),
        ((*TRAIN, "--dataset=minst_10k"), "--dataset=minst_10k: .*; the nearest is mnist_10k; .*"),
        ((*TRAIN, "--architecture=mnist_l7"), "--architecture: .*; the nearest are mnist_l6, .*"),
        ((*TRAIN, "--flagfile=minst_sample"), "--flagfile=.*; those that ship: mnist_sample, .*"),
        ((*TRAIN, "--ema_decay=2"), r"--ema_decay=2: expected a number in \[0, 1\).*"),
        (("biva_tf.train",), "--model_dir: expected a value, got none; .*"),
        (("biva_tf.sample", "--pretrained=fashion"), "--pretrained=.*; the nearest is fashion_.*"),
        (("biva_tf.evaluate",), "--model_dir, --pretrained: expected one of them, got neither"),
        (
            ("biva_tf.decompress", DIGITS, "--input=README.md", "--output=f.npz"),
            "--input=README.md: expected .*",
        ),
        (
            ("biva_tf.score_dataset", "--export_dir=none", "--input=mnist_10k", "--output=none"),
            "--export_dir=none: expected the versions of biva_tf.export, found none",
        ),
    ],
)
def test_a_mistake_is_answered_in_one_line_without_tensorflow(args, answer):
    code, out, own, packages = _run_and_list_imports(*args)
    assert code == 1 and not out
    assert re.fullmatch(f"{args[0].removeprefix('biva_tf.')}: {answer}", *own)
    assert "tensorflow" not in packages


@pytest.mark.parametrize("name", OF_A_MODEL)
def test_a_missing_model_is_answered_in_one_line_without_tensorflow(name, tmp_path):
    needed = [f"--{flag}={tmp_path}/f.npz" for flag in OF_A_MODEL[name]]
    args = (f"biva_tf.{name}", f"--model_dir={tmp_path}/none", *needed)
    code, out, own, packages = _run_and_list_imports(*args)
    assert code == 1 and not out
    path = re.escape(f"{tmp_path}/none/config.json")
    expected = "no such file; is it the model_dir of a run\\? The models that ship are .*"
    assert re.fullmatch(f"{name}: {path}: {expected}", *own)
    assert "tensorflow" not in packages


def test_a_missing_flagfile_lists_all_that_ship():
    _, _, (line,), _ = _run_and_list_imports(*TRAIN, "--flagfile=configs/none.flags")
    for path in (ROOT / "configs").glob("*.flags"):
        assert path.stem in line


@pytest.mark.parametrize("path", sorted((ROOT / "configs").glob("*_finetune.flags")))
def test_a_fine_tuning_describes_itself_before_its_base_was_trained(path, tmp_path):
    base = tmp_path / path.stem.removesuffix("_finetune")
    more = (f"--init_from={base}", f"--model_dir={tmp_path / 'run'}", "--dry_run")
    result = run("-m", "biva_tf.train", f"--flagfile={path}", *more)
    assert result.returncode == 0, result.stderr[-3000:]
    *described, note = result.stdout.splitlines()
    assert note.startswith(f"{base}: the run to start from is not there; its settings are taken")
    flags = (ROOT / "configs" / f"{base.name}.flags").read_text().split()
    (architecture,) = (flag for flag in flags if flag.startswith("--architecture="))
    assert f"  {architecture.removeprefix('--')}" in described and "  free_bits=0.0" in described
    assert not (tmp_path / "run").exists()
