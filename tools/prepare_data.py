"""Prepares a data set in TFDS's format:

    python -m tools.prepare_data --dataset=celeba64 --source=FOLDER --data_dir=D   # from files
    python -m tools.prepare_data --dataset=cifar10 --data_dir=D --download         # TFDS fetches it

Files are verified by their published checksums, or by the numbers of their images where none are
published. Without --source and --download it says which files are needed, and from where.
"""

import sys
from pathlib import Path

from absl import app, flags, logging

from biva_tf.data import preparation, sources
from biva_tf.data.sources import DataError, Location
from biva_tf.errors import UserError

_DATASET = flags.DEFINE_string("dataset", None, "The data set.", required=True)
_SOURCE = flags.DEFINE_string("source", None, "The folder with the files that it is made from.")
_DATA_DIR = flags.DEFINE_string(
    "data_dir", sources.default_data_dir(), "Where prepared data sets are."
)
_DOWNLOAD = flags.DEFINE_bool("download", False, "Let TFDS fetch it.")
_SUBSET = flags.DEFINE_bool(
    "subset", False, "Take files and numbers of images that are not the published ones."
)


def run(dataset: str, source: str | None, data_dir: Path, *, download: bool, subset: bool) -> str:
    """Prepares a data set; what was made, in a line.

    Raises:
      DataError: a file is missing, damaged or not the published one, or it is not said what from.
    """
    module = sources.module(dataset)
    recipe = getattr(module, "RECIPE", None)
    if source is not None:
        if recipe is None:
            raise DataError(f"--source: {dataset} is not made from files; {_how(module, recipe)}")
        folder = Path(source)
        if not folder.is_dir():
            raise DataError(f"--source={source}: expected a folder")
        made = preparation.prepare(dataset, module.INFO, recipe, folder, data_dir, subset=subset)
        location = Location(data_dir)
    elif download or recipe is None:
        location, made = Location(data_dir, download), data_dir
    else:
        raise DataError(f"{dataset} needs --source=FOLDER with\n{_how(module, recipe)}")
    loaded = sources.load(dataset, location)
    counts = {"train": loaded.train, "validation": loaded.validation, "test": loaded.test}
    said = ", ".join(f"{len(s.images):,} {name}" for name, s in counts.items() if s is not None)
    shape = "x".join(map(str, loaded.train.images.shape[1:]))
    return f"{dataset}: {said} images of {shape} ({made})"


def _how(module, recipe) -> str:
    if recipe is None:
        return "it ships with biva_tf, or --download lets TFDS fetch it"
    text = recipe.instructions()
    return text + "\nor, where TFDS has it, --download"


def main(argv: list[str]) -> int:
    """The command; its exit code."""
    del argv
    logging.set_verbosity(logging.WARNING)
    try:
        said = run(
            _DATASET.value,
            _SOURCE.value,
            Path(_DATA_DIR.value),
            download=_DOWNLOAD.value,
            subset=_SUBSET.value,
        )
    except UserError as e:
        print(f"prepare_data: {e}", file=sys.stderr)
        return 1
    print(said)
    return 0


if __name__ == "__main__":
    app.run(main)
