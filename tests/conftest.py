"""Shared by the tests: small specs, a trained run, and a runner of the project's commands."""

import contextlib
import functools
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

# Two test processes share two cores. More threads in each would wait for one another.
os.environ.setdefault("TF_NUM_INTRAOP_THREADS", "1")

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

import biva_tf
from biva_tf.model import kinds, user_code
from biva_tf.model.spec import BlockSpec, ConvLatent, DenseLatent, ModelSpec, StageSpec

ROOT = Path(__file__).resolve().parent.parent
DATA = Path(__file__).resolve().parent / "data"


def stage(latent, *strides, filters=4, kernel=(3, 3)):
    return StageSpec(tuple(BlockSpec(filters, kernel, s) for s in strides), latent)


def random_images(spec, rows=4, seed=0):
    """Random images [rows, *image_shape] in [0, 1]; zeros and ones if the spec is binary."""
    pixels = np.random.default_rng(seed).integers(0, 256, (rows, *spec.image_shape))
    if spec.likelihood.binary:
        return (pixels > 127).astype(np.float32)
    return pixels.astype(np.float32) / 255


def perturbed(name_or_spec, seed=0):
    """A model with random numbers added to every weight, gains and biases included."""
    keras.utils.set_random_seed(seed)
    model = biva_tf.build(name_or_spec)
    rng = np.random.default_rng(seed)
    for variable in model.trainable_variables:
        variable.assign(variable + rng.normal(0, 0.2, size=variable.shape))
    return model


@pytest.fixture(scope="module", params=["tiny_dense", "tiny_conv"])
def model(request):
    return perturbed(request.param)


@pytest.fixture(scope="session")
def digits_spec():
    """A very small model of binary 28x28 images with both kinds of latents."""
    return ModelSpec(
        image_shape=(28, 28, 1),
        stages=(
            stage(ConvLatent(2, (3, 3)), (4, 4)),
            stage(DenseLatent(3), (1, 1)),
            stage(DenseLatent(2), (2, 2)),
        ),
    )


@pytest.fixture(scope="session")
def digits_json(digits_spec, tmp_path_factory):
    path = tmp_path_factory.mktemp("spec") / "digits.json"
    path.write_text(digits_spec.to_json())
    return path


