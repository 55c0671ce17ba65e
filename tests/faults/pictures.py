"""Pictures and data sets of one's own."""

import json

import numpy as np
from PIL import Image

from faults.place import pixels
from faults.rows import PREPARE, both, line, ok

KIND = "own pictures"
GREY = np.random.default_rng(0).integers(0, 256, (6, 28, 28)).astype(np.uint8)


def _pictures(write):
    def arrange(place):
        folder = place.folder / "pictures"
        folder.mkdir()
        for i, each in enumerate(GREY):
            Image.fromarray(each).save(folder / f"{i}.png")
        write(folder)

    return arrange


def _prepared(number):
    """That many pictures are in the data set, and no temporary file is left."""

    def check(place):
        (about,) = (place.folder / "data").rglob("dataset_info.json")
        splits = json.loads(about.read_text())["splits"]
        found = sum(int(n) for split in splits for n in split["shardLengths"])
        assert found == number, f"{found} pictures in place of {number}"

    return check


def _says(*words):
    def check(place):
        said = place.out + place.err
        for word in words:
            assert word in said, f"{word!r} is not said: {said[-500:]}"

    return check


def _cut(folder):
    path = folder / "3.png"
    path.write_bytes(path.read_bytes()[:90])


def _hidden(folder):
    (folder / ".thumbnails").mkdir()
    Image.fromarray(GREY[0]).save(folder / ".thumbnails" / "0.png")
    Image.fromarray(GREY[0]).save(folder / ".x.png")


def _large(folder):
    Image.new("1", (20000, 20000)).save(folder / "large.png")


SAMPLE = (
    "sample",
    "--model_dir={0.shared.model_dir}",
    "--mode=reconstruct",
    "--examples=0,6",
    "--input={0.folder}/pictures",
    "--output={0.folder}/x.png",
)

FAULTS = [
    line(
        "prepare_data: an empty folder",
        KIND,
        PREPARE,
        "pictures",
        arrange=lambda place: (place.folder / "pictures").mkdir(),
    ),
    line(
        "prepare_data: a folder that is not there",
        KIND,
        PREPARE,
        "pictures|source",
    ),
    ok(
        "prepare_data: a picture that is cut",
        KIND,
        PREPARE,
        arrange=_pictures(_cut),
        check=both(_prepared(5), _says("3.png")),
    ),
    ok(
        "prepare_data: hidden pictures",
        KIND,
        PREPARE,
        arrange=_pictures(_hidden),
        check=_prepared(6),
        slow=True,
    ),
    ok(
        "sample: sixteen bits",
        KIND,
        SAMPLE,
        arrange=_pictures(
            lambda folder: Image.fromarray(GREY[0].astype(np.uint16) * 257).save(folder / "w.png")
        ),
        slow=True,
    ),
    line(
        "compress: pictures of another size",
        KIND,
        (
            "compress",
            "--model_dir={0.shared.model_dir}",
            "--input={0.folder}/pictures",
            "--output={0.folder}/x.biva",
        ),
        "pictures",
        arrange=_pictures(lambda folder: Image.fromarray(pixels(1)[0][:20]).save(folder / "a.png")),
        slow=True,
    ),
    line(
        "compress: a picture of 400 million pixels",
        KIND,
        (
            "compress",
            "--model_dir={0.shared.model_dir}",
            "--input={0.folder}/pictures",
            "--output={0.folder}/x.biva",
        ),
        r"large\.png",
        arrange=_pictures(_large),
    ),
    line(
        "prepare_data: text in place of a picture, alone",
        KIND,
        PREPARE,
        r"pictures",
        arrange=lambda place: (
            (place.folder / "pictures").mkdir(),
            (place.folder / "pictures" / "a.png").write_text("text"),
        ),
        slow=True,
    ),
]
