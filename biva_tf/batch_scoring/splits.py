"""Splits of data sets: those that the project knows, and others in TFDS's format."""

import dataclasses
import functools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from biva_tf.data import pipeline, prepared
from biva_tf.data.pipeline import DataConfig, Examples
from biva_tf.data.reading.notes import ReadingNotes
from biva_tf.data.reading.rows import Range
from biva_tf.data.reading.values import BY_TYPE, Scale, Unreadable
from biva_tf.data.sources import DataError
from biva_tf.errors import Setting


@dataclasses.dataclass(frozen=True)
class SplitRows(Range):
    """Examples `start` to `stop` of a split, as `biva_tf.evaluate` reads them; see `Rows`."""

    config: DataConfig
    split: str
    start: int
    stop: int
    scale: Scale = BY_TYPE

    @staticmethod
    def from_split(config: DataConfig, split: str) -> "SplitRows":
        """All examples. Raises DataError if the data set is missing or has no such split."""
        return SplitRows(config, split, 0, len(images(config, split)))

    def stored(
        self, shape: tuple[int, ...], notes: ReadingNotes
    ) -> Iterator[np.ndarray | Unreadable]:
        """See `Rows`. Grey images are binarised already, with the split's draws."""
        yield from images(self.config, self.split)[self.start : self.stop]

    def describe(self) -> dict[str, Any]:
        """See `Rows`."""
        return {"source": self.source, "images": len(self)}

    @property
    def source(self) -> str:
        """See `Range`."""
        return f"{self.config.dataset}/{self.split}"


@functools.lru_cache(maxsize=1)
def images(config: DataConfig, split: str) -> Examples:
    """A split, which a process reads once."""
    return pipeline.evaluation_images(config, split)


@dataclasses.dataclass(frozen=True)
class TfdsRows(Range):
    """Examples `start` to `stop` of a split in TFDS's format, in the order of its shards.

    See `Rows`.
    """

    folder: Path
    split: str
    start: int
    stop: int
    scale: Scale = BY_TYPE

    @staticmethod
    def from_split(name: str, split: str, data_dir: Path) -> "TfdsRows":
        """All examples, counted by the data set's metadata.

        Raises:
          DataError: the data set is not there, or has no such split or no images.
        """
        folder = prepared.find(prepared.Prepared(name, {}), data_dir)
        if folder is None:
            raise DataError(
                Setting("input", f"tfds:{name}/{split}"),
                ": not found in ",
                Setting("data_dir", data_dir),
                "; let TFDS prepare it there first",
            )
        builder = prepared.open_builder(folder)
        prepared.check_split(builder, split)
        if "image" not in builder.info.features:
            present = ", ".join(builder.info.features)
            raise DataError(f"{folder}: expected the feature 'image', it has {present}")
        return TfdsRows(folder, split, 0, builder.info.splits[split].num_examples)

    @property
    def source(self) -> str:
        """See `Range`."""
        return f"{self.folder}/{self.split}"

    def stored(
        self, shape: tuple[int, ...], notes: ReadingNotes
    ) -> Iterator[np.ndarray | Unreadable]:
        """See `Rows`."""
        builder = prepared.open_builder(self.folder)
        rows = f"{self.split}[{self.start}:{self.stop}]"
        for example in prepared.examples(builder, rows, in_order=True):
            yield example["image"]

    def describe(self) -> dict[str, Any]:
        """See `Rows`."""
        return {"source": self.source, "images": len(self)}
