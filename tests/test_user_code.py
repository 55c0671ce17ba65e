"""Specs and parts of models in a user's own files: which may run, and what they leave."""

import json
import os
import sys
from pathlib import Path

import pytest

import biva_tf
from biva_tf.errors import UserError
from biva_tf.model import architectures, user_code
from biva_tf.model.user_code import CodeError
from biva_tf.runs.run_dir import RunDir

PARTS = """
import dataclasses
import biva_tf
from biva_tf.model.likelihoods import BernoulliLikelihood

@biva_tf.register("mine")
@dataclasses.dataclass(frozen=True)
class Mine(biva_tf.LikelihoodKind):
    values = (0.0, 1.0)
    binary = True
    sharpness: float = 2.0

    def make(self, image_shape):
        return BernoulliLikelihood(image_shape)
"""
SPEC = """
spec = dataclasses.replace(biva_tf.build("tiny_dense").spec, likelihood=Mine())

def make():
    return spec

def fails():
    return 1 / 0

number = 3
"""


pytestmark = pytest.mark.usefixtures("own_account")


@pytest.fixture
def parts(tmp_path):
    path = tmp_path / "my_parts.py"
    path.write_text(PARTS + SPEC)
    return path


@pytest.mark.parametrize("name", ["spec", "make"])
def test_an_architecture_can_be_a_spec_in_a_file_or_a_function_that_returns_one(parts, name):
    spec = architectures.read(f"{parts}:{name}")
    assert spec.likelihood.kind == "mine" and spec.image_shape == (8, 8, 1)


def test_an_architecture_can_be_in_a_module_that_python_finds(tmp_path, monkeypatch):
    package = tmp_path / "pkg_of_mine"
    package.mkdir()
    (package / "parts.py").write_text(PARTS + SPEC)
    monkeypatch.syspath_prepend(tmp_path)
    spec = architectures.read("pkg_of_mine.parts:spec")
    assert list(user_code.copies_of(spec)) == ["pkg_of_mine.parts.py"]


def test_a_preset_holds_a_copy_of_the_code_and_another_process_runs_it(
    parts, tmp_path, own_account
):
    spec = architectures.read(f"{parts}:spec")
    model = biva_tf.build(spec)
    model.save_to_preset(tmp_path / "preset")
    assert (tmp_path / "preset" / "code" / "my_parts.py").read_text() == parts.read_text()
    parts.unlink()
    own_account.forget()
    loaded, _ = RunDir(tmp_path / "preset").read()
    assert loaded.likelihood.sharpness == 2.0
    assert type(loaded.likelihood) is not type(spec.likelihood)


def test_code_that_the_account_has_not_named_does_not_run(
    parts, tmp_path, monkeypatch, own_account
):
    biva_tf.build(f"{parts}:spec").save_to_preset(tmp_path / "preset")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "another account"))
    own_account.forget()
    copy = tmp_path / "preset" / "code" / "my_parts.py"
    copy.write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\n" + copy.read_text())
    with pytest.raises(CodeError) as error:
        RunDir(tmp_path / "preset").read()
    assert f"give --code={copy}" in error.value.with_flags()
    assert not (tmp_path / "ran").exists()
    user_code.run(str(copy))
    assert (tmp_path / "ran").exists()
    assert RunDir(tmp_path / "preset").read()[0].likelihood.kind == "mine"


@pytest.mark.parametrize("name", ["../my_parts.py", "/tmp/my_parts.py", "my_parts", 3])
def test_a_folder_names_no_code_outside_of_itself(parts, tmp_path, name):
    biva_tf.build(f"{parts}:spec").save_to_preset(tmp_path / "preset")
    config = tmp_path / "preset" / "config.json"
    config.write_text(json.dumps({**json.loads(config.read_text()), "code": [name]}))
    with pytest.raises(UserError, match="code: expected the names of files in "):
        RunDir(tmp_path / "preset").read()


def test_a_spec_of_the_projects_own_parts_runs_no_code(tmp_path):
    biva_tf.build("tiny_dense").save_to_preset(tmp_path / "preset")
    assert "code" not in json.loads((tmp_path / "preset" / "config.json").read_text())
    assert not (tmp_path / "preset" / "code").exists()


