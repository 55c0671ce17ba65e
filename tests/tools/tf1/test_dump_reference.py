"""The script that dumps a reference file from the original, run on a stand-in of the original."""

import ast
import json
import sys

import numpy as np
import pytest
import tensorflow as tf
from conftest import ROOT, run

pytestmark = pytest.mark.slow

STAND_IN = ROOT / "tests" / "tools" / "tf1" / "stand_in"
TOOL = ROOT / "tools" / "tf1" / "dump_reference.py"
CONFIG = {
    "input_shape": [8, 8, 1],
    "deterministic_layers": [
        [[3, [3, 3], [2, 2]]],
        [[4, [3, 3], [1, 1]]],
        [[4, [3, 3], [2, 2]]],
    ],
    "stochastic_layers": [3, 3, 2],
    "output_distribution": "bernoulli",
}
NAMES = ["z1_bu", "z1_td", "z2_bu", "z2_td", "z3"]
# Case: (the changes to valid arguments, a part of the error).
ERRORS = {
    "no checkpoint": ({"checkpoint": "ckpt/other"}, "--checkpoint: "),
    "a folder": ({"checkpoint": "ckpt"}, "named as FOLDER/model"),
    "no averages": ({"checkpoint": "raw/model"}, "holds no moving averages; use --weights=raw"),
    "other model": (
        {"config": "other.json", "checkpoint": "raw/model", "weights": "raw"},
        "does not fit --config: BIVA/qz_top_1_",
    ),
    "no key": ({"config": "keyless.json"}, "no key 'stochastic_layers'"),
    "no json": ({"config": "x.npy"}, "expected a JSON file"),
    "shape": ({"batch": "flat.npy"}, "expected shape (n, 8, 8, 1), got (3, 64)"),
    "range": ({"batch": "bytes.npy"}, "expected values in [0, 1], got 0 to 255"),
    "no npy": ({"batch": "config.json"}, "expected an npy file of images"),
    "no original": ({"original": "ckpt"}, "expected a checkout of the original"),
    "output": ({"output": "averages.npz"}, "averages.npz exists"),
    "no output folder": ({"output": "nowhere/x.npz"}, "nowhere: no such folder"),
}


def _dump(**changes):
    arguments = {
        "original": str(STAND_IN),
        "checkpoint": "ckpt/model",
        "config": "config.json",
        "batch": "x.npy",
        "output": "unwritten.npz",
        **changes,
    }
    return ["dump", *(f"--{name}={value}" for name, value in arguments.items())]


@pytest.fixture(scope="module")
def dumped(tmp_path_factory):
    """(The folder, the results of the two valid dumps, the results of the failing ones by case)."""
    folder = tmp_path_factory.mktemp("dump")
    keyless = {key: value for key, value in CONFIG.items() if key != "stochastic_layers"}
    configs = {"config": CONFIG, "keyless": keyless}
    for name, units in (("small", 2), ("other", 3)):
        layers = {"deterministic_layers": [[[3, [3, 3], [2, 2]]]], "stochastic_layers": [units]}
        configs[name] = {**CONFIG, **layers}
    for name, config in configs.items():
        (folder / f"{name}.json").write_text(json.dumps(config))
    x = np.random.default_rng(0).integers(0, 2, (3, 8, 8, 1))
    np.save(folder / "x.npy", x.astype(np.float32))
    np.save(folder / "x5.npy", np.concatenate([x, 1 - x])[:5])
    np.save(folder / "flat.npy", x.reshape(3, 64))
    np.save(folder / "bytes.npy", x * 255)
    commands = [
        ["checkpoint", "config.json", "ckpt/model", 1, True],
        ["checkpoint", "small.json", "raw/model", 2, False],
        _dump(output="averages.npz"),
        ["dump_untied", *_dump(output="raw.npz", batch="x5.npy", weights="raw")[1:]],
        *(_dump(**changes) for changes, _ in ERRORS.values()),
    ]
    result = run(STAND_IN / "run.py", folder, json.dumps(commands))
    assert result.returncode == 0, result.stderr[-3000:]
    lines = [json.loads(line) for line in result.stdout.splitlines() if line.startswith("{")]
    return folder, lines[:2], dict(zip(ERRORS, lines[2:], strict=True))


