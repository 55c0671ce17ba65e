"""What the numbers of images mean: their range and their layout.

Booleans are black and white, floats are in [0, 1]. Integers are 0 to 255, or 0 to 65,535 if their
type or their values say so, which are divided by 257. Integers of which none is above 1 are binary
images. That depends on all images of an input together: `Survey` looks at them, and `Scale` says
what it found.
"""

import dataclasses

import numpy as np

from biva_tf.data.reading.notes import ReadingNotes
from biva_tf.data.sources import DataError
from biva_tf.model.pixels import SIXTEEN_BITS

_STRAYS = 0.01  # the part of grey images that may be almost black, with the values 0 and 1 alone


@dataclasses.dataclass(frozen=True)
class Unreadable:
    """Stands for an image that cannot be read, and says why."""

    reason: str


@dataclasses.dataclass(frozen=True)
class Scale:
    """What integers of an input stand for.

    Attributes:
      bits: 0 and 1 are black and white.
      narrow: integers of 16 bits are 0 to 255, too.
      wide: integers of other types than uint8 are 0 to 65,535.
      whole: floats are integers, in a column that became one of floats for its missing values.
    """

    bits: bool = False
    narrow: bool = False
    wide: bool = False
    whole: bool = False


BY_TYPE = Scale()  # 0 to 255, in uint16 to 65,535


class Survey:
    """Looks at images of an input, and tells their scale.

    An image may be given by its least and its greatest value alone.
    """

    def __init__(self) -> None:
        self._first: dict[str, str] = {}  # of each kind, the first image
        self._counts: dict[str, int] = {}
        self._of_whole: set[bool] = set()

    def add(self, values: np.ndarray, name: str, *, gaps: bool = False) -> None:
        """Looks at an image.

        Args:
          values: its values, of any shape.
          name: of the image, for messages.
          gaps: whether it is in a column with missing values.
        """
        if not values.size:
            return
        kind = values.dtype.kind
        if gaps and kind == "f" and np.isfinite(values).all():
            whole = bool((values == np.rint(values)).all())
            self._of_whole.add(whole)
            if not whole or values.max() <= 1:
                return
            self._count("whole", name)
        elif kind in "ui":
            greatest = int(values.max())
            if greatest == 1:
                self._count("bits", name)
            elif greatest > 1:
                self._count("bytes", name)
                if not ((values == 0) | (values == greatest)).all():
                    self._count("grey", name)
                if values.dtype.itemsize > 1:
                    size = "words" if greatest > 255 else "small"
                    self._count(f"{size} {'16' if values.dtype == np.uint16 else 'other'}", name)

    def _count(self, kind: str, name: str) -> None:
        self._first.setdefault(kind, name)
        self._counts[kind] = self._counts.get(kind, 0) + 1

    def scale(self, notes: ReadingNotes, source: str) -> Scale:
        """What the integers stand for.

        Args:
          notes: gets what was decided by the values alone.
          source: the name of the input.

        Raises:
          DataError: some images are binary, of 0 and 1, and others are not.
        """
        count = self._counts.get
        bits, larger = count("bits", 0), count("bytes", 0)
        if larger and bits and (bits > _STRAYS * larger or not count("grey")):
            raise DataError(
                f"{self._first['bits']} has only the values 0 and 1, but {self._first['bytes']} "
                "has larger ones: expected images of one range, 0 and 1 or 0 to 255; write them "
                "all in one"
            )
        scale = Scale(
            bits=bool(bits and not larger),
            narrow=bool(count("small 16") and not count("words 16")),
            wide=bool(count("words other")),
            whole=self._of_whole == {True} and bool(count("whole")),
        )
        if bits and larger:
            notes.add(
                "taken as almost black, though the values are 0 and 1 alone", self._first["bits"]
            )
        if scale.bits:
            notes.add("taken as binary images, since all values are integers 0 and 1", source)
        if count("small 16") and scale.narrow:
            notes.add(
                "16-bit values taken as 0 to 255, since none is larger", self._first["small 16"]
            )
        if count("words 16"):
            notes.add("16-bit values, divided by 257", self._first["words 16"])
        if scale.wide:
            notes.add(
                "values above 255 taken as 16-bit ones, and divided by 257",
                self._first["words other"],
            )
        if scale.whole:
            notes.add("floats taken as integers 0 to 255 that became floats for the gaps", source)
        return scale


