"""A user's own pictures, in colour, all of one size.

A folder with the sub-folders train/ and test/ (and validation/, if wished), or without: then, in
the order of their names, every tenth picture is to test.
"""

from pathlib import Path

from biva_tf.data import formats, prepared
from biva_tf.data.preparation import File, Recipe
from biva_tf.data.sources import DataError, Info, Location, Source

INFO = Info(None, train=None, test=None)

_EVERY = 10


def _examples(folder: Path):
    splits = {
        split: formats.image_paths(folder / split)
        for split in ("train", "validation", "test")
        if (folder / split).is_dir()
    }
    if not splits:
        paths = formats.image_paths(folder)
        splits = {
            "train": [path for i, path in enumerate(paths) if i % _EVERY],
            "test": paths[::_EVERY],
        }
    for split in ("train", "test"):
        if not splits.get(split):
            raise DataError(f"{folder}: expected pictures to {split}, found none")
    return {split: formats.images(paths) for split, paths in splits.items()}


RECIPE = Recipe(
    files=(File("*", "you: pictures of one size, or the folders train/ and test/ of them"),),
    examples=_examples,
    counts={},
)


def load(location: Location) -> Source:
    """The pictures as `tools.prepare_data` stored them."""
    return prepared.read("image_folder", location, INFO)
