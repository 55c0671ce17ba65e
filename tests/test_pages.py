"""The pages (every .md file): their links resolve, their commands exist, their Python runs."""

import functools
import importlib
import re
import shlex
import typing
from pathlib import Path

import pytest
from absl import flags
from conftest import ROOT, run

from biva_tf.commands import flags as settings_flags
from biva_tf.commands.start import CommonSettings


def _pages():
    """The pages of the project, without those of the environment or of runs."""
    for path in sorted(ROOT.rglob("*.md")):
        page = path.relative_to(ROOT)
        if page.parts[0] not in ("runs", "build") and not page.parts[0].startswith("."):
            yield str(page)


PAGES = list(_pages())
_PARTS = (
    '"""A likelihood: binary pixels, each of which is flipped with a small probability."""',
    '"""A block: one convolution of the maps at the size of its output."""',
    '"""A latent: a vector with a Gaussian of full covariance."""',
    '"""A top prior: N(0, I) times a learnt number."""',
    '"""Stages with the posterior of LVAE: the prior times a Gaussian (Sønderby et al. 2016)."""',
)
NOT_RUN = {
    ("biva_tf/serving/README.md", "import grpc"): "needs a server: tests/serving/test_serving.py",
    **{("WORKSPACE.md", first): "a part of the model of tests/test_outside.py" for first in _PARTS},
}
PRINTED = {  # what the output of a block has to contain
    ("biva_tf/README.md", "import biva_tf"): "['z1_bu', 'z1_td', 'z2_bu', 'z2_td', 'z3']",
    ("biva_tf/README.md", "import keras"): "'bits_per_dim'",
    ("biva_tf/README.md", "from biva_tf import drawing, load, pretrained"): "(10, 28, 28, 1)",
    ("README.md", "import biva_tf"): "(16, 28, 28, 1)",
}
SLOW = {("biva_tf/README.md", "import keras")}  # trains


@functools.cache
def _text(page):
    return (ROOT / page).read_text()


def _code(page):
    """The code of a page: (text of a block or of a span, whether it is a block)."""
    text = _text(page)
    for block in re.finditer(r"^```\w*\n(.*?)^```", text, re.DOTALL | re.MULTILINE):
        yield block[1], True
    text = re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE)
    for block in re.finditer(r"(?:^    .*\n)+", text, re.MULTILINE):
        yield block[0], True
    text = re.sub(r"^    .*\n", "", text, flags=re.MULTILINE)
    for span in re.finditer(r"`([^`]+)`", text):
        yield span[1].replace("\n", " "), False


def _prose(page):
    """The text of a page without its code."""
    text = re.sub(r"^```.*?^```", "", _text(page), flags=re.DOTALL | re.MULTILINE)
    return re.sub(r"`[^`]*`", "code", re.sub(r"^    .*\n", "", text, flags=re.MULTILINE))


