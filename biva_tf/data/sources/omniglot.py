"""OMNIGLOT in 28x28 grey, in the split of Burda et al. 2015, binarised again in every epoch."""

from pathlib import Path

from biva_tf.data import formats, prepared
from biva_tf.data.preparation import File, Recipe
from biva_tf.data.sources import Info, Location, Source

INFO = Info((28, 28, 1), train=24_345, test=8_070, binarize="dynamic")


def _examples(folder: Path):
    return {split: formats.chardata(folder / "chardata.mat", split) for split in ("train", "test")}


RECIPE = Recipe(
    files=(File("chardata.mat", "https://github.com/yburda/iwae/tree/master/datasets/OMNIGLOT"),),
    examples=_examples,
    counts={"Burda's": INFO.counts},
)


def load(location: Location) -> Source:
    """24,345 training images, from which the validation split is cut, and 8,070 test images."""
    return prepared.read("omniglot", location, INFO)
