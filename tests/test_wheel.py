"""What `pip install .` gives: the package, its data, its flagfiles and its console commands."""

import ast
import importlib.metadata
import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import venv

import pytest
from conftest import ROOT, last_json
from packaging.requirements import Requirement

from biva_tf.__main__ import COMMANDS

pytestmark = pytest.mark.slow

SOURCES = ("biva_tf", "configs", "pyproject.toml", "setup.py", "README.md", "LICENSE")


@pytest.fixture(scope="module")
def prefix(tmp_path_factory):
    """A virtual environment with the wheel of a copy of the project, and this one's packages."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    source.mkdir()
    for name in SOURCES:
        if (ROOT / name).is_dir():
            ignored = shutil.ignore_patterns("__pycache__")
            shutil.copytree(ROOT / name, source / name, ignore=ignored)
        else:
            shutil.copy(ROOT / name, source)
    _pip("wheel", "--no-deps", "--no-build-isolation", f"--wheel-dir={folder}", source)
    (wheel,) = folder.glob("biva_tf-*.whl")
    venv.create(folder / "venv")
    site = next((folder / "venv").glob("lib/python*/site-packages"))
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    _pip(f"--python={folder / 'venv' / 'bin' / 'python'}", "install", "--no-deps", wheel)
    return folder / "venv"


def _pip(*args):
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", *map(str, args)]
    result = subprocess.run(command, text=True, capture_output=True)
    assert result.returncode == 0, result.stdout[-2000:] + result.stderr[-2000:]


def _site(prefix):
    return next(prefix.glob("lib/python*/site-packages"))


def _run(prefix, cwd, name, *args):
    """Runs a program of the environment in a folder outside the project."""
    env = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    command = [prefix / "bin" / name, *args]
    return subprocess.run(command, cwd=cwd, env=env, text=True, capture_output=True, timeout=300)


def test_the_command_is_installed_and_its_own_package_is_imported(prefix, tmp_path):
    code = """
import importlib.metadata, json, biva_tf
points = importlib.metadata.entry_points(group="console_scripts")
print(json.dumps({p.name: p.load().__module__ for p in points if p.name.startswith("biva")}))
print(biva_tf.__file__)
"""
    result = _run(prefix, tmp_path, "python", "-c", code)
    assert result.returncode == 0, result.stderr[-3000:]
    loaded, file = result.stdout.splitlines()
    assert json.loads(loaded) == {"biva": "biva_tf.__main__"}
    assert file == str(_site(prefix) / "biva_tf" / "__init__.py")
    listed = _run(prefix, tmp_path, "biva")
    assert listed.returncode == 0 and all(f"\n  {name} " in listed.stdout for name in COMMANDS)
    assert re.fullmatch(r"\d+\.\d+\.\d+\n", _run(prefix, tmp_path, "biva", "--version").stdout)


def test_all_files_of_the_package_are_installed(prefix):
    def files(folder, *suffixes):
        paths = (path for path in folder.rglob("*") if path.is_file())
        kept = (path for path in paths if not suffixes or path.suffix in suffixes)
        return {str(path.relative_to(folder)) for path in kept if "__pycache__" not in path.parts}

    installed = _site(prefix) / "biva_tf"
    flagfiles = {f"configs/{name}" for name in files(ROOT / "configs", ".flags", ".md")}
    assert files(installed) == files(ROOT / "biva_tf") | flagfiles


def _imported(nodes):
    """The packages of others that some statements import."""
    imported = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            imported |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            imported.add(node.module.split(".")[0])
    return imported - {"biva_tf", *sys.stdlib_module_names}


def test_what_the_package_imports_is_required(prefix):
    """By all installations, if a module imports it at its start; else by an extra."""
    trees = [ast.parse(path.read_text()) for path in (ROOT / "biva_tf").rglob("*.py")]
    at_start = _imported(node for tree in trees for node in tree.body)
    in_functions = _imported(node for tree in trees for node in ast.walk(tree)) - at_start
    owners = importlib.metadata.packages_distributions()
    for names, requirements in (
        (at_start, _requirements(prefix)),
        (in_functions, _requirements(prefix, "all")),
    ):
        required = {_normal(requirement.name) for requirement in requirements}
        for name in names:
            assert required & {_normal(owner) for owner in owners.get(name, [name])}, name


def test_the_wheel_says_what_it_is(prefix):
    (info,) = _site(prefix).glob("biva_tf-*.dist-info")
    metadata = importlib.metadata.Distribution.at(info).metadata
    assert metadata["License-Expression"] == "MIT" and metadata["Requires-Python"] == ">=3.10"
    assert (info / "licenses" / "LICENSE").read_text() == (ROOT / "LICENSE").read_text()
    urls = dict(url.split(", ") for url in metadata.get_all("Project-URL"))
    assert urls["Paper"] == "https://arxiv.org/abs/1902.02102"


def test_the_pinned_versions_are_good_enough(prefix):
    pins = {}
    for line in (ROOT / "requirements.txt").read_text().splitlines():
        pin = Requirement(line)
        (version,) = (each.version for each in pin.specifier)
        pins.setdefault(_normal(pin.name), []).append(version)
    for requirement in _requirements(prefix, "all") + _requirements(prefix, "dev"):
        if requirement.name == "ray":  # of one test; .ci/run has its version
            continue
        for version in pins[_normal(requirement.name)]:
            assert version in requirement.specifier, requirement


def _requirements(prefix, extra=""):
    """What an installation with an extra requires; the extras that it names are in it."""
    (info,) = _site(prefix).glob("biva_tf-*.dist-info")
    every = [Requirement(line) for line in importlib.metadata.Distribution.at(info).requires]
    of_extra = [r for r in every if r.marker is None or r.marker.evaluate({"extra": extra})]
    found = [r for r in of_extra if r.name != "biva_tf"]
    for requirement in of_extra:
        if requirement.name == "biva_tf":
            for name in requirement.extras:
                found += _requirements(prefix, name)
    return found


def _normal(name):
    return re.sub(r"[-_.]+", "-", name).lower()


def test_help_lists_the_settings(prefix, tmp_path):
    result = _run(prefix, tmp_path, "biva", "train", "--help")
    assert "Trains a model" in result.stdout and "--learning_rate" in result.stdout
    assert result.stderr == ""


def test_it_samples_a_model_that_ships(prefix, tmp_path):
    result = _run(
        prefix, tmp_path, "biva", "sample", "--pretrained=mnist_10k_small", "--num_samples=4"
    )
    assert result.returncode == 0, result.stderr[-3000:]
    for path in result.stdout.split():
        assert path.startswith("runs/pretrained/") and (tmp_path / path).exists()


def test_it_trains_by_an_installed_flagfile(prefix, tmp_path):
    settings = (
        *("--steps=2", "--log_every=1", "--eval_every=2", "--checkpoint_every=2"),
        *("--validation_size=20", "--model_dir=m"),
    )
    result = _run(
        prefix, tmp_path, "biva", "train", "--flagfile=configs/mnist_sample.flags", *settings
    )
    assert result.returncode == 0, result.stderr[-3000:]
    assert last_json(result.stdout)["step"] == 2
    config = json.loads((tmp_path / "m" / "config.json").read_text())
    assert config["settings"]["architecture"] == "mnist_sample"
