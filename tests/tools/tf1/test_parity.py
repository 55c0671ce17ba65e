"""The port agrees with arrays that the original TensorFlow 1 program computed."""

import dataclasses
import json

import numpy as np
import pytest
from conftest import DATA, run

from biva_tf.inference import objectives
from biva_tf.model import plans
from biva_tf.model.network import Network
from biva_tf.model.noise import GivenNoise
from tools.tf1.names import load_variables, read_reference, spec_from_config, variables_by_tf1_name

FILES = (
    ("bernoulli_dense", "direct"),
    ("discretized_conv", "frequency"),
    pytest.param("bernoulli_dense", "frequency", marks=pytest.mark.slow),
    pytest.param("discretized_conv", "direct", marks=pytest.mark.slow),
    pytest.param("mixed_bernoulli", "frequency", marks=pytest.mark.slow),
    pytest.param("mixed_discretized", "direct", marks=pytest.mark.slow),
)


def _compare(path, *args):
    return run("-m", "tools.tf1.compare", f"--reference={path}", *args)


@pytest.mark.parametrize("name,conv", FILES)
def test_every_quantity_agrees_with_the_original(name, conv):
    result = _compare(DATA / f"{name}.npz", f"--conv={conv}")
    assert result.returncode == 0, result.stdout[-2000:] + result.stderr[-2000:]
    last = result.stdout.strip().splitlines()[-1]
    assert last.startswith("parity: max relative error ")
    assert float(last.split()[4]) <= 1e-4
    with np.load(DATA / f"{name}.npz") as file:
        inputs = ("config_json", "x", "var/", "noise/", "gen/noise/", "iw4/noise/")
        quantities = {key for key in file.files if not key.startswith(inputs)}
    printed = {line.split()[0] for line in result.stdout.splitlines()[:-1]} - {"note:"}
    assert printed == quantities


# L^{>k} for k = 0, 1, ..., by an independent implementation of the formulas on the same arrays.
L_ABOVE_K = {
    "bernoulli_dense": [
        [-46.0708, -44.2216, -45.1453],
        [-45.8746, -43.8379, -45.2669],
        [-44.6603, -44.2665, -44.6259],
    ],
    "discretized_conv": [
        [-4844.5333, -4902.8700],
        [-4835.2748, -4893.8847],
        [-4813.0515, -4849.8618],
        [-4809.3917, -4846.1323],
    ],
}


@pytest.mark.parametrize("name", L_ABOVE_K)
def test_l_above_k_agrees_with_an_independent_implementation(name):
    reference = read_reference(DATA / f"{name}.npz")
    model = Network(reference.spec)
    load_variables(model, reference.group("var/"), name)
    x = reference["x"]
    noise = GivenNoise(
        posterior=reference.noise("noise/", len(x), model),
        prior=reference.noise("gen/noise/", len(x), model),
    )
    for k, expected in enumerate(L_ABOVE_K[name]):
        output = model(x, plan=plans.prior_up_to(model.spec, k), noise=noise)
        np.testing.assert_allclose(objectives.terms(output, x).bound, expected, rtol=1e-4)


def _changed(tmp_path, change, name="bernoulli_dense"):
    with np.load(DATA / f"{name}.npz") as file:
        arrays = {key: file[key] for key in file.files}
    change(arrays)
    path = tmp_path / "changed.npz"
    np.savez(path, **arrays)
    return path


