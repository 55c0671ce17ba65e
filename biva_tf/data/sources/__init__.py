"""The data sources. Each module here is one, named as the module, with a function

    load() -> Source

A module added to this folder is a data set that every command knows.
"""

import dataclasses
import importlib
import pkgutil
import zipfile
from pathlib import Path

import numpy as np

from biva_tf.errors import UserError


class DataError(UserError, ValueError):
    """Data that is missing or wrong; the message names the file, what was expected, what came."""


@dataclasses.dataclass(frozen=True)
class Split:
    """Images, uint8 [n, height, width, channels], and their labels, uint8 [n]."""

    images: np.ndarray
    labels: np.ndarray


@dataclasses.dataclass(frozen=True)
class Source:
    """A data set as its authors split it; a validation split is cut from `train`."""

    train: Split
    test: Split


def names() -> list[str]:
    """The names of all sources."""
    return [module.name for module in pkgutil.iter_modules(__path__)]


def load(name: str) -> Source:
    """Loads a source by name. Raises DataError if there is none, or its data is missing."""
    if name not in names():
        raise DataError(f"--dataset: expected one of {', '.join(names())}, got {name!r}")
    return importlib.import_module(f"{__name__}.{name}").load()


def shipped(path: Path, train: int) -> Source:
    """A source that ships as an npz file with uint8 `images` [n, height, width] and `labels` [n].

    Args:
      path: the file.
      train: how many of the first images are to train; the rest are to test.

    Raises:
      DataError: the file is missing or damaged.
    """
    try:
        with np.load(path) as file:
            images, labels = file["images"][..., np.newaxis], file["labels"]
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as e:
        raise DataError(f"{path}: expected the npz file that ships with biva_tf ({e})") from e
    return Source(
        train=Split(images[:train], labels[:train]), test=Split(images[train:], labels[train:])
    )
