"""Full disks, disks that cannot be written, and paths that are something else."""

import numpy as np
from conftest import run_state
from PIL import Image

from faults.place import pixels
from faults.rows import (
    EVALUATE,
    PREPARE,
    both,
    grow,
    line,
    new_run,
    put,
    read_only_disk,
    small_disk,
)

KIND = "full disk"
SPACE = "[Nn]o space|[Tt]oo large|room|full"


def _train(*changes):
    return tuple(
        part.replace("{0.folder}/new", "{0.folder}/disk/new") for part in new_run(*changes)
    )


def _same_as_uninterrupted(place):
    found, expected = run_state(place.folder / "disk" / "new"), run_state(place.shared.model_dir)
    differing = [name for name in expected if found.get(name) != expected[name]]
    assert not differing, f"{differing[:3]} differ"


def _nothing_left(*allowed):
    """Nothing that is half-written is on the disk."""

    def check(place):
        for path in (place.folder / "disk").rglob("*"):
            left = any(part in path.name for part in (".tmp", "incomplete", "_temp", ".partial"))
            assert not left, f"{path} is left"

    return check


def _pictures(number=40):
    def arrange(place):
        folder = place.folder / "pictures"
        folder.mkdir()
        rng = np.random.default_rng(0)
        for i in range(number):
            Image.fromarray(rng.integers(0, 256, (28, 28)).astype(np.uint8)).save(
                folder / f"{i}.png"
            )

    return arrange


def _ten(place):
    np.save(place.folder / "ten.npy", pixels(10))


def _back(place):
    found = np.load(place.folder / "disk" / "back.npz")["images"]
    assert (np.squeeze(found) == pixels(10)).all(), "other images came back"


_EVALUATE = tuple(part.replace("{0.run}", "{0.folder}/disk") for part in EVALUATE)
_EXPORT = ("export", "--model_dir={0.shared.model_dir}", "--export_dir={0.folder}/disk/models")
_SAMPLE = ("sample", "--model_dir={0.shared.model_dir}", "--output={0.folder}/disk/x.png")
_COMPRESS = (
    "compress",
    "--model_dir={0.shared.model_dir}",
    "--input={0.folder}/ten.npy",
    "--output={0.folder}/disk/ten.biva",
)
_DECOMPRESS = (
    "decompress",
    "--model_dir={0.shared.model_dir}",
    "--input={0.compressed}",
    "--output={0.folder}/disk/back.npz",
)
_PREPARE = tuple(part.replace("{0.folder}/data", "{0.folder}/disk/data") for part in PREPARE)

FAULTS = [
    line(
        "training, nothing left",
        KIND,
        _train(),
        SPACE,
        arrange=small_disk("disk", 0),
        check=_nothing_left(),
        slow=True,
    ),
    *(
        line(
            f"training, {room} kB left",
            KIND,
            _train(),
            SPACE,
            arrange=small_disk("disk", room),
            check=_nothing_left(),
            mend=grow("disk"),
            after=_train(),
            check_after=_same_as_uninterrupted,
            slow=True,
        )
        for room in (16, 300, 900)
    ),
    *(
        line(
            f"{name}, {room} kB left",
            KIND,
            command,
            SPACE,
            arrange=both(before, small_disk("disk", room, content)),
            check=_nothing_left(),
            mend=grow("disk"),
            after=command,
            check_after=then,
            slow=slow,
        )
        for name, room, command, before, content, then, slow in (
            ("evaluation", 0, _EVALUATE, lambda _: 0, "{0.shared.model_dir}", lambda _: 0, True),
            ("evaluation", 4, _EVALUATE, lambda _: 0, "{0.shared.model_dir}", lambda _: 0, True),
            ("export", 300, _EXPORT, lambda _: 0, None, lambda _: 0, True),
            ("samples", 0, _SAMPLE, lambda _: 0, None, lambda _: 0, False),
            ("compression", 0, _COMPRESS, _ten, None, lambda _: 0, True),
            ("decompression", 0, _DECOMPRESS, lambda _: 0, None, _back, True),
            ("preparation", 0, _PREPARE, _pictures(), None, lambda _: 0, False),
            ("preparation", 24, _PREPARE, _pictures(), None, lambda _: 0, True),
        )
    ),
    *(
        line(
            f"{command[0]} on a disk that is read only",
            KIND,
            command,
            "[Rr]ead-only",
            arrange=both(before, read_only_disk("disk", content)),
            slow=command[0] != "sample",
        )
        for command, before, content in (
            (_train(), lambda _: 0, None),
            (_EVALUATE, lambda _: 0, "{0.shared.model_dir}"),
            (_EXPORT, lambda _: 0, None),
            (_SAMPLE, lambda _: 0, None),
            (_COMPRESS, _ten, None),
            (_PREPARE, _pictures(), None),
        )
    ),
    line(
        "an output below a file",
        KIND,
        ("sample", "--model_dir={0.shared.model_dir}", "--output={0.folder}/file/x.png"),
        "file",
        arrange=put("{0.folder}/file", b""),
    ),
]
