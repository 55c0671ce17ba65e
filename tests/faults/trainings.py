"""Runs that diverge, stop, share a folder, or have few images in a batch."""

import fcntl
import json
import math
import os

from conftest import run_state
from PIL import Image

from biva_tf.data.prepared import own_name
from faults.place import pixels
from faults.rows import EVALUATE, PREPARE, TRAIN, line, new_run, ok

SHORT = ("--steps=4", "--eval_every=4", "--log_every=2", "--checkpoint_every=2")


def _metrics(place, name="new"):
    text = (place.folder / name / "metrics.jsonl").read_text()
    return [json.loads(each) for each in text.splitlines()]


def _finite(place):
    for each in _metrics(place):
        for name in ("loss", "elbo"):
            assert math.isfinite(each.get(name, 0)), f"{name} of step {each['step']}: {each[name]}"


def _ends(step):
    """The run has weights and a summary of its last step."""

    def check(place):
        summary = json.loads((place.folder / "new" / "summary.json").read_text())
        assert summary["step"] == step, summary
        assert math.isfinite(summary["elbo_nats"])
        assert list((place.folder / "new" / "weights").glob("*.index"))

    return check


_DIVERGENCE = [
    line(
        "a learning rate of 1e30",
        "divergence",
        new_run("--learning_rate=1e30", *SHORT),
        "loss is|diverge|finite",
        slow=True,
    ),
    line(
        "the first step of a process diverges",
        "divergence",
        new_run("--learning_rate=1e30", *SHORT, "--log_every=1"),
        "loss is|diverge|finite",
        slow=True,
    ),
]

_SMALL_BATCHES = [
    ok(
        f"--batch_size={number}",
        "small batches",
        new_run(f"--batch_size={number}", *SHORT),
        check=_finite,
        slow=True,
    )
    for number in (1, 2, 3)
]
_SMALL_BATCHES += [
    ok(
        "--log_every above --steps",
        "small batches",
        new_run("--steps=3", "--log_every=50", "--eval_every=2"),
        check=_ends(3),
        slow=True,
    ),
    ok(
        "--eval_every=3 alone",
        "small batches",
        new_run("--steps=4", "--eval_every=3", "--log_every=50"),
        check=_ends(4),
        slow=True,
    ),
]


def _held(folder):
    """Another process, this one, holds the lock of a folder."""

    def arrange(place):
        path = folder.format(place)
        os.makedirs(path, exist_ok=True)
        place.first = open(os.path.join(path, ".lock"), "a")  # noqa: SIM115
        fcntl.flock(place.first, fcntl.LOCK_EX)

    return arrange


_DATA_SET = f"{{0.folder}}/data/{own_name('image_folder')}"


def _let_go(place):
    place.first.close()


_TWO = [
    line(
        "a training in the folder of another",
        "two at once",
        TRAIN,
        "run",
        "process|another",
        arrange=_held("{0.run}"),
        mend=_let_go,
        after=TRAIN,
    ),
    line(
        "a preparation in the folder of another",
        "two at once",
        PREPARE,
        "process|another",
        arrange=lambda place: (_pictures(place), _held(_DATA_SET)(place)),
        mend=_let_go,
        after=PREPARE,
        slow=True,
    ),
    ok(
        "an evaluation beside a training",
        "two at once",
        EVALUATE,
        arrange=_held("{0.run}"),
        slow=True,
    ),
]


def _pictures(place):
    folder = place.folder / "pictures"
    folder.mkdir()
    for i, each in enumerate(pixels(12)):
        Image.fromarray(each).save(folder / f"{i}.png")


def _same_as_uninterrupted(place):
    found, expected = run_state(place.folder / "new"), run_state(place.shared.model_dir)
    differing = [name for name in expected if found.get(name) != expected[name]]
    assert not differing, f"{differing[:3]} differ"


_STOPS = [
    ok(
        "two starts in one folder, one after the other",
        "stops",
        new_run("--steps=20"),
        after=new_run(),
        check_after=_same_as_uninterrupted,
        slow=True,
    ),
    ok(
        "--steps before the first evaluation",
        "stops",
        new_run("--steps=3", "--eval_every=20"),
        check=_ends(3),
        slow=True,
    ),
]

FAULTS = [*_DIVERGENCE, *_TWO, *_STOPS, *_SMALL_BATCHES]
