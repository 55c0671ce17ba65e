"""MNIST in grey, binarised again in every epoch."""

from pathlib import Path

from biva_tf.data import formats, prepared
from biva_tf.data.preparation import File, Recipe
from biva_tf.data.sources import Info, Location, Source

INFO = Info((28, 28, 1), train=60_000, test=10_000, binarize="dynamic")

_ORIGIN = "https://storage.googleapis.com/cvdf-datasets/mnist/"
_SPLITS = {"train": "train", "test": "test"}


def _examples(folder: Path):
    return {split: formats.idx(folder, split) for split in _SPLITS}


RECIPE = Recipe(
    files=(
        File(
            "train-images-idx3-ubyte",
            _ORIGIN,
            "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
            gzipped=True,
        ),
        File(
            "train-labels-idx1-ubyte",
            _ORIGIN,
            "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
            gzipped=True,
        ),
        File(
            "t10k-images-idx3-ubyte",
            _ORIGIN,
            "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
            gzipped=True,
        ),
        File(
            "t10k-labels-idx1-ubyte",
            _ORIGIN,
            "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
            gzipped=True,
        ),
    ),
    examples=_examples,
    counts={"LeCun's": INFO.counts},
)


def load(location: Location) -> Source:
    """28x28 grey digits.

    60,000 training images, from which the validation split is cut, and 10,000 test images.
    """
    in_tfds = prepared.Prepared("mnist", _SPLITS)
    return prepared.read("mnist_dynamic", location, INFO, in_tfds)
