"""The data sources. Each module in this folder is one source, has its name, and defines

    INFO: Info
    load(location: Location) -> Source

If the source is made from files that a user downloads, the module also defines a RECIPE
(`biva_tf.data.preparation`). Every command knows every module in this folder as a data set.
"""

import dataclasses
import importlib
import os
import pkgutil
import zipfile
from pathlib import Path
from types import ModuleType

import numpy as np

from biva_tf.errors import Setting, UserError


class DataError(UserError, ValueError):
    """Data that is missing or wrong; the message names the file and says what was expected."""


class NotPreparedError(DataError):
    """A data set that is not there yet; the message says how to prepare it."""


@dataclasses.dataclass(frozen=True)
class Info:
    """A data set's shape and counts, known without reading its data.

    Attributes:
      image_shape: (height, width, channels); None if it depends on the user's files.
      train, test: numbers of images; None if they depend on the user's files.
      validation: number of images in the data set's own validation split; 0 if it has none.
      binarize: how grey images are binarised by default; one of `images.BINARIZATIONS`.
      lines: whether it has lines of text and not images.
    """

    image_shape: tuple[int, int, int] | None
    train: int | None
    test: int | None
    validation: int = 0
    binarize: str = "none"
    lines: bool = False

    @property
    def counts(self) -> dict[str, int]:
        """The number of images in each split, of a data set whose counts are known."""
        counts = {"train": self.train or 0, "test": self.test or 0}
        return counts | ({"validation": self.validation} if self.validation else {})


@dataclasses.dataclass(frozen=True)
class Location:
    """The folder of data sets in TFDS's format, and whether TFDS may download missing ones."""

    data_dir: Path
    download: bool = False

    @staticmethod
    def from_text(data_dir: str, download: bool = False) -> "Location":
        """The location with data_dir as text, in which ~ is the user's home folder."""
        return Location(Path(data_dir).expanduser(), download)


@dataclasses.dataclass(frozen=True)
class Split:
    """Images, uint8 [n, height, width, channels], and their labels, integers [n].

    Of a source of text, the images are lines, strings [n].
    """

    images: np.ndarray
    labels: np.ndarray


@dataclasses.dataclass(frozen=True)
class Source:
    """A data set as its authors split it.

    If they have no validation split, `biva_tf.data.pipeline` cuts one from `train`. If the data set
    has several versions, `version` is the name of this one.
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
    """The module of a source. Raises DataError if there is no source of that name."""
    if name not in names():
        raise DataError(Setting("dataset"), f": expected one of {', '.join(names())}, got {name!r}")
    return importlib.import_module(f"{__name__}.{name}")


def info(name: str) -> Info:
    """The `Info` of a source. Raises DataError if there is no source of that name."""
    return module(name).INFO


def load(name: str, location: Location) -> Source:
    """Loads a source. Raises DataError if there is no such source or its data is missing."""
    return module(name).load(location)


def shipped(path: Path, train: int) -> Source:
    """Reads a source that ships as an npz file.

    The file holds uint8 arrays `images` [n, height, width] and `labels` [n].

    Args:
      path: the file.
      train: how many images, from the first on, form the training split; the rest form the test
        split.

    Raises:
      DataError: the file is missing or damaged.
    """
    split = shipped_split(path)
    images, labels = split.images[..., np.newaxis], split.labels
    return Source(
        train=Split(images[:train], labels[:train]), test=Split(images[train:], labels[train:])
    )


def shipped_split(path: Path) -> Split:
    """The arrays `images` and `labels` of an npz file that ships. DataError if it is damaged."""
    try:
        with np.load(path) as file:
            return Split(file["images"], file["labels"])
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as e:
        raise DataError(f"{path}: expected the npz file that ships with biva_tf ({e})") from e
