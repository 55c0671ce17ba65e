"""Ranges of images that can be sent to another process and read there."""

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from biva_tf.data.reading.notes import ReadingNotes
from biva_tf.data.reading.values import Scale, Unreadable, fitted


class Rows(Protocol):
    """A range of images, in their order. It holds where they are, not their pixels."""

    def __len__(self) -> int:
        """The number of images."""

    def part(self, start: int, stop: int) -> "Rows":
        """Those from `start` to `stop` within the range."""

    def scaled(self, scale: Scale) -> "Rows":
        """The same images, whose integers stand for what a scale says."""

    def places(self) -> Iterator[tuple[str, int]]:
        """For each image its source, a file or a split, and its row there."""

    def files(self) -> Iterator[Path]:
        """The files that the images are in; none of a data set."""

    def stored(
        self, shape: tuple[int, ...], notes: ReadingNotes
    ) -> Iterator[np.ndarray | Unreadable]:
        """The images as they are stored: of any type, range and layout.

        Args:
          shape: the shape of the model's images, by which pictures are decoded.
          notes: gets what decoding changes.

        Raises:
          DataError: a file that holds many images is damaged or missing.
        """

    def read(self, shape: tuple[int, ...]) -> Iterator[np.ndarray | Unreadable]:
        """The images, [height, width, channels]: uint8, or floats in [0, 1].

        Args:
          shape: the shape of the model's images. An image of another shape is unreadable.

        Raises:
          DataError: a file that holds many images is damaged or missing.
        """

    def describe(self) -> dict[str, Any]:
        """What tells these images from others, as plain data for a JSON file."""


class Scaled:
    """The base of frozen dataclasses with a field `scale`, which implement `stored`."""

    scale: Scale

    def scaled(self, scale: Scale) -> Any:
        """See `Rows`."""
        return dataclasses.replace(self, scale=scale)  # type: ignore[type-var]

    def read(
        self, shape: tuple[int, ...], notes: ReadingNotes | None = None
    ) -> Iterator[np.ndarray | Unreadable]:
        """See `Rows`; `notes` gets what decoding changes."""
        for values in self.stored(shape, notes or ReadingNotes()):
            if not isinstance(values, Unreadable):
                values = fitted(values, shape, self.scale)
            yield values

    def stored(
        self, shape: tuple[int, ...], notes: ReadingNotes
    ) -> Iterator[np.ndarray | Unreadable]:
        """See `Rows`."""
        raise NotImplementedError


class Range(Scaled):
    """Rows `start` to `stop` of what holds many images; the base of frozen dataclasses.

    A subclass has the fields `scale`, `start` and `stop`, and the property `source`: the name of
    what holds the images.
    """

    start: int
    stop: int
    source: Any  # a property

    def __len__(self) -> int:
        return self.stop - self.start

    def part(self, start: int, stop: int) -> Any:
        """See `Rows`."""
        moved = {"start": self.start + start, "stop": self.start + stop}
        return dataclasses.replace(self, **moved)  # type: ignore[type-var]

    def places(self) -> Iterator[tuple[str, int]]:
        """See `Rows`."""
        return ((self.source, row) for row in range(self.start, self.stop))

    def files(self) -> Iterator[Path]:
        """See `Rows`."""
        return iter(())
