"""FashionMNIST in grey, binarised again in every epoch (paper, section 4.4)."""

from pathlib import Path

from biva_tf.data import formats, prepared
from biva_tf.data.preparation import File, Recipe
from biva_tf.data.sources import Info, Location, Source

INFO = Info((28, 28, 1), train=60_000, test=10_000, binarize="dynamic")

_ORIGIN = "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/"
_SPLITS = {"train": "train", "test": "test"}


def _examples(folder: Path):
    return {split: formats.idx(folder, split) for split in _SPLITS}


RECIPE = Recipe(
    files=(
        File(
            "train-images-idx3-ubyte.gz",
            _ORIGIN,
            "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
        ),
        File(
            "train-labels-idx1-ubyte.gz",
            _ORIGIN,
            "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
        ),
        File(
            "t10k-images-idx3-ubyte.gz",
            _ORIGIN,
            "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
        ),
        File(
            "t10k-labels-idx1-ubyte.gz",
            _ORIGIN,
            "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
        ),
    ),
    examples=_examples,
    counts={"Zalando's": INFO.counts},
)


def load(location: Location) -> Source:
    """28x28 grey clothes.

    60,000 training images, from which the validation split is cut, and 10,000 test images.
    """
    in_tfds = prepared.Prepared("fashion_mnist", _SPLITS)
    return prepared.read("fashion_mnist", location, INFO, in_tfds)
