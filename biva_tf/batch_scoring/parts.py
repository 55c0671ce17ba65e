"""Parts: the images that are scored and written at once. A part is scored wholly or not at all."""

import dataclasses
import hashlib
import itertools
import os
from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from biva_tf.data.images import as_read
from biva_tf.data.reading.rows import Rows
from biva_tf.data.reading.values import Unreadable
from biva_tf.data.sources import DataError
from biva_tf.errors import Setting
from biva_tf.inference import chunks


@dataclasses.dataclass(frozen=True)
class ImageForm:
    """How a model reads images.

    Attributes:
      shape: (height, width, channels).
      binary: whether every value has to be 0 or 1.
      binarize, threshold, seed: as in `biva_tf.data.images.Images`. An image has its draws by its
        id. An image that is binary stays as it is.
    """

    shape: tuple[int, int, int]
    binary: bool
    binarize: str
    threshold: int
    seed: int

    def as_read(self, image: np.ndarray, number: int) -> np.ndarray:
        """The image of an id as floats in [0, 1]; `image` is one of `Rows.read`."""
        if image.dtype != np.uint8:
            if self.binarize == "none":
                return image
            image = image * np.float32(255)
        numbers = np.array([number])
        return as_read(image[np.newaxis], numbers, self.binarize, self.seed, self.threshold)[0]


@dataclasses.dataclass(frozen=True)
class Skipped:
    """An image that could not be read, and why. Its id stays taken."""

    id: int
    source: str
    row: int
    reason: str


class Fingerprint:
    """A hash of images as they are read: where they are, their types, shapes and values.

    Why an image cannot be read does not count, only that it cannot.
    """

    def __init__(self):
        self._hash = hashlib.blake2b(digest_size=16)

    def add(self, number: int, place: tuple[str, int], image: np.ndarray | Unreadable) -> None:
        """Adds the image with the id `number`; `place` is one of `Rows.places`."""
        if isinstance(image, Unreadable):
            self._hash.update(repr((number, *place, None)).encode())
        else:
            self._hash.update(repr((number, *place, image.dtype.str, image.shape)).encode())
            self._hash.update(image.tobytes())

    def text(self) -> str:
        """The hash of all that was added."""
        return self._hash.hexdigest()


@dataclasses.dataclass(frozen=True)
class PartImages:
    """The images of a part that could be read.

    Attributes:
      ids: int64 [n].
      sources, rows: of each, the file or split, and the row there.
      images: float32 [n, height, width, channels], as the model reads them.
      skipped: the others.
      fingerprint: of all of them.
    """

    ids: np.ndarray
    sources: list[str]
    rows: np.ndarray
    images: np.ndarray
    skipped: tuple[Skipped, ...]
    fingerprint: str


@dataclasses.dataclass(frozen=True)
class Part:
    """Consecutive images.

    Attributes:
      index: the part's index.
      first: the id of its first image.
      rows: where the images are.
    """

    index: int
    first: int
    rows: tuple[Rows, ...]

    def __len__(self) -> int:
        return sum(map(len, self.rows))

    def read(self, form: ImageForm) -> PartImages:
        """Reads the images.

        Raises:
          DataError: a file of many images is damaged or missing, or an image is grey where the
            model expects binary ones.
        """
        ids, places, images, skipped = [], [], [], []
        fingerprint = Fingerprint()
        for number, (place, image) in enumerate(_read(self.rows, form.shape), start=self.first):
            fingerprint.add(number, place, image)
            source, row = place
            if isinstance(image, Unreadable):
                skipped.append(Skipped(number, source, row, image.reason))
                continue
            image = form.as_read(image, number)
            if form.binary and not np.isin(image, (0, 1)).all():
                raise DataError(
                    f"{source}, row {row}: grey values, but the model expects binary images; use ",
                    Setting("binarize", "threshold"),
                    " or bernoulli",
                )
            ids.append(number)
            places.append((source, row))
            images.append(image)
        return PartImages(
            np.array(ids, np.int64),
            [source for source, _ in places],
            np.array([row for _, row in places], np.int64),
            np.array(images, np.float32).reshape(-1, *form.shape),
            tuple(skipped),
            fingerprint.text(),
        )


def fingerprints(
    rows: Sequence[Rows], parts: Iterable[Part], shape: tuple[int, ...]
) -> Iterator[str]:
    """Yields the fingerprint of each part, as its images are now.

    The images are read once, in their order: an .npz file that is compressed cannot be entered in
    its middle, so that reading part by part would take much longer.

    Args:
      rows: all images.
      parts: the first parts of them, or all.
      shape: the shape of the model's images.

    Raises:
      DataError: as `Part.read`.
    """
    images = _read(rows, shape)
    for part in parts:
        fingerprint = Fingerprint()
        numbered = enumerate(itertools.islice(images, len(part)), start=part.first)
        for number, (place, image) in numbered:
            fingerprint.add(number, place, image)
        yield fingerprint.text()


def state_of_files(rows: Iterable[Rows]) -> str:
    """A hash of the times, sizes and inodes of all files that the images are in.

    While it stays the same, so do the images. Sources that are no files do not count.
    """
    state = hashlib.blake2b(digest_size=16)
    for each in rows:
        for path in each.files():
            try:
                about = os.stat(path)
            except OSError:
                state.update(b"none;")
            else:
                state.update(f"{about.st_mtime_ns} {about.st_size} {about.st_ino};".encode())
    return state.hexdigest()


def _read(rows: Iterable[Rows], shape: tuple[int, ...]):
    """Yields the place and the image of every row."""
    for each in rows:
        yield from zip(each.places(), each.read(shape), strict=True)


def cut(rows: Sequence[Rows], size: int) -> Iterator[Part]:
    """All images as parts of `size`; the last one may have fewer."""
    total, begin, at = sum(map(len, rows)), 0, 0  # `begin`: the id of the first image of rows[at]
    for index, (start, stop) in enumerate(chunks.spans(total, size)):
        pieces, first = [], start
        while first < stop:
            while begin + len(rows[at]) <= first:
                begin, at = begin + len(rows[at]), at + 1
            end = min(stop, begin + len(rows[at]))
            pieces.append(rows[at].part(first - begin, end - begin))
            first = end
        yield Part(index, start, tuple(pieces))
