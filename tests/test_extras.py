"""Packages that only some installations have: what works without them, and what asks for them."""

import importlib.metadata
import re
import sys

import numpy as np
import pytest
from conftest import ROOT, perturbed, run

from biva_tf import extras
from biva_tf.compression.codec import Codec
from biva_tf.data import formats
from biva_tf.data.densities import DENSITIES
from biva_tf.data.reading.notes import ReadingNotes
from biva_tf.data.reading.tables import TableRows
from biva_tf.evaluation.detection import detect
from biva_tf.model import architectures
from biva_tf.plotting import figures
from biva_tf.serving import exporting, warmup
from biva_tf.serving.checks import GrpcClient
from biva_tf.serving.limits import Limits

# By the name under which Python imports a package: the package and the extra that has it.
OPTIONAL = {
    "constriction": ("constriction", "compress"),
    "grpc": ("grpcio", "serve"),
    "matplotlib": ("matplotlib", "report"),
    "pyarrow": ("pyarrow", "ray"),
    "ray": ("ray[data]", "ray"),
    "scipy": ("scipy", "report"),
    "sklearn": ("scikit-learn", "report"),
    "tensorflow_serving": ("tensorflow-serving-api", "serve"),
}


@pytest.fixture
def without(monkeypatch):
    """Makes packages look as if they were not installed, beside an installed biva_tf."""

    def hide(*modules):
        for module in modules:
            monkeypatch.setitem(sys.modules, module, None)

    monkeypatch.setattr(importlib.metadata, "version", lambda name: "1.0")
    return hide


def test_without_any_of_them_all_modules_import_and_the_base_commands_run(tmp_path):
    code = f"""
import importlib, sys
for name in {sorted(OPTIONAL)}:
    if name != "grpc" and name != "pyarrow":  # TensorFlow and TFDS require them
        sys.modules[name] = None
from pathlib import Path
for path in Path("biva_tf").rglob("*.py"):
    module = ".".join(path.with_suffix("").parts).removesuffix(".__init__")
    if not module.endswith("__main__"):
        importlib.import_module(module)
import biva_tf
from biva_tf import sample
model = biva_tf.load("mnist_10k_small")
images = model.images()[:2]
print(model.sample(2, seed=0).shape, model.score(images, seed=0).bound_nats.shape)
print(sample.run(sample.SampleSettings(
    pretrained="mnist_10k_small", num_samples=2, output={str(tmp_path / "drawn")!r})).png)
"""
    result = run("-c", code)
    assert result.returncode == 0, result.stderr[-3000:]
    assert result.stdout.splitlines() == ["(2, 28, 28, 1) (2,)", str(tmp_path / "drawn.png")]


USES = {
    "constriction": lambda tmp_path: Codec(perturbed("tiny_dense")),
    "grpc": lambda tmp_path: GrpcClient("localhost:1", "biva", 1.0),
    "matplotlib": lambda tmp_path: figures.learning_curves({"train": (np.arange(3), np.arange(3))}),
    "pyarrow": lambda tmp_path: TableRows.from_file(
        tmp_path / "images.parquet", "image", ReadingNotes()
    ),
    "scipy": lambda tmp_path: DENSITIES["potential_2"].log_prob(np.zeros((1, 2))),
    "sklearn": lambda tmp_path: detect(np.zeros(2), np.ones(2)),
    "tensorflow_serving": lambda tmp_path: warmup.write(
        tmp_path, architectures.get("tiny_dense"), Limits()
    ),
}


@pytest.mark.parametrize("module", USES)
def test_what_needs_a_package_says_how_to_install_it(module, without, tmp_path):
    package, extra = OPTIONAL[module]
    without(module)
    with pytest.raises(extras.MissingPackageError) as e:
        USES[module](tmp_path)
    asked = rf"needs .*{re.escape(package)}.*: pip install 'biva_tf\[{extra}\]'$"
    assert re.search(asked, str(e.value))


def test_a_matlab_file_needs_scipy(without, tmp_path):
    without("scipy")
    with pytest.raises(extras.MissingPackageError, match=r"reading train_32x32\.mat needs scipy"):
        list(formats.svhn(tmp_path / "train_32x32.mat"))


@pytest.mark.parametrize(
    "command,module,settings",
    [
        ("compress", "constriction", ["--input=letters_2k", "--output=x.biva"]),
        ("anomaly", "sklearn", ["--out_dataset=letters_2k"]),
    ],
)
def test_a_command_says_so_in_one_line_before_it_computes(command, module, settings, tmp_path):
    flags = [command, "--pretrained=mnist_10k_small", *settings]
    code = f"""
import sys
sys.modules[{module!r}] = None
sys.argv = {flags}
from biva_tf import {command}
{command}.main()
"""
    result = run("-c", code)
    package, _ = OPTIONAL[module]
    assert result.returncode == 1 and result.stdout == ""
    assert f"{command}: " in result.stderr.splitlines()[-1]
    # In a checkout, pip does not know of biva_tf.
    assert result.stderr.splitlines()[-1].endswith(f" needs {package}: pip install {package}")


def test_an_export_without_the_serving_api_has_no_warm_up_requests_and_says_so(
    without, tmp_path, capsys, monkeypatch
):
    monkeypatch.setattr(exporting, "_parity", lambda *_: {})  # tests/serving has it
    without("tensorflow_serving")
    folder = exporting.export(perturbed("tiny_dense"), tmp_path)
    assert (folder / "saved_model.pb").exists() and not (folder / "assets.extra").exists()
    assert capsys.readouterr().err.splitlines()[-1] == (
        "note: no warm-up requests: writing warm-up requests needs tensorflow-serving-api: "
        "pip install 'biva_tf[serve]'"
    )


def test_the_extras_of_the_project_have_the_packages():
    text = (ROOT / "pyproject.toml").read_text()
    table = text.partition("[project.optional-dependencies]\n")[2].partition("\n[")[0]
    lists = dict(re.findall(r"^(\w+) = \[(.*)\]$", table, re.M))
    for package, extra in OPTIONAL.values():
        assert f'"{package}>=' in lists[extra]
    assert lists["all"] == '"biva_tf[compress,serve,report,ray]"'
