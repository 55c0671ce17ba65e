"""Images in an array of an .npy or .npz file.

The array's header is read first: what it claims is compared with the length of the file before
anything is allocated, and rows are then read one by one.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import os
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import numpy as np

from biva_tf.data import formats
from biva_tf.data.reading.files import shown
from biva_tf.data.reading.notes import ReadingNotes, bounded
from biva_tf.data.reading.rows import Range
from biva_tf.data.reading.values import BY_TYPE, Scale, Unreadable
from biva_tf.data.sources import DataError
from biva_tf.errors import Setting

_HEADERS = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}
_USUAL = "images"
_WANTED = "an array of numbers, [n, height, width] or [n, height, width, channels]"
_LARGE = 2**30  # bytes; an array that is larger and packed tighter than this is taken for a bomb
_DENSITY = 200


@dataclasses.dataclass(frozen=True)
class ArrayHeader:
    """What the header of an array says.

    Attributes:
      name: the array's name in an .npz file; "" in an .npy file.
      shape: its shape.
      dtype: the type of its values.
      by_columns: whether the values are in Fortran's order.
    """

    name: str
    shape: tuple[int, ...]
    dtype: np.dtype
    by_columns: bool

    def __str__(self) -> str:
        return f"{self.name} {list(self.shape)} of {self.dtype}".strip()

    @property
    def bytes(self) -> int:
        """The length of its values."""
        size = self.dtype.itemsize
        for length in self.shape:
            size *= length
        return size


@dataclasses.dataclass(frozen=True)
class ArrayRows(Range):
    """Rows `start` to `stop` of an array in an .npy file, or in an .npz file; see `Rows`."""

    path: Path
    name: str
    start: int
    stop: int
    scale: Scale = BY_TYPE

    @staticmethod
    def from_file(path: Path, column: str | None, notes: ReadingNotes) -> ArrayRows:
        """All rows, counted by the header of the array.

        Args:
          path: the file.
          column: of an .npz file the array; None for `images`, or else the only one there is.
          notes: gets which array was taken, if it has another name.

        Raises:
          DataError: there is no such array, or it is not one of numbers, or not as long as its
            header says.
        """
        name = "" if _is_npy(path) else _chosen(path, column, notes)
        with _opened(path, name) as (_, header):
            return ArrayRows(path, name, 0, header.shape[0])

    @property
    def source(self) -> str:
        """See `Range`."""
        return shown(self.path)

    def stored(
        self, shape: tuple[int, ...], notes: ReadingNotes
    ) -> Iterator[np.ndarray | Unreadable]:
        """See `Rows`. The file is read up to the last row, and only these rows are kept."""
        with _opened(self.path, self.name) as (file, header):
            if header.by_columns:
                changed = self.path.stat().st_mtime_ns
                yield from _by_columns(self.path, self.name, changed)[self.start : self.stop]
                return
            row_shape = header.shape[1:]
            size = header.bytes // max(header.shape[0], 1)
            file.seek(self.start * size, os.SEEK_CUR)
            for _ in range(len(self)):
                content = file.read(size)
                if len(content) != size:
                    raise ValueError("the file ends within the array")
                yield np.frombuffer(content, header.dtype).reshape(row_shape)

    def files(self) -> Iterator[Path]:
        """See `Rows`."""
        yield self.path

    def describe(self) -> dict[str, Any]:
        """See `Rows`."""
        size = self.path.stat().st_size
        return {"source": self.source, "array": self.name, "images": len(self), "bytes": size}


def _is_npy(path: Path) -> bool:
    """Whether a file is an .npy file, by its first bytes and not by its name."""
    with formats.reading(shown(path), "an .npz or .npy file"), open(path, "rb") as file:
        magic = np.lib.format.MAGIC_PREFIX
        return file.read(len(magic)) == magic


def _chosen(path: Path, column: str | None, notes: ReadingNotes) -> str:
    """The name of the array to read. Raises DataError that lists what is there."""
    with _reading(path, f"the array `{column or _USUAL}`"), zipfile.ZipFile(path) as archive:
        names = [name.removesuffix(".npy") for name in archive.namelist() if name.endswith(".npy")]
        if (column or _USUAL) in names:
            return column or _USUAL
        if column is None and len(names) == 1:
            notes.add(f"its only array is taken, `{shown(names[0])}`", shown(path))
            return names[0]
        present = []
        for name in names[:5]:
            with archive.open(f"{name}.npy") as file:
                present.append(shown(str(_header(file, name))))
    has = bounded(present, len(names)) if names else "no array"
    raise DataError(
        f"{shown(path)}: expected the array `{column or _USUAL}`, it has {has}; choose one with ",
        Setting("column"),
    )


@contextlib.contextmanager
def _opened(path: Path, name: str) -> Iterator[tuple[IO[bytes], ArrayHeader]]:
    """An array's file at its first row, and its header, which the length of the file confirms."""
    with contextlib.ExitStack() as stack:
        stack.enter_context(_reading(path, f"the array `{name}`" if name else "an array"))
        if name:
            archive = stack.enter_context(zipfile.ZipFile(path))
            member = archive.getinfo(f"{name}.npy")
            file = stack.enter_context(archive.open(member))
            length, packed = member.file_size, member.compress_size
        else:
            file = stack.enter_context(open(path, "rb"))
            length = packed = path.stat().st_size
        header = _header(file, name)
        _check(header, length - file.tell(), packed)
        yield file, header


