"""Exports: folders that are none, limits that cannot be, and the commands that read them."""

import dataclasses

from faults.rows import damage, flipped, line, put

KIND = "exports"
EXPORT = ("export", "--model_dir={0.shared.model_dir}", "--export_dir={0.folder}/models")
SCORE = (
    "score_dataset",
    "--export_dir={0.exported}",
    "--input=mnist_10k/test",
    "--output={0.folder}/scores",
)


def _version(place):
    (version,) = (path for path in place.exported.iterdir() if path.name.isdigit())
    return version


def _damaged(path, change):
    return lambda place: damage(str(_version(place) / path), change)(place)


FAULTS = [
    line(
        "export: the folder is a file",
        KIND,
        EXPORT,
        "models",
        arrange=put("{0.folder}/models", b""),
    ),
    line("export: version 0", KIND, (*EXPORT, "--version=0"), "version"),
    *(
        line(
            f"score_dataset: {name}",
            KIND,
            SCORE,
            r"models|biva_tf\.json",
            arrange=_damaged(path, change),
            needs="ray",
            slow=slow,
        )
        for name, path, change, slow in (
            ("biva_tf.json is empty", "assets/biva_tf.json", lambda _: b"", False),
            ("biva_tf.json is a list", "assets/biva_tf.json", lambda _: b"[]", True),
            ("biva_tf.json is cut", "assets/biva_tf.json", lambda old: old[:99], True),
            ("biva_tf.json is not UTF-8", "assets/biva_tf.json", lambda _: b"\xff\xff", True),
            ("biva_tf.json is deep", "assets/biva_tf.json", lambda _: b"[" * 5000, True),
            ("saved_model.pb is cut", "saved_model.pb", lambda old: old[:-99], True),
            ("saved_model.pb is empty", "saved_model.pb", lambda _: b"", True),
        )
    ),
    line(
        "score_dataset: the export's weights are damaged",
        KIND,
        SCORE,
        r"models|variables|weights",
        arrange=_damaged("variables/variables.data-00000-of-00001", flipped),
        needs="ray",
        slow=True,
    ),
    line(
        "score_dataset: no export",
        KIND,
        ("score_dataset", "--export_dir={0.folder}/no", "--input=x", "--output={0.folder}/y"),
        "export_dir",
        slow=True,
    ),
]
FAULTS = [dataclasses.replace(fault, seconds=60) for fault in FAULTS]