def fitted(
    values: np.ndarray, shape: tuple[int, ...], scale: Scale = BY_TYPE
) -> np.ndarray | Unreadable:
    """An image of the model's shape: uint8, or float32 in [0, 1].

    Args:
      values: [height, width, channels] or [channels, height, width]; without channels if there is
        one; or all values in a row. Of any type.
      shape: the shape of the model's images.
      scale: what integers stand for.
    """
    if (arranged := _channels_last(values, shape)) is None:
        return Unreadable(f"expected an image of {sizes(shape)}, got {sizes(values.shape)}")
    values = arranged
    kind = values.dtype.kind
    if kind == "b":
        return values * np.uint8(255)
    if kind not in "uif":
        return Unreadable(f"expected numbers, got {values.dtype}")
    integers = kind != "f" or scale.whole
    if not integers or scale.bits:
        greatest = 1
    elif kind == "f" or values.dtype == np.uint8:
        greatest = 255
    elif values.dtype == np.uint16:
        greatest = 255 if scale.narrow else 65535
    else:
        greatest = 65535 if scale.wide else 255
    if not ((values >= 0) & (values <= greatest)).all():  # not of a NaN
        got = f"{values.min()} to {values.max()}"
        expected = "the values 0 and 1" if scale.bits else f"values from 0 to {greatest}"
        return Unreadable(f"expected {expected}, got {got}{_hint(values, integers)}")
    if not integers:
        return values.astype(np.float32)
    if scale.bits:
        return values.astype(np.uint8) * np.uint8(255)
    if greatest == 65535:
        return eight_bits(values)
    return values.astype(np.uint8)


def eight_bits(values: np.ndarray) -> np.ndarray:
    """Values of 16 bits as uint8: divided by 257 and rounded."""
    return ((values.astype(np.int64) + SIXTEEN_BITS // 2) // SIXTEEN_BITS).astype(np.uint8)


def layout_note(got: tuple[int, ...], shape: tuple[int, ...]) -> str | None:
    """What is done with images of a shape that is not the model's; None if nothing is.

    Where channels first and channels last both fit, the channels are taken to be last.
    """
    if got == shape:
        both = shape[2] > 1 and got == _first(shape)
        return "channels taken as the last axis, though the first fits too" if both else None
    if got == _first(shape):
        return "channels are the first axis, and made the last"
    if len(got) == 1 and shape[2] > 1:
        return "values in a row taken as height, width, channels in this order"
    return None


def _channels_last(values: np.ndarray, shape: tuple[int, ...]) -> np.ndarray | None:
    if values.shape == shape:
        return values
    if values.shape == _first(shape):
        return np.moveaxis(values, 0, 2)
    if values.shape in (shape[:2] if shape[2] == 1 else shape, (int(np.prod(shape)),)):
        return values.reshape(shape)
    return None


def _first(shape: tuple[int, ...]) -> tuple[int, ...]:
    return (shape[2], *shape[:2])


def _hint(values: np.ndarray, integers: bool) -> str:
    """What to do about floats outside [0, 1]."""
    if integers or not np.isfinite(values).all():
        return ""
    if values.min() >= 0 and 2 < values.max() <= 255:
        return "; divide by 255, or write integers"
    if values.min() >= -1 and values.max() <= 1:
        return "; add 1 and halve"
    return ""


def sizes(shape: tuple[int, ...]) -> str:
    """The sizes of an image, for messages: 28x28x1; or the number of its values."""
    return "x".join(map(str, shape)) + (" values" if len(shape) == 1 else "")
