"""Scores of a data set whose images, parts or folder have changed."""

import dataclasses
import shutil

import numpy as np

from faults.place import SCORE_SETTINGS, pixels
from faults.rows import line, ok, put

KIND = "scores of a data set"
SCORE = (
    "score_dataset",
    "--export_dir={0.shared.export_dir}",
    "--input={0.shared.images}",
    "--output={0.folder}/scores",
    *SCORE_SETTINGS,
)


def _images(place, changed=()):
    images = pixels(24)
    for i in changed:
        images[i] = 255 - images[i]
    np.savez(place.shared.images, images=images)


def _scored(then):
    """The scores of 24 images are there, in three parts; then something happens."""

    def arrange(place):
        _images(place)
        shutil.copytree(place.shared.scores, place.folder / "scores")
        then(place)

    return arrange


def _part(place, number):
    return place.folder / "scores" / "parts" / f"{number:06}.parquet"


def _flip(place):
    content = bytearray(_part(place, 1).read_bytes())
    content[len(content) // 3] ^= 4
    _part(place, 1).write_bytes(bytes(content))


def _as_before(place):
    for number in range(3):
        expected = place.shared.scores / "parts" / f"{number:06}.parquet"
        assert _part(place, number).read_bytes() == expected.read_bytes(), f"part {number} differs"


def _change_and_lose(place):
    _part(place, 2).unlink()
    _images(place, changed=[10])


def _kept(*numbers):
    def check(place):
        for number in numbers:
            assert _part(place, number).exists(), f"part {number} is gone"

    return check


FAULTS = [
    line(
        "an image has changed",
        KIND,
        SCORE,
        "ids 8 to 15",
        r"000001\.parquet",
        arrange=_scored(_change_and_lose),
        check=_kept(0, 1),
    ),
    line(
        "an image has changed, all parts are there",
        KIND,
        SCORE,
        "ids 16 to 23",
        r"000002\.parquet",
        arrange=_scored(lambda place: _images(place, changed=[20])),
        check=_kept(0, 1, 2),
        slow=True,
    ),
    line(
        "part 0 in the place of part 1",
        KIND,
        SCORE,
        r"000001\.parquet",
        arrange=_scored(lambda place: shutil.copy(_part(place, 0), _part(place, 1))),
        check=_kept(0, 1, 2),
    ),
    line(
        "a stranger among the parts",
        KIND,
        SCORE,
        r"mine\.parquet",
        arrange=_scored(
            lambda place: shutil.copy(_part(place, 0), _part(place, 0).with_name("mine.parquet"))
        ),
    ),
    line(
        "other settings",
        KIND,
        (*SCORE, "--seed=4"),
        "seed",
        arrange=_scored(lambda _: 0),
        slow=True,
    ),
    ok(
        "a part with a flipped bit",
        KIND,
        SCORE,
        arrange=_scored(_flip),
        check=_as_before,
        slow=True,
    ),
    *(
        line(
            f"scores.json: {name}",
            KIND,
            SCORE,
            r"scores",
            arrange=_scored(put("{0.folder}/scores/scores.json", content)),
            check=_kept(0, 1, 2),
            slow=name != "empty",
        )
        for name, content in (
            ("empty", b""),
            ("NUL bytes", bytes(500)),
            ("a list", b"[]"),
            ("a number", b"3"),
            ("not UTF-8", b"\xff"),
            ("deep", b"[" * 5000),
        )
    ),
]
FAULTS = [dataclasses.replace(fault, needs="ray", seconds=120) for fault in FAULTS]