def _anchors(page):
    """The anchors that GitHub gives the headings of a page."""
    headings = re.findall(r"^#+ (.*)$", _text(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES)
def test_every_link_resolves(page):
    for target in re.findall(r"\]\(([^)\s]+)\)", _prose(page)):
        if re.match(r"\w+://", target):
            continue
        name, _, anchor = target.partition("#")
        path = (ROOT / page).parent / name if name else ROOT / page
        assert path.resolve().exists(), f"{page}: {target}: no such file"
        if anchor:
            other = str(path.resolve().relative_to(ROOT))
            assert anchor in _anchors(other), f"{page}: {target}: no such heading"


@pytest.mark.parametrize("page", PAGES)
def test_every_file_of_the_project_that_is_named_exists(page):
    pattern = r"\b(?:biva_tf|configs|tests|tools)/[\w/]+\.(?:py|md|flags|sh|yaml|npz|png)\b"
    for path in re.findall(pattern, _text(page)):
        named_for_example = path == "configs/NAME.flags"
        assert named_for_example or (ROOT / path).exists(), f"{page}: {path}"


@functools.cache
def _flags(module):
    """The names of the flags of a command."""
    hints = typing.get_type_hints(importlib.import_module(module).run)
    values = flags.FlagValues()
    settings_flags.define(hints["settings"], values)
    settings_flags.define(CommonSettings, values)
    return set(values) | {"help", "flagfile"}


def _commands(page):
    """(Module, arguments) of every command of the project on a page."""
    for code, _ in _code(page):
        for line in re.sub(r"\\\n", " ", code).splitlines():
            for found in re.finditer(r"python -m ((?:biva_tf|tools)[\w.]*)(.*)", line):
                yield found[1], _words(found[2])
            beginning = re.match(r"((?:biva_tf|tools)\.[\w.]+)( --.*)", line)  # without "python -m"
            if beginning:
                yield beginning[1], _words(beginning[2])


def _words(arguments):
    words = shlex.split(re.sub(r"[\[\]]", "", arguments), comments=True)
    end = next((i for i, word in enumerate(words) if word in ("|", ">", "&&", ";")), len(words))
    return words[:end]


def _wrong_flags(module, words):
    """The words of a command that are no flags of its module, or name no flagfile."""
    end = words.index("--") if "--" in words else len(words)
    for name, given in ((module, words[:end]), ("biva_tf.train", words[end + 1 :])):
        known = _flags(name) | {f"no{flag}" for flag in _flags(name)}
        for word in given:
            flag, _, value = word.removeprefix("--").partition("=")
            placeholder = value in ("F", "configs/NAME.flags")
            exists = flag != "flagfile" or placeholder or (ROOT / value).is_file()
            if not (word.startswith("--") and flag in known and exists):
                yield word


@pytest.mark.parametrize("page", PAGES)
def test_every_command_exists_and_has_its_flags(page):
    for module, words in _commands(page):
        path = ROOT / module.replace(".", "/")
        if path.is_dir():  # `python -m biva_tf` lists the commands
            assert (path / "__main__.py").exists() and not words, f"{page}: {module}"
            continue
        assert path.with_suffix(".py").is_file(), f"{page}: {module}"
        assert not list(_wrong_flags(module, words)), f"{page}: {module} {' '.join(words)}"


@pytest.mark.parametrize(
    ("line", "wrong"),
    [
        ("--output_dir=D --nolvae_plus -- --steps=2 --flagfile=configs/mnist_sample.flags", []),
        ("--output_dir=D --steps=2 -- --output_dir=D", ["--steps=2", "--output_dir=D"]),
        (
            "--output_dir=D -- --flagfile=configs/none.flags more",
            ["--flagfile=configs/none.flags", "more"],
        ),
    ],
)
def test_wrong_flags_are_found(line, wrong):
    assert list(_wrong_flags("tools.experiments.semi", line.split())) == wrong


def _all_commands():
    paths = [*(ROOT / "biva_tf").glob("*.py"), *(ROOT / "tools").glob("*/*.py")]
    modules = (".".join(path.relative_to(ROOT).with_suffix("").parts) for path in paths)
    files = dict(zip(modules, paths, strict=True))
    return {name for name, path in files.items() if "(settings: " in _runs(path)}


def _runs(path):
    """The line that begins the function `run` of a module, or nothing."""
    found = re.search(r"^def run\(.*?\)", path.read_text(), re.MULTILINE | re.DOTALL)
    return found[0] if found else ""


@pytest.mark.parametrize("page", PAGES)
def test_every_flag_named_alone_is_one_of_some_command(page):
    known = set().union(*(_flags(module) for module in _all_commands()))
    for code, is_block in _code(page):
        if not is_block and code.startswith("--"):
            for flag in re.findall(r"(?:^| )--(\w+)", code):
                assert flag in known or flag.removeprefix("no") in known, f"{page}: --{flag}"


def test_the_pages_name_every_command_and_every_flagfile():
    named = {module for page in PAGES for module, _ in _commands(page)}
    assert _all_commands() <= named
    flagfiles = {path.stem for path in (ROOT / "configs").glob("*.flags")}
    assert flagfiles <= set(re.findall(r"`(\w+)`", _text("configs/README.md")))


def test_the_readme_is_short_and_links_to_every_page():
    assert len(_text("README.md").splitlines()) <= 180
    linked = set(re.findall(r"\]\(([\w/.]+\.md)\)", _text("README.md")))
    of_a_part = {page for page in PAGES if Path(page).name in ("README.md", "WORKSPACE.md")}
    shown_elsewhere = ("biva_tf/pretrained/", "tests/")
    others = {page for page in of_a_part if not page.startswith(shown_elsewhere)} - {"README.md"}
    assert others <= linked and "](README.md)" in _text("WORKSPACE.md")


def _blocks():
    for page in PAGES:
        for block in re.findall(r"^```python\n(.*?)^```", _text(page), re.DOTALL | re.MULTILINE):
            key = (page, block.partition("\n")[0])
            marks = [pytest.mark.slow] if key in SLOW else []
            if key not in NOT_RUN:
                yield pytest.param(key, block, id=" ".join(key), marks=marks)


@pytest.mark.parametrize("key,block", list(_blocks()))
def test_every_python_block_runs(key, block, finished, tmp_path):
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "mnist_sample").symlink_to(finished[0])
    code = f"import os, sys; sys.path.insert(0, {str(ROOT)!r}); os.chdir({str(tmp_path)!r})\n"
    result = run("-c", code + block)
    assert result.returncode == 0, result.stderr[-3000:]
    assert PRINTED[key] in result.stdout


def test_what_is_listed_about_blocks_is_on_the_pages():
    for page, first in (*NOT_RUN, *PRINTED, *SLOW):
        assert f"```python\n{first}\n" in _text(page)
