"""Files of a run that are empty, cut, damaged, or say what cannot be."""

import json

from conftest import run_state

from faults.rows import (
    EVALUATE,
    TRAIN,
    damage,
    flipped,
    folder_in_place_of,
    line,
    ok,
    put,
    set_json,
    without,
)

KIND = "files of a run"
DEEP = "[" * 1000 + "]" * 1000
CONTENTS = {
    "empty": b"",
    "NUL bytes": bytes(2000),
    "not UTF-8": b'{"spec": "\xff\xfe"}',
    "a number": b"3",
    "a list": b"[]",
    "an empty object": b"{}",
    "nested a thousand deep": DEEP.encode(),
}
CONFIG = "{0.run}/config.json"
QUICK = ("empty", "a list", "nested a thousand deep")  # of each file


def _settings(**values):
    """Changes settings of the run's config.json."""

    def change(old):
        config = json.loads(old)
        return json.dumps(config | {"settings": config["settings"] | values}).encode()

    return damage(CONFIG, change)


def _cut(old):
    return old[: len(old) // 2]


def _cut_last_line(old):
    return old[:-40]


def _middle_line(text):
    def change(old):
        lines = old.splitlines(keepends=True)
        return b"".join([*lines[:3], text, b"\n", *lines[4:]])

    return change


def _as_finished(place):
    """The run ends as the finished one did."""
    found, expected = run_state(place.run), run_state(place.shared.model_dir)
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        assert found[name] == value, f"{name} differs"


def _says(*words):
    def check(place):
        for word in words:
            assert word in place.err, f"{word!r} is not said: {place.err[-500:]}"

    return check


_CONFIG = [
    line(
        f"config.json: {name}",
        KIND,
        EVALUATE,
        r"config\.json",
        arrange=put(CONFIG, content),
        slow=name not in QUICK,
    )
    for name, content in CONTENTS.items()
]
_CONFIG += [
    line("config.json: cut", KIND, EVALUATE, r"config\.json", arrange=damage(CONFIG, _cut)),
    line(
        "config.json: a folder",
        KIND,
        EVALUATE,
        r"config\.json",
        arrange=folder_in_place_of(CONFIG),
    ),
    line("config.json: missing", KIND, EVALUATE, r"config\.json", arrange=without(CONFIG)),
    line(
        "config.json: cut, training",
        KIND,
        TRAIN,
        r"config\.json",
        arrange=damage(CONFIG, _cut),
    ),
]
_VALUES = [
    line(
        f"config.json: {name}={value!r}",
        KIND,
        EVALUATE,
        r"config\.json",
        name,
        arrange=_settings(**{name: value}),
        slow=slow,
    )
    for name, value, slow in (
        ("threshold", "high", False),
        ("binarize", "sometimes", False),
        ("batch_size", -5, False),
        ("learning_rate", "0.1", True),
        ("validation_size", 1.5, True),
        ("threshold", None, True),
        ("dataset", 7, True),
        ("ema_decay", "nan", True),
    )
]
_VALUES += [
    line(
        "config.json: a spec of three",
        KIND,
        EVALUATE,
        r"config\.json",
        "spec",
        arrange=set_json(CONFIG, spec=3),
    ),
    line(
        "config.json: a newer format",
        KIND,
        EVALUATE,
        r"config\.json",
        "format_version",
        arrange=set_json(CONFIG, format_version=99),
        slow=True,
    ),
]

METRICS = "{0.run}/metrics.jsonl"
PLOT = ("plot", "--model_dir={0.run}")
_METRICS = [
    ok(
        "metrics.jsonl: the last line is cut, plot",
        KIND,
        PLOT,
        arrange=damage(METRICS, _cut_last_line),
        check=_says("metrics.jsonl"),
        slow=True,
    ),
    *(
        line(
            f"metrics.jsonl: a line in the middle is {name}",
            KIND,
            PLOT,
            r"metrics\.jsonl",
            "4",
            arrange=damage(METRICS, _middle_line(text)),
            slow=name != "cut",
        )
        for name, text in (
            ("cut", b'{"step": 2'),
            ("a number", b"3"),
            ("not UTF-8", b"\xff\xfe"),
            ("NUL bytes", bytes(30)),
            ("deep", DEEP.encode()),
        )
    ),
    line(
        "metrics.jsonl: a folder",
        KIND,
        PLOT,
        r"metrics\.jsonl",
        arrange=folder_in_place_of(METRICS),
    ),
]


def _before_the_end(then):
    """The run goes on from step 30, after `then`."""

    def arrange(place):
        for path in place.run.glob("checkpoints/ckpt-40*"):
            path.unlink()
        (place.run / "summary.json").unlink()
        then(place)

    return arrange


_CHECKPOINTS = [
    *(
        ok(
            f"checkpoints/checkpoint: {name}, training",
            KIND,
            TRAIN,
            arrange=_before_the_end(put("{0.run}/checkpoints/checkpoint", content)),
            check=_as_finished,
            slow=True,
        )
        for name, content in (
            ("empty", b""),
            ("names what is not there", b'model_checkpoint_path: "ckpt-90"\n'),
        )
    ),
    ok(
        "weights/checkpoint: missing",
        KIND,
        EVALUATE,
        arrange=without("{0.run}/weights/checkpoint"),
        slow=True,
    ),
    *(
        ok(
            f"weights/checkpoint: {name}",
            KIND,
            EVALUATE,
            arrange=put("{0.run}/weights/checkpoint", content),
            slow=True,
        )
        for name, content in (("empty", b""), ("NUL bytes", bytes(200)), ("words", b"\xff what"))
    ),
    line(
        "selected weights: a bit is flipped",
        KIND,
        EVALUATE,
        "weights",
        "ckpt-40",
        arrange=damage("{0.run}/weights/ckpt-40.data-00000-of-00001", flipped),
    ),
    line(
        "selected weights: cut",
        KIND,
        EVALUATE,
        "weights",
        "ckpt-40",
        arrange=damage("{0.run}/weights/ckpt-40.data-00000-of-00001", _cut),
        slow=True,
    ),
    line(
        "selected weights: their index is damaged",
        KIND,
        EVALUATE,
        "weights",
        "ckpt-40",
        arrange=damage("{0.run}/weights/ckpt-40.index", _cut),
    ),
]

# It has only the metrics since the last line of them, without which a run can go on. Its reader,
# and that of the pointers, are tried with other contents in tests/runs.
_UNFINISHED = [
    ok(
        f"unfinished.json: {name}, training",
        KIND,
        TRAIN,
        arrange=put("{0.run}/unfinished.json", content),
        check=_says("unfinished.json"),
        slow=name != "empty",
    )
    for name, content in CONTENTS.items()
    if name in ("empty", "not UTF-8")
]

_FOLDERS = [
    line("no run: a new folder", KIND, ("evaluate", "--model_dir={0.folder}/none"), "none"),
    line(
        "no run: a file",
        KIND,
        ("evaluate", "--model_dir={0.folder}/file"),
        "file",
        arrange=put("{0.folder}/file", b"x"),
        slow=True,
    ),
    line(
        "a run in a file, training",
        KIND,
        ("train", "--model_dir={0.folder}/file", "--architecture=mnist_sample"),
        "model_dir",
        arrange=put("{0.folder}/file", b"x"),
    ),
]

FAULTS = [*_CONFIG, *_VALUES, *_METRICS, *_CHECKPOINTS, *_UNFINISHED, *_FOLDERS]
