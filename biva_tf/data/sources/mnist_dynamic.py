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
            "train-images-idx3-ubyte.gz",
            _ORIGIN,
            "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
        ),
        File(
            "train-labels-idx1-ubyte.gz",
            _ORIGIN,
            "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
        ),
        File(
            "t10k-images-idx3-ubyte.gz",
            _ORIGIN,
            "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
        ),
        File(
            "t10k-labels-idx1-ubyte.gz",
            _ORIGIN,
            "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
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
