"""Images unlike those of the training: every one has a finite score."""

import csv
import math

import numpy as np

from faults.rows import ok

KIND = "odd images"


def _array(images):
    def arrange(place):
        np.savez(place.folder / "odd.npz", images=images)

    return arrange


_RNG = np.random.default_rng(0)
ODD = {
    "white": np.full((12, 28, 28), 255, np.uint8),
    "black": np.zeros((12, 28, 28), np.uint8),
    "noise": (_RNG.random((12, 28, 28)) < 0.5).astype(np.uint8) * 255,
    "stripes": np.tile(np.arange(28) % 2, (12, 28, 1)).astype(np.uint8) * 255,
}
COMPRESS = (
    "compress",
    "--pretrained=mnist_10k_small",
    "--input={0.folder}/odd.npz",
    "--output={0.folder}/odd.biva",
)


def _small(name):
    def check(place):
        size = (place.folder / "odd.biva").stat().st_size
        assert size < 12 * 28 * 28 / 8 + 600, f"{size} bytes"
        assert "RuntimeWarning" not in place.err

    return check


def _finite_scores(place):
    with open(place.folder / "scores.csv") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 16
    for row in rows:
        for name, value in row.items():
            if name.endswith("_nats"):
                assert math.isfinite(float(value)), f"{name} is {value}"


FAULTS = [
    *(
        ok(
            f"compress: {name}",
            KIND,
            COMPRESS,
            arrange=_array(images),
            check=_small(name),
            needs="constriction",
            slow=True,
        )
        for name, images in ODD.items()
    ),
    ok(
        "evaluate: letters with a model of digits",
        KIND,
        (
            "evaluate",
            "--pretrained=mnist_10k_small",
            "--dataset=letters_2k",
            "--num_examples=16",
            "--iw_samples=2",
            "--scores={0.folder}/scores.csv",
        ),
        check=_finite_scores,
        slow=True,
    ),
]
