"""SVHN: house numbers, cropped to 32x32.

A CIFAR-10 model must detect these images as anomalies (paper, section 4.4).
"""

from pathlib import Path

from biva_tf.data import formats, prepared
from biva_tf.data.preparation import File, Recipe
from biva_tf.data.sources import Info, Location, Source

INFO = Info((32, 32, 3), train=73_257, test=26_032)

_ORIGIN = "http://ufldl.stanford.edu/housenumbers/"
_SPLITS = {"train": "train", "test": "test"}


def _examples(folder: Path):
    return {split: formats.svhn(folder / f"{split}_32x32.mat") for split in _SPLITS}


RECIPE = Recipe(
    files=(
        File(
            "train_32x32.mat",
            _ORIGIN,
            "435e94d69a87fde4fd4d7f3dd208dfc32cb6ae8af2240d066de1df7508d083b8",
        ),
        File(
            "test_32x32.mat",
            _ORIGIN,
            "cdce80dfb2a2c4c6160906d0bd7c68ec5a99d7ca4831afa54f09182025b6a75b",
        ),
    ),
    examples=_examples,
    counts={"Netzer's": INFO.counts},
)


def load(location: Location) -> Source:
    """73,257 training images, from which the validation split is cut, and 26,032 test images."""
    in_tfds = prepared.Prepared("svhn_cropped", _SPLITS)
    return prepared.read("svhn", location, INFO, in_tfds)