@pytest.mark.parametrize("name", ["averages", "raw"])
def test_the_port_agrees_with_the_dumped_arrays(dumped, name):
    folder, _, _ = dumped
    result = run("-m", "tools.tf1.compare", f"--reference={folder / name}.npz")
    assert result.returncode == 0, result.stdout[-2000:] + result.stderr[-2000:]
    last = result.stdout.strip().splitlines()[-1]
    assert last.startswith("parity: max relative error ")
    assert float(last.split()[4]) <= 1e-4
    assert "not compared" not in result.stdout


@pytest.mark.parametrize("weights", ["averages", "raw"])
def test_the_dumped_weights_are_those_of_the_checkpoint(dumped, weights):
    folder, results, _ = dumped
    assert [r["code"] for r in results] == [0, 0], results
    checkpoint = tf.train.load_checkpoint(str(folder / "ckpt" / "model"))
    suffix = {"averages": "/ExponentialMovingAverage", "raw": ""}[weights]
    with np.load(folder / f"{weights}.npz") as arrays:
        names = [key[len("var/") :] for key in arrays.files if key.startswith("var/")]
        assert 2 * len(names) == len(checkpoint.get_variable_to_shape_map())
        for name in names:
            np.testing.assert_array_equal(
                arrays[f"var/{name}"], checkpoint.get_tensor(name + suffix)
            )
        steps = "adamax/loss_before_step"
        # Two graphs, with and without gradients, which TensorFlow fuses in two ways: equal up to
        # rounding, in float32 1.2e-7 for each sum.
        np.testing.assert_allclose(
            arrays[steps][0], arrays["out/loss_train_free_bits_2"], rtol=1e-6
        )


@pytest.mark.parametrize("name,rows,tied", [("averages", 3, True), ("raw", 5, False)])
def test_the_dumped_noise_is_the_noise_that_was_drawn(dumped, name, rows, tied):
    """Tied: the stand-in gives every Gaussian the same seed, as the original does.

    Latents of one shape then have the same noise. The outputs were computed with it, so the file
    must contain it. If the noise is not tied, the noise of one latent must not be stored under the
    name of another, which `test_the_port_agrees_with_the_dumped_arrays` checks too.
    """
    folder, _, _ = dumped
    with np.load(folder / f"{name}.npz") as file:
        for prefix, n in (("noise/", rows), ("iw4/noise/", 4 * rows), ("gen/noise/", rows)):
            noise = {name: file[prefix + name] for name in NAMES}
            assert [a.shape for a in noise.values()] == [(n, 3)] * 4 + [(n, 2)]
            draws = {noise[latent].tobytes() for latent in NAMES[:4]}
            assert len(draws) == (1 if tied else 4)
            assert len(np.unique(noise["z1_bu"])) == 3 * n


def test_the_dump_describes_the_model(dumped):
    folder, _, _ = dumped
    with np.load(folder / "averages.npz") as arrays:
        config = json.loads(str(arrays["config_json"]))
        assert {key: config[key] for key in CONFIG} == CONFIG
        assert config["latent_order"] == NAMES
        shapes = {name: arrays[f"var/{name}"].shape for name, _ in config["variables"]}
        assert shapes == {name: tuple(shape) for name, shape in config["variables"]}
        assert {arrays[key].dtype for key in arrays.files if key != "config_json"} == {
            np.dtype(np.float32)
        }


@pytest.mark.parametrize("case", ERRORS)
def test_an_error_is_one_line(dumped, case):
    folder, _, failed = dumped
    assert failed[case]["code"] == 2
    (line,) = [li for li in failed[case]["stderr"].splitlines() if "dump_reference: " in li]
    assert ERRORS[case][1] in line
    assert "Traceback" not in failed[case]["stderr"]
    assert not (folder / "unwritten.npz").exists()


def test_no_temporary_files_are_left(dumped):
    folder, _, _ = dumped
    assert not (folder / "output").exists()  # the folder that the original's constructor makes
    assert not list(folder.glob("*.tmp"))


def test_the_script_can_run_in_an_environment_of_tensorflow_1():
    """Its syntax is valid in the Pythons of TensorFlow 1. It imports nothing of this project."""
    tree = ast.parse(TOOL.read_text(), feature_version=(3, 7))
    imports = {
        alias.name.split(".")[0]
        for node in ast.walk(tree)
        if isinstance(node, ast.Import)
        for alias in node.names
    }
    assert imports - set(sys.stdlib_module_names) == {"numpy", "tensorflow"}
    assert not any(isinstance(node, ast.ImportFrom) for node in ast.walk(tree))