def command(*args):
    """Starts a command of the project and captures its output."""
    env = {key: value for key, value in os.environ.items() if key != "TF_CPP_MIN_LOG_LEVEL"}
    return subprocess.Popen(
        [sys.executable, *map(str, args)],
        cwd=ROOT,
        env=env,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


@functools.cache
def _command_server():
    script = ROOT / "tests" / "command_server.py"
    return subprocess.Popen(
        [sys.executable, script], text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )


def run(*args, timeout=300, new_interpreter=False, limits=None, kill_after=None):
    """Runs a command of the project (-m MODULE) or other Python code, and waits for its end.

    A command runs in a fork of a process that has imported TensorFlow, which saves time; with
    `new_interpreter` it does not. It can have limits, by their names in the module `resource`, and
    be killed, with the processes that it started, after so many seconds of a processor. The result
    of a fork has the `seconds` of a processor that it took.
    """
    args = [str(arg) for arg in args]
    if new_interpreter or args[0] != "-m":
        with command(*args) as process:
            out, err = process.communicate(timeout=timeout)
        return subprocess.CompletedProcess(args, process.returncode, out, err)
    server = _command_server()
    with tempfile.TemporaryDirectory() as folder:
        paths = {name: Path(folder, name) for name in ("stdout", "stderr")}
        request = {
            "module": args[1],
            "args": args[2:],
            "env": {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},  # as biva_tf sets it
            "timeout": timeout,
            "limits": limits or {},
            "kill_after": kill_after,
            **{name: str(path) for name, path in paths.items()},
        }
        server.stdin.write(json.dumps(request) + "\n")
        server.stdin.flush()
        code, seconds = server.stdout.readline().split()
        outputs = {name: path.read_text(errors="replace") for name, path in paths.items()}
    result = subprocess.CompletedProcess(args, int(code), **outputs)
    result.seconds = float(seconds)
    return result


@contextlib.contextmanager
def served(models, cwd):
    """The ports of a server of an exported model; the server cannot import the project."""
    env = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    with subprocess.Popen(
        [sys.executable, ROOT / "tests" / "serving" / "serving_stand_in.py", models],
        cwd=cwd,
        env={**env, "TF_CPP_MIN_LOG_LEVEL": "3"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        yield json.loads(process.stdout.readline())
        process.stdin.close()


def last_json(stdout):
    """The JSON object in the last line of an output."""
    return json.loads(stdout.strip().splitlines()[-1])


def train_args(model_dir, spec, *changes):
    """Arguments of a short training run; the flags in `changes` override its settings."""
    settings = (
        "--binarize=dynamic",
        "--batch_size=8",
        "--validation_size=40",
        "--steps=40",
        "--log_every=5",
        "--eval_every=20",
        "--checkpoint_every=10",
        "--ema_decay=0.9",
        "--seed=3",
    )
    flags = [f"--architecture={spec}", f"--model_dir={model_dir}", *settings, *changes]
    return ("-m", "biva_tf.train", *flags)


@pytest.fixture(scope="session")
def finished(digits_json, tmp_path_factory):
    """(model_dir, completed process) of an uninterrupted run. Tests change a copy: `trained`."""
    model_dir = tmp_path_factory.mktemp("run") / "model"
    result = run(*train_args(model_dir, digits_json))
    assert result.returncode == 0, result.stderr[-3000:]
    return model_dir, result


@pytest.fixture
def trained(finished, tmp_path):
    """The model_dir of a copy of the run `finished`, which a test may change."""
    return Path(shutil.copytree(finished[0], tmp_path / "trained"))


class OwnAccount:
    """An account that has named no code, in a process that has run none."""

    def __init__(self, monkeypatch):
        self._monkeypatch = monkeypatch
        self.forget()

    def forget(self):
        """What a user's files did in this process so far, as if it began anew."""
        for name in user_code._TEXTS:
            sys.modules.pop(name, None)
        for name, empty in (("_TEXTS", {}), ("_GIVEN", set()), ("_NAMED", set())):
            self._monkeypatch.setattr(user_code, name, empty)
        own = {family: kinds.known(family) for family in kinds.FAMILIES}
        own = {
            family: {k: cls for k, cls in known.items() if cls.__module__.startswith("biva_tf.")}
            for family, known in own.items()
        }
        self._monkeypatch.setattr(kinds, "_KINDS", own)


@pytest.fixture
def pictures(tmp_path):
    """The data_dir of thirty 8x8 pictures, prepared as the data set image_folder."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    for i in range(30):
        pixels = np.random.default_rng(i).integers(0, 256, (8, 8, 3)).astype(np.uint8)
        Image.fromarray(pixels).save(folder / f"{i:02}.png")
    args = ("--dataset=image_folder", f"--source={folder}", f"--data_dir={tmp_path}")
    assert run("-m", "biva_tf.prepare_data", *args).returncode == 0
    return tmp_path


@pytest.fixture
def own_account(tmp_path, monkeypatch):
    """An account of this test's own, and a process without code of a user's."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    account = OwnAccount(monkeypatch)
    yield account
    account.forget()


def run_state(model_dir):
    """Everything that a run leaves and that has to be reproduced bit for bit."""
    state = {}
    for folder in ("checkpoints", "weights"):
        path = tf.train.latest_checkpoint(str(model_dir / folder))
        reader = tf.train.load_checkpoint(path)
        for key in reader.get_variable_to_shape_map():
            if "save_counter" not in key and "OBJECT_GRAPH" not in key:
                state[f"{folder}/{key}"] = np.asarray(reader.get_tensor(key)).tobytes()
    state["metrics"] = (model_dir / "metrics.jsonl").read_bytes()
    state["summary"] = (model_dir / "summary.json").read_bytes()
    state["final.png"] = (model_dir / "samples" / "final.png").read_bytes()
    return state


@pytest.fixture
def disk(tmp_path):
    """The folder of a file system of 200 KiB; where none can be mounted, the test is skipped."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=200k", "tmpfs", folder]
    if not shutil.which("mount") or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("a small file system cannot be mounted here")
    yield folder
    subprocess.run(["umount", "-l", folder], check=True)
