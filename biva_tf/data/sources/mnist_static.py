"""MNIST binarised once and for all (Salakhutdinov & Murray 2008), in Larochelle's three splits."""

from pathlib import Path

from biva_tf.data import formats, prepared
from biva_tf.data.preparation import File, Recipe
from biva_tf.data.sources import Info, Location, Source

INFO = Info((28, 28, 1), train=50_000, validation=10_000, test=10_000)

_ORIGIN = "http://www.cs.toronto.edu/~larocheh/public/datasets/binarized_mnist/"
_FILES = {
    "train": File(
        "binarized_mnist_train.amat",
        _ORIGIN,
        "ad693b29f94c14277b095f5238ddefbbdaaae0939789dd2f4f0205278cee3e4d",
    ),
    "validation": File(
        "binarized_mnist_valid.amat",
        _ORIGIN,
        "1de3d397c40fe8eeb33dafd4099a1f665ec01e96d9be234aaeeac8a34930e2e2",
    ),
    "test": File(
        "binarized_mnist_test.amat",
        _ORIGIN,
        "e6687bfea3f820c174f33b7865140b2a2dd2930ef786f35d45795fc193b5ab2c",
    ),
}
_SPLITS = {split: split for split in _FILES}


def _examples(folder: Path):
    return {split: formats.amat(folder / file.name) for split, file in _FILES.items()}


RECIPE = Recipe(
    files=tuple(_FILES.values()), examples=_examples, counts={"Larochelle's": INFO.counts}
)


def load(location: Location) -> Source:
    """28x28 images whose pixels are 0 or 255."""
    # TFDS stores the pixels as 0 and 1.
    in_tfds = prepared.Prepared("binarized_mnist", _SPLITS, lambda stored: stored * 255, "0to255")
    return prepared.read("mnist_static", location, INFO, in_tfds)
