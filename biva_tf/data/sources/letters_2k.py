"""2,000 letters that no digit model has seen, shipped with the package (see letters_2k.md)."""

from pathlib import Path

from biva_tf.data.sources import Source, shipped

_FILE = Path(__file__).with_name("letters_2k.npz")


def load() -> Source:
    """28x28 grey letters in file order: the first 1,000 to train, the last 1,000 to test."""
    return shipped(_FILE, train=1000)