def test_two_texts_of_a_file_are_each_those_of_their_models(parts, tmp_path, own_account):
    biva_tf.build(f"{parts}:spec").save_to_preset(tmp_path / "first")
    parts.write_text(parts.read_text().replace("2.0", "3.0"))
    own_account.forget()
    biva_tf.build(f"{parts}:spec").save_to_preset(tmp_path / "second")
    own_account.forget()
    for name, default in (("first", 2.0), ("second", 3.0), ("first", 2.0)):
        spec, _ = RunDir(tmp_path / name).read()
        assert type(spec.likelihood)().sharpness == default


def test_a_file_that_was_edited_is_noted_and_its_text_is_kept(parts, tmp_path):
    spec = architectures.read(f"{parts}:spec")
    folder = tmp_path / "code"
    assert user_code.write_copies(spec, folder) == (["my_parts.py"], [])
    (folder / "my_parts.py").write_text("earlier = 1\n")
    _, [kept] = user_code.write_copies(spec, folder)
    assert (folder / kept).read_text() == "earlier = 1\n"
    assert (folder / "my_parts.py").read_text() == parts.read_text()


@pytest.mark.parametrize(
    ("text", "place", "message"),
    [
        (None, "my_parts.py:spec", "my_parts.py: cannot read this file of code (No such file"),
        ("x = 1\n", "my_parts.py", "architecture: expected FILE.py:NAME or MODULE:NAME"),
        ("x = 1\n", "my_parts.py:", "architecture: expected FILE.py:NAME or MODULE:NAME"),
        ("x = 1\n", "my_parts.py:x", "x: expected a ModelSpec or a function giving one, got a int"),
        (PARTS, "my_parts.py:Mine", "Mine: expected a ModelSpec or a function giving one"),
        (PARTS + SPEC, "my_parts.py:spek", "my_parts.py has no spek; its specs are spec"),
        ("xyz = 1\n", "my_parts.py:xya", "has no xya; the nearest is xyz"),
        ("x = 1\nx.y\n", "my_parts.py:x", "my_parts.py, line 2: AttributeError: 'int' object"),
        ("x = 1\nx = = 2\n", "my_parts.py:x", "my_parts.py, line 2: SyntaxError: invalid syntax"),
        ("import sys\nsys.exit(3)\n", "my_parts.py:x", "my_parts.py, line 2: SystemExit: 3"),
        ("import no_such\n", "my_parts.py:x", "line 1: ModuleNotFoundError: No module named"),
        ("import biva_tf\nbiva_tf.DenseLatent(0)\n", "my_parts.py:x", "line 2: units: expected"),
        (PARTS + SPEC, "my_parts.py:fails", "line 22: ZeroDivisionError: division by zero"),
        ("x = 1\n", "json.py:x", "there is another module json"),
        ("x = 1\n", "my-parts.py:x", "expected a file with a name that Python can import"),
        (None, "no_such.module:x", "no_such.module: expected the path of a file, FILE.py, or the"),
    ],
)
def test_the_error_of_wrong_code_is_one_line_that_says_where(
    tmp_path, monkeypatch, text, place, message
):
    monkeypatch.chdir(tmp_path)
    if text is not None:
        Path(place.partition(":")[0]).write_text(text)
    with pytest.raises(UserError) as error:
        architectures.read(place)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_a_file_that_fails_can_be_mended_and_run_again(parts):
    text = parts.read_text()
    parts.write_text(PARTS + "raise ValueError\n")
    with pytest.raises(CodeError, match="line 15: ValueError"):
        architectures.read(f"{parts}:spec")
    assert "my_parts" not in sys.modules
    parts.write_text(text)
    assert architectures.read(f"{parts}:spec").likelihood.kind == "mine"


def test_a_home_that_cannot_be_written_is_told(parts, tmp_path, monkeypatch, capsys):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "file"))
    architectures.read(f"{parts}:spec")
    assert f"other processes will ask for {parts} again" in capsys.readouterr().err


def test_a_file_runs_once_in_a_process(parts):
    parts.write_text(PARTS + SPEC + "import os\nos.environ['MY_RUNS'] += '+'\n")
    os.environ["MY_RUNS"] = ""
    try:
        first, second = (architectures.read(f"{parts}:spec") for _ in range(2))
        assert first is second and os.environ["MY_RUNS"] == "+"
    finally:
        del os.environ["MY_RUNS"]
