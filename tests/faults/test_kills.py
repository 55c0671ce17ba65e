"""Whenever a command is killed, the same command ends with the same bytes. See `kills`."""

import importlib.util
import os
import random
import shutil

import numpy as np
import pytest
from conftest import run_state, train_args
from PIL import Image

from faults.kills import Job, finish, killed
from faults.place import SCORE_SETTINGS, pixels

pytestmark = pytest.mark.faults

KILLS = int(os.environ.get("BIVA_KILLS", "5"))  # of all jobs together
ROUND = 4  # kills until a job is let to its end


def _files(*patterns):
    def result(folder):
        paths = sorted(path for pattern in patterns for path in folder.rglob(pattern))
        return {str(path.relative_to(folder)): path.read_bytes() for path in paths}

    return result


def _training(shared):
    def command(folder):
        return ("train", *train_args(folder / "run", shared.spec)[2:])

    return Job("training", command, lambda folder: run_state(folder / "run"))


def _evaluation(shared):
    def command(folder):
        flags = ("--iw_samples=20", "--num_examples=200", f"--scores={folder / 'scores.csv'}")
        return ("evaluate", f"--model_dir={shared.model_dir}", *flags)

    return Job("evaluation", command, _files("*.csv"))


def _scoring(shared):
    np.savez(shared.images, images=pixels(24))

    def command(folder):
        flags = (f"--export_dir={shared.export_dir}", f"--input={shared.images}")
        return ("score_dataset", *flags, f"--output={folder / 'scores'}", *SCORE_SETTINGS)

    return Job("scoring", command, _files("*.parquet", "skipped.csv"))


def _preparation(shared):
    pictures = shared.images.with_name("pictures")
    pictures.mkdir(exist_ok=True)
    rng = np.random.default_rng(0)
    for i in range(300):
        image = rng.integers(0, 256, (28, 28)).astype(np.uint8)
        Image.fromarray(image).save(pictures / f"{i:04}.png")

    def command(folder):
        flags = (f"--source={pictures}", f"--data_dir={folder / 'data'}")
        return ("prepare_data", "--dataset=image_folder", *flags)

    return Job("preparation", command, _files("*tfrecord*"))


def _compression(shared):
    inputs = shared.images.with_name("hundred.npy")
    np.save(inputs, pixels(100))

    def command(folder):
        flags = (f"--model_dir={shared.model_dir}", f"--input={inputs}")
        return ("compress", *flags, f"--output={folder / 'x.biva'}", "--block=20")

    return Job("compression", command, _files("*.biva"))


JOBS = {
    "training": (_training, None),
    "evaluation": (_evaluation, None),
    "scoring": (_scoring, "ray"),
    "preparation": (_preparation, None),
    "compression": (_compression, "constriction"),
}


@pytest.mark.parametrize("name", JOBS)
def test_a_killed_command_ends_with_the_same_bytes(name, shared, tmp_path):
    make, needs = JOBS[name]
    if needs and importlib.util.find_spec(needs) is None:
        pytest.skip(f"needs {needs}")
    job = make(shared)
    (tmp_path / "whole").mkdir()
    seconds = finish(job, tmp_path / "whole")
    expected = job.result(tmp_path / "whole")
    assert expected
    rng = random.Random(name)
    wanted, moments, rounds = KILLS // len(JOBS), [], 0
    while len(moments) < wanted and rounds < wanted:
        folder = tmp_path / f"killed_{rounds}"
        folder.mkdir()
        moments += killed(job, folder, min(ROUND, wanted - len(moments)), seconds, rng)
        rounds += 1
        found = job.result(folder)
        assert found.keys() == expected.keys()
        differing = [key for key in expected if found[key] != expected[key]]
        assert not differing, f"{differing} differ after {len(moments)} kills"
        shutil.rmtree(folder)
        if moments:
            print(
                f"{name}: {len(moments)} kills after {min(moments):.1f} to {max(moments):.1f} s of "
                f"{seconds:.1f}; {rounds} rounds, the same bytes"
            )
