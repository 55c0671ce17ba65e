"""CIFAR-10: 32x32 colour photographs."""

from pathlib import Path

from biva_tf.data import formats, prepared
from biva_tf.data.preparation import File, Recipe
from biva_tf.data.sources import Info, Location, Source

INFO = Info((32, 32, 3), train=50_000, test=10_000)

_FILE = "cifar-10-binary.tar.gz"
_SPLITS = {"train": "train", "test": "test"}


def _examples(folder: Path):
    return {split: formats.cifar10(folder / _FILE, split) for split in _SPLITS}


RECIPE = Recipe(
    files=(
        File(
            _FILE,
            "https://www.cs.toronto.edu/~kriz/",
            "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd",
        ),
    ),
    examples=_examples,
    counts={"Krizhevsky's": INFO.counts},
)


def load(location: Location) -> Source:
    """50,000 training images, from which the validation split is cut, and 10,000 test images."""
    in_tfds = prepared.Prepared("cifar10", _SPLITS)
    return prepared.read("cifar10", location, INFO, in_tfds)