def _header(file: IO[bytes], name: str) -> ArrayHeader:
    version = np.lib.format.read_magic(file)
    if version not in _HEADERS:  # of structs alone
        raise ValueError(f"a header of version {version[0]}.{version[1]}, not {_WANTED}")
    try:
        shape, by_columns, dtype = _HEADERS[version](file)
    except Exception as e:  # NumPy's parser raises many kinds of errors
        raise ValueError(f"a header that cannot be read: {e}") from e
    return ArrayHeader(name, tuple(map(int, shape)), dtype, by_columns and len(shape) > 1)


def _check(header: ArrayHeader, there: int, packed: int) -> None:
    """Raises ValueError if a header does not fit the bytes that are there, or is no images'."""
    if header.dtype.hasobject or header.dtype.kind not in "buif" or len(header.shape) < 2:
        raise ValueError(f"got {header}, not {_WANTED}")
    if any(length < 0 for length in header.shape):
        raise ValueError(f"got {header}: a length below 0")
    if header.bytes > there:
        raise ValueError(
            f"its header says {header}, which is {header.bytes:,} bytes, but {there:,} are there"
        )
    if header.bytes > max(_LARGE, _DENSITY * packed):
        raise ValueError(
            f"{packed:,} bytes that unpack to {header.bytes:,}: too many to be images; save the "
            "array as an .npy file"
        )


@functools.lru_cache(maxsize=1)
def _by_columns(path: Path, name: str, changed: int) -> np.ndarray:
    """An array in Fortran's order, whose rows are all over the file; a process reads it once.

    The time at which the file was changed is part of the key.
    """
    del changed
    with _opened(path, name) as (file, header):
        if not name:
            offset = file.tell()
            return np.memmap(path, header.dtype, "r", offset, header.shape, "F")
        check_memory(header.bytes, "; save it with numpy.ascontiguousarray")
        values = np.frombuffer(file.read(header.bytes), header.dtype)
        return values.reshape(header.shape, order="F")


def check_memory(size: int, advice: str = "") -> None:
    """Raises ValueError if so many bytes do not fit into half of the machine's memory."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if size > memory // 2:
        raise ValueError(
            f"{size:,} bytes, which have to fit into half of the memory, {memory // 2:,}{advice}"
        )


@contextlib.contextmanager
def _reading(path: Path, what: str) -> Iterator[None]:
    """Turns what goes wrong with a file into a DataError that names it, and what is wanted."""
    try:
        yield
    except DataError:
        raise
    except (*formats.BROKEN, RuntimeError, MemoryError) as e:
        reason = str(e) if type(e) is ValueError else f"{type(e).__name__}: {e}"
        raise DataError(f"{shown(path)}: expected {what} ({' '.join(reason.split())})") from e