def test_arrays_that_differ_are_named_and_fail(tmp_path):
    def change(arrays):
        arrays["out/p_mean/z1_td"] = arrays["out/p_mean/z1_td"] * 1.01
        arrays["grad/BIVA/dense/b"] = arrays["grad/BIVA/dense/b"] + 0.1

    result = _compare(_changed(tmp_path, change), "--rtol=1e-3")
    assert result.returncode == 1
    failed = [line.split()[0] for line in result.stdout.splitlines() if line.endswith("FAILS")]
    assert failed == ["out/p_mean/z1_td", "grad/BIVA/dense/b"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda a: a.pop("out/q_mean/z2_bu"), "no array 'out/q_mean/z2_bu'"),
        (lambda a: a.pop("noise/z3"), "no array 'noise/z3'"),
        (lambda a: a["grad/BIVA/dense/b"].fill(np.nan), "grad/BIVA/dense/b: expected finite"),
        (lambda a: a.update(x=a["x"].astype(np.float64)), "x: expected float32, got float64"),
        (lambda a: a.pop("config_json"), "no array 'config_json'"),
        (lambda a: a.update(config_json=np.array("{")), "config_json is not JSON"),
        (lambda a: a.update(config_json=np.array("{}")), "output_distribution: expected a value"),
        (lambda a: a.pop("var/BIVA/dense/V"), "1 missing: BIVA/dense/V"),
        (lambda a: a.update({"var/BIVA/x/V": a["x"]}), "1 unknown: BIVA/x/V"),
        (
            lambda a: a.update({"var/BIVA/dense/V": a["x"]}),
            "1 misshapen: BIVA/dense/V (expected (4, 1), got (3, 8, 8, 1))",
        ),
        (
            lambda a: a.update({"noise/z3": a["noise/z3"][:, :2]}),
            "noise/z3: expected (3, 3), got (3, 2)",
        ),
        (lambda a: a.update(x=a["x"][:, :4]), "x: expected images of (8, 8, 1), got (3, 4, 8, 1)"),
    ],
)
def test_the_error_for_a_file_that_does_not_fit_says_why(tmp_path, change, message):
    from tools.tf1 import parity as tf1_parity
    from tools.tf1.names import ReferenceFileError

    path = _changed(tmp_path, change)
    with pytest.raises(ReferenceFileError) as error:
        list(tf1_parity.compare(read_reference(path), rtol=1e-4))
    assert message in str(error.value) and str(path) in str(error.value)


def test_a_file_that_is_no_npz_is_refused(tmp_path):
    path = tmp_path / "broken.npz"
    path.write_bytes((DATA / "bernoulli_dense.npz").read_bytes()[:100_000])
    result = _compare(path)
    assert result.returncode == 2
    assert f"compare_tf1: {path}: expected an npz file of arrays" in result.stderr
    assert "no such file" in _compare(tmp_path / "none.npz").stderr


# The numbers of parameters that the original's own count gives.
PARAMETERS = {
    "bernoulli_dense": 31_714,
    "discretized_conv": 95_044,
    "mixed_bernoulli": 17_054,
    "mixed_discretized": 28_628,
}


@pytest.mark.parametrize("name", PARAMETERS)
def test_variables_have_the_names_and_shapes_of_the_original(name):
    """The files list the variables of the original in the order in which it makes them."""
    with np.load(DATA / f"{name}.npz") as file:
        config = json.loads(str(file["config_json"]))
    model = Network(spec_from_config(config))
    ours = {n: list(v.shape) for n, v in variables_by_tf1_name(model).items()}
    assert ours == dict(config["variables"])
    assert model.count_params() == PARAMETERS[name]


def test_the_originals_arguments_of_mnist_l6_give_the_named_architecture():
    config = {
        "input_shape": [28, 28, 1],
        "deterministic_layers": [
            [[64, [k, k], [1, 1]]] * 2 + [[64, [k, k], [s, s]]]
            for k, s in ((5, 2), (3, 1), (3, 1), (3, 1), (3, 1), (3, 2))
        ],
        "stochastic_layers": [48, 40, 32, 24, 16, 8],
        "output_distribution": "bernoulli",
    }
    from biva_tf.model import architectures

    named = architectures.get("mnist_l6")
    plain = dataclasses.replace(named, dropout_inference=0.0, dropout_generative=0.0)
    assert spec_from_config(config) == plain
