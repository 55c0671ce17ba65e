"""A user's own pictures, in colour, all of one size.

The folder may have the sub-folders train/ and test/, and optionally validation/. If it has none of
them, the pictures are sorted by path, and every tenth picture goes to the test split.
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
            raise DataError(f"{folder}: expected pictures for the {split} split, found none")
    return {split: formats.images(paths) for split, paths in splits.items()}


RECIPE = Recipe(
    files=(File("*", "you: pictures of one size, or folders train/ and test/ with such pictures"),),
    examples=_examples,
    counts={},
)


def load(location: Location) -> Source:
    """The pictures that `biva_tf.prepare_data` stored."""
    return prepared.read("image_folder", location, INFO)
