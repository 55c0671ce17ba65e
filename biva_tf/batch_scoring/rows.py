"""Ranges of images that can be sent to another process and read there."""

import dataclasses
from collections.abc import Iterator
from typing import Any, Protocol

import numpy as np


@dataclasses.dataclass(frozen=True)
class Unreadable:
    """Stands for an image that cannot be read, and says why."""

    reason: str


class Rows(Protocol):
    """A range of images, in their order. It holds where they are, not their pixels."""

    def __len__(self) -> int:
        """The number of images."""

    def part(self, start: int, stop: int) -> "Rows":
        """Those from `start` to `stop` within the range."""

    def places(self) -> Iterator[tuple[str, int]]:
        """For each image its source, a file or a split, and its row there."""

    def read(self, shape: tuple[int, ...]) -> Iterator[np.ndarray | Unreadable]:
        """The images, [height, width, channels]: uint8, or floats in [0, 1].

        Args:
          shape: the shape of the model's images. An image of another shape is unreadable.

        Raises:
          DataError: a file that holds many images is damaged or missing.
        """

    def describe(self) -> dict[str, Any]:
        """What tells these images from others, as plain data for a JSON file."""


class Range:
    """Rows `start` to `stop` of what holds many images; the base of frozen dataclasses.

    A subclass has the fields `start` and `stop`, and the property `source`: the name of what holds
    the images.
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


def fitted(values: np.ndarray, shape: tuple[int, ...]) -> np.ndarray | Unreadable:
    """An image of the model's shape, as `Rows.read` gives it.

    Args:
      values: [height, width, channels]; without channels if there is one; or all values in a row.
        Of any type: booleans are black and white, integers from 0 to 255, floats in [0, 1].
      shape: the shape of the model's images.
    """
    if values.shape not in (shape, shape[:2] if shape[2] == 1 else shape, (np.prod(shape),)):
        return Unreadable(f"expected an image of {_sizes(shape)}, got {_sizes(values.shape)}")
    values = values.reshape(shape)
    kind = values.dtype.kind
    if kind == "b":
        return values * np.uint8(255)
    if kind not in "uif":
        return Unreadable(f"expected numbers, got {values.dtype}")
    greatest = 1 if kind == "f" else 255
    if not ((values >= 0) & (values <= greatest)).all():  # not of a NaN
        got = f"{values.min()} to {values.max()}"
        return Unreadable(f"expected values from 0 to {greatest}, got {got}")
    return values.astype(np.float32 if kind == "f" else np.uint8)


def _sizes(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape)) + (" values" if len(shape) == 1 else "")
