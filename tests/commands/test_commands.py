"""What all commands promise: they can be imported, called, and started by a new user."""

import dataclasses
import importlib
import re
import shutil
import typing
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from absl import flags
from conftest import DATA, run

from biva_tf import anomaly, evaluate, export, plot, pretrained, sample
from biva_tf.commands import flags as settings_flags
from biva_tf.errors import SettingsError
from biva_tf.runs.run_dir import RunDirError
from biva_tf.settings import required, setting

COMMANDS = (
    "prepare_data",
    "train",
    "evaluate",
    "anomaly",
    "classify",
    "sample",
    "compress",
    "decompress",
    "plot",
    "report",
    "export",
    "score_dataset",
    "serve_check",
)
TOOLS = (
    "bench.crossover",
    "bench.model",
    "bench.serving",
    "experiments.ablations",
    "experiments.binarization",
    "experiments.codecs",
    "experiments.densities",
    "experiments.language_model",
    "experiments.semi",
    "experiments.shapes",
    "release.make_glosses",
    "release.make_letters",
    "release.ship",
    "tf1.compare",
    "tf1.convert",
)
MODULES = [f"biva_tf.{name}" for name in COMMANDS] + [f"tools.{name}" for name in TOOLS]


def _settings(module):
    """The settings dataclass that `run` takes."""
    hints = typing.get_type_hints(module.run)
    return next(hint for name, hint in hints.items() if name == "settings")


def test_all_commands_can_be_imported_together():
    before = set(flags.FLAGS)
    for name in MODULES:
        module = importlib.import_module(name)
        assert dataclasses.is_dataclass(_settings(module)), name
    assert set(flags.FLAGS) == before  # flags are those of the command that was started


def test_a_setting_that_several_commands_have_is_of_one_type():
    kinds = {}
    for name in MODULES:
        values = flags.FlagValues()
        settings_flags.define(_settings(importlib.import_module(name)), values)
        for flag in values:
            kind = values[flag].flag_type().removesuffix(" enum")
            kinds.setdefault(flag, {})[name] = kind
    different = {flag: of for flag, of in kinds.items() if len(set(of.values())) > 1}
    # The plural for settings that compare several things, the singular for one.
    assert set(different) <= {"architecture", "batch", "seeds"}


def test_the_number_of_importance_samples_has_one_name():
    for module in map(importlib.import_module, MODULES):
        names = {field.name for field in dataclasses.fields(_settings(module))}
        assert not names & {"k_samples", "samples", "num_importance_samples"}, module.__name__
    for module in (evaluate, anomaly, importlib.import_module("tools.tf1.compare")):
        assert "iw_samples" in {field.name for field in dataclasses.fields(_settings(module))}


def test_the_package_lists_its_commands():
    result = run("-m", "biva_tf")
    assert result.returncode == 0 and result.stderr == ""
    for name in COMMANDS:
        (line,) = re.findall(rf"^  {name} .*", result.stdout, re.MULTILINE)
        assert len(line.split()) > 2


@pytest.mark.parametrize("command", COMMANDS)
def test_help_lists_the_settings_and_is_no_error(command):
    result = run("-m", f"biva_tf.{command}", "--help")
    assert result.returncode == 0 and result.stderr == ""
    fields = dataclasses.fields(_settings(importlib.import_module(f"biva_tf.{command}")))
    assert f"--{fields[0].name}:" in result.stdout.replace("[no]", "")


def test_a_wrong_command_names_the_nearest():
    result = run("-m", "biva_tf", "trian")
    assert result.returncode == 2
    (line,) = result.stderr.splitlines()
    assert "'trian'; the nearest is train" in line


@dataclasses.dataclass(frozen=True)
class Inner:
    number: int = setting(3, "A number.", lower=1)
    names: tuple[str, ...] = setting(("a",), "Names.")


@dataclasses.dataclass(frozen=True)
class Outer:
    place: str = required("A place.")
    ks: tuple[int, ...] | None = setting(None, "Numbers.")
    kind: str = setting("x", "One of two.", choices=("x", "y"))
    share: float = setting(0.5, "A share.", lower=0.0)
    on: bool = setting(False, "A switch.")
    inner: Inner = dataclasses.field(default_factory=Inner)


