"""Images in an array of an .npz file."""

import contextlib
import dataclasses
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import numpy as np

from biva_tf.batch_scoring.rows import Range, Unreadable, fitted
from biva_tf.data import formats

_HEADERS = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}


@dataclasses.dataclass(frozen=True)
class ArrayRows(Range):
    """Rows `start` to `stop` of an array in an .npz file; see `Rows`."""

    path: Path
    name: str
    start: int
    stop: int

    @staticmethod
    def from_file(path: Path, name: str) -> "ArrayRows":
        """All rows, counted by the header of the array. Raises DataError if there is none."""
        with _opened(path, name) as (_, shape, _dtype):
            return ArrayRows(path, name, 0, shape[0])

    @property
    def source(self) -> str:
        """See `Range`."""
        return str(self.path)

    def read(self, shape: tuple[int, ...]) -> Iterator[np.ndarray | Unreadable]:
        """See `Rows`. The file is read up to the last row, and only these rows are kept."""
        with _opened(self.path, self.name) as (file, (_, *row_shape), dtype):
            size = int(np.prod(row_shape)) * dtype.itemsize
            file.seek(self.start * size, 1)
            for _ in range(len(self)):
                row = np.frombuffer(file.read(size), dtype)
                yield fitted(row.reshape(row_shape), shape)

    def describe(self) -> dict[str, Any]:
        """See `Rows`."""
        size = self.path.stat().st_size
        return {"source": self.source, "array": self.name, "images": len(self), "bytes": size}


@contextlib.contextmanager
def _opened(path: Path, name: str) -> Iterator[tuple[IO[bytes], tuple[int, ...], np.dtype]]:
    """An array's file at its first row, its shape and type."""
    with (
        formats.reading(path, f"an .npz file with the array `{name}`"),
        zipfile.ZipFile(path) as archive,
        archive.open(f"{name}.npy") as file,
    ):
        shape, by_columns, dtype = _HEADERS[np.lib.format.read_magic(file)](file)
        if by_columns or dtype.hasobject or len(shape) < 2:
            order = " in Fortran's order" if by_columns else ""
            raise ValueError(f"an array of {dtype}, {shape}{order}")
        yield file, shape, dtype
