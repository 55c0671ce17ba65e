"""2,000 letters that no digit model has seen, shipped with the package (see letters_2k.md)."""

from pathlib import Path

from biva_tf.data.sources import Info, Location, Source, shipped

INFO = Info((28, 28, 1), train=1000, test=1000, binarize="threshold")

_FILE = Path(__file__).with_name("letters_2k.npz")


def load(location: Location) -> Source:
    """28x28 grey letters in file order: 1,000 training images, then 1,000 test images."""
    return shipped(_FILE, train=INFO.counts["train"])
