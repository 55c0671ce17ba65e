"""10,000 handwritten digits of MNIST, shipped with the package (see mnist_10k.md)."""

from pathlib import Path

from biva_tf.data.sources import Source, shipped

_FILE = Path(__file__).with_name("mnist_10k.npz")


def load() -> Source:
    """28x28 grey digits in file order: the first 9,000 to train, the last 1,000 to test."""
    return shipped(_FILE, train=9000)
