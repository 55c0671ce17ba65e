"""10,000 handwritten digits of MNIST, shipped with the package (see mnist_10k.md)."""

from pathlib import Path

from biva_tf.data.sources import Info, Location, Source, shipped

INFO = Info((28, 28, 1), train=9000, test=1000, binarize="threshold")

_FILE = Path(__file__).with_name("mnist_10k.npz")


def load(location: Location) -> Source:
    """28x28 grey digits in file order: 9,000 training images, then 1,000 test images."""
    return shipped(_FILE, train=INFO.counts["train"])
