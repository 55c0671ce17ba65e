"""The data sources. Each module here is one, named as the module, with

    INFO: Info
    load(location: Location) -> Source

and, where it is made from files that a user downloads, a RECIPE (`biva_tf.data.preparation`). A
module added to this folder is a data set that every command knows.
"""

import dataclasses
import importlib
import os
import pkgutil
import zipfile
from pathlib import Path
from types import ModuleType

import numpy as np

from biva_tf.errors import UserError


class DataError(UserError, ValueError):
    """Data that is missing or wrong; the message names the file, what was expected, what came."""


@dataclasses.dataclass(frozen=True)
class Info:
    """What is known of a data set without its data.

    Attributes:
      image_shape: (height, width, channels); None if it depends on the user's files.
      train, test: numbers of images; None if they depend on the user's files.
      validation: of its own validation split; 0 if it has none.
      binarize: what its experiment does with grey images, one of `Images`' modes.
    """

    image_shape: tuple[int, int, int] | None
    train: int | None
    test: int | None
    validation: int = 0
    binarize: str = "none"

    @property
    def counts(self) -> dict[str, int]:
        """The numbers of images by split."""
        counts = {"train": self.train, "test": self.test}
        return counts | ({"validation": self.validation} if self.validation else {})


@dataclasses.dataclass(frozen=True)
class Location:
    """Where data sets are in TFDS's format, and whether TFDS may download what is missing."""

    data_dir: Path
    download: bool = False

    @staticmethod
    def of(data_dir: str, download: bool = False) -> "Location":
        """The location that flags name; ~ is the user's home."""
        return Location(Path(data_dir).expanduser(), download)


@dataclasses.dataclass(frozen=True)
class Split:
    """Images, uint8 [n, height, width, channels], and their labels, integers [n]."""

    images: np.ndarray
    labels: np.ndarray


@dataclasses.dataclass(frozen=True)
class Source:
    """A data set as its authors split it.

    Where they have no validation split, one is cut from `train` when it is read. `version` names
    the one of several versions that this is.
    """

    train: Split
    test: Split
    validation: Split | None = None
    version: str = ""


def default_data_dir() -> str:
    """Where TFDS keeps data sets by default."""
    return os.environ.get("TFDS_DATA_DIR", "~/tensorflow_datasets")


def names() -> list[str]:
    """The names of all sources."""
    return [module.name for module in pkgutil.iter_modules(__path__)]


def module(name: str) -> ModuleType:
    """The module of a source. Raises DataError if there is none of that name."""
    if name not in names():
        raise DataError(f"--dataset: expected one of {', '.join(names())}, got {name!r}")
    return importlib.import_module(f"{__name__}.{name}")


def info(name: str) -> Info:
    """What is known of a source without its data. Raises DataError if there is none."""
    return module(name).INFO


def load(name: str, location: Location) -> Source:
    """Loads a source by name. Raises DataError if there is none, or its data is missing."""
    return module(name).load(location)


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