def _read(*args, inherited=None):
    values = flags.FlagValues()
    settings_flags.define(Outer, values)
    values(["command", *args])
    return settings_flags.read(Outer, inherited or {}, values)


def test_flags_give_the_settings():
    assert _read("--place=p") == Outer("p")
    args = ("--place=p", "--ks=2,0", "--kind=y", "--share=0", "--on", "--number=7", "--names=b,c")
    assert _read(*args) == Outer("p", (2, 0), "y", 0.0, True, Inner(7, ("b", "c")))


def test_inherited_values_take_the_place_of_defaults_and_not_of_flags():
    read = _read("--place=p", "--number=7", inherited={"number": 5, "share": 0.1})
    assert read == Outer("p", share=0.1, inner=Inner(7))


@pytest.mark.parametrize(
    ("args", "error", "message"),
    [
        ((), flags.IllegalFlagValueError, "--place"),
        (("--place=p", "--kind=z"), flags.IllegalFlagValueError, "x|y"),
        (("--place=p", "--kind=xx"), flags.IllegalFlagValueError, "; the nearest is x"),
        (("--place=p", "--number=0"), flags.IllegalFlagValueError, "--number"),
        (("--place=p", "--ks=1,b"), SettingsError, "--ks: expected integers, got '1,b'"),
        (("--place=p", "--ks="), SettingsError, "--ks: expected at least one value"),
        (("--place=p", "--kinds=x"), flags.UnrecognizedFlagError, "kinds"),
    ],
)
def test_wrong_flags_are_named(args, error, message):
    with pytest.raises(error, match=re.escape(message)):
        _read(*args)


GOLDEN = DATA / "golden_run"


def test_commands_can_be_called_from_python(trained):
    """All in one process: their results are what they write."""
    model_dir = str(trained)
    evaluated = evaluate.run(
        evaluate.EvaluateSettings(model_dir=model_dir, iw_samples=2, num_examples=8, k=(1,))
    )
    assert evaluated.summary.examples == 8 and evaluated.path.exists()
    detected = anomaly.run(
        anomaly.AnomalySettings(
            model_dir=model_dir, out_dataset="letters_2k", iw_samples=2, num_examples=8, k=(1,)
        )
    )
    assert set(detected.scores) == {0, 1} and "LLR^{>1}" in detected.detections
    # The same samples of the same images: the same score from both commands.
    np.testing.assert_allclose(
        detected.scores[1][0].mean(), evaluated.summary.above[1].nats, rtol=1e-6
    )
    drawn = sample.run(sample.SampleSettings(model_dir=model_dir, num_samples=2))
    assert drawn.arrays["images"].shape == (2, 28, 28, 1) and drawn.png.exists()
    assert len(plot.run(plot.PlotSettings(model_dir=model_dir))) == 4
    with pytest.raises(RunDirError, match="no such file"):
        export.run(
            export.ExportSettings(
                model_dir=str(trained / "nowhere"), export_dir=str(trained / "models")
            )
        )


def test_commands_take_a_pretrained_model(tmp_path, monkeypatch):
    """They read it from the package, and write under the folder they are started in."""
    monkeypatch.chdir(tmp_path)
    name = "mnist_10k_small"
    before = sorted(pretrained.FOLDER.rglob("*"))
    evaluated = evaluate.run(
        evaluate.EvaluateSettings(pretrained=name, iw_samples=2, num_examples=8, k=(1,))
    )
    drawn = sample.run(sample.SampleSettings(pretrained=name, num_samples=2))
    exported = export.run(export.ExportSettings(pretrained=name, export_dir="models"))
    assert exported.weights_step == evaluated.weights_step > 0
    assert exported.folder == Path("models/1")
    output = Path("runs/pretrained") / name
    assert evaluated.path.parent == output / "evaluations" and evaluated.path.exists()
    assert drawn.png == output / "pictures" / "prior.png" and drawn.png.exists()
    for path in plot.run(plot.PlotSettings(pretrained=name)):
        assert path.parent == output / "pictures" and path.exists()
    assert sorted(pretrained.FOLDER.rglob("*")) == before


