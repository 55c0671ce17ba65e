"""10,000 handwritten digits of MNIST, shipped with the package (see mnist_10k.md)."""

import zipfile
from pathlib import Path

import numpy as np

from biva_tf.data.sources import DataError, Source, Split

_FILE = Path(__file__).with_name("mnist_10k.npz")
_TRAIN = 9000


def load() -> Source:
    """28x28 grey digits in file order: the first 9,000 to train, the last 1,000 to test."""
    try:
        with np.load(_FILE) as file:
            images, labels = file["images"][..., np.newaxis], file["labels"]
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as e:
        raise DataError(f"{_FILE}: expected the npz file that ships with biva_tf ({e})") from e
    return Source(
        train=Split(images[:_TRAIN], labels[:_TRAIN]), test=Split(images[_TRAIN:], labels[_TRAIN:])
    )