@pytest.mark.parametrize(
    "given,got", [({}, "neither"), ({"model_dir": "m", "pretrained": "mnist_10k_small"}, "both")]
)
def test_a_command_takes_one_model(given, got):
    with pytest.raises(SettingsError, match=f"expected one of them, got {got}"):
        sample.SampleSettings(**given)


def test_a_model_dir_that_is_a_file_fails_before_anything_is_built(tmp_path):
    path = tmp_path / "file"
    path.write_text("")
    for name, more in (("train", ()), ("evaluate", ()), ("sample", ()), ("plot", ())):
        result = run("-m", f"biva_tf.{name}", f"--model_dir={path}", *more)
        assert result.returncode == 1, name
        (line,) = result.stderr.strip().splitlines()
        assert line.startswith(f"{name}: ") and str(path) in line


def test_nothing_but_the_projects_own_lines_reaches_the_terminal(tmp_path):
    """A run, its evaluation and its samples, with standard error as a new user sees it."""
    settings = (
        *("--architecture=tiny_conv", "--dataset=image_folder", f"--data_dir={tmp_path}"),
        *("--batch_size=4", "--validation_size=4", "--steps=4", "--log_every=2", "--eval_every=4"),
        *("--checkpoint_every=4", f"--model_dir={tmp_path / 'run'}"),
    )
    folder = tmp_path / "pictures"
    folder.mkdir()
    for i in range(30):
        pixels = np.random.default_rng(i).integers(0, 256, (8, 8, 3)).astype(np.uint8)
        (folder / f"{i:02}.png").write_bytes(tf.io.encode_png(pixels).numpy())
    commands = {
        ("biva_tf.prepare_data", "--dataset=image_folder", f"--source={folder}"): "",
        ("biva_tf.train", *settings): r"image_folder: 23 to train.*|step \d.*",
        ("biva_tf.evaluate", f"--model_dir={tmp_path / 'run'}", "--iw_samples=2"): "",
        ("biva_tf.sample", f"--model_dir={tmp_path / 'run'}", "--num_samples=2"): "",
    }
    for command, own in commands.items():
        more = (f"--data_dir={tmp_path}",) if command[0] != "biva_tf.sample" else ()
        result = run("-m", *command, *more, new_interpreter=True)
        assert result.returncode == 0, result.stderr[-3000:]
        foreign = [li for li in result.stderr.splitlines() if not re.fullmatch(own or "$^", li)]
        assert not foreign, command[0]


def test_other_commands_are_quiet_too(tmp_path):
    model_dir = shutil.copytree(GOLDEN, tmp_path / "run")
    for command, *args in (
        ("biva_tf.export", f"--export_dir={tmp_path / 'models'}"),
        ("biva_tf.anomaly", "--out_dataset=letters_2k", "--num_examples=8", "--iw_samples=1"),
        ("biva_tf.plot",),
    ):
        result = run("-m", command, f"--model_dir={model_dir}", *args, new_interpreter=True)
        assert result.returncode == 0 and result.stderr == "", command


def test_tensorflows_notes_are_shown_to_who_asks_for_them(monkeypatch):
    monkeypatch.setenv("TF_CPP_MIN_LOG_LEVEL", "0")
    code = "import os; os.environ['TF_CPP_MIN_LOG_LEVEL'] = '0'; import biva_tf.api"
    assert "oneDNN" in run("-c", code).stderr
    result = run("-m", "biva_tf.plot", "--model_dir=none", new_interpreter=True)
    assert len(result.stderr.splitlines()) == 1


def test_importing_the_package_leaves_standard_error_alone():
    code = """
import os, sys
before = os.fstat(2)
os.dup2 = None  # whoever rebinds a descriptor fails
import tools
assert "tensorflow" not in sys.modules
import biva_tf
assert os.fstat(2) == before
assert {"BIVA", "load", "Adamax"} <= set(dir(biva_tf))
assert not hasattr(biva_tf, "nothing")
"""
    result = run("-c", code)
    assert result.returncode == 0, result.stderr


def test_a_tool_starts_without_tensorflows_notes():
    result = run("-m", "tools.experiments.shapes", "--no_such_flag", new_interpreter=True)
    assert result.returncode == 1 and "no_such_flag" in result.stderr
    assert "oneDNN" not in result.stderr and "cpu_feature" not in result.stderr
