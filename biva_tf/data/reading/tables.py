"""Images in a column of a Parquet file: lists of values, encoded pictures, or paths of pictures."""

from __future__ import annotations

import contextlib
import dataclasses
import io
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from biva_tf import extras
from biva_tf.data import formats
from biva_tf.data.reading import pictures
from biva_tf.data.reading.files import shown
from biva_tf.data.reading.notes import ReadingNotes, bounded
from biva_tf.data.reading.rows import Range
from biva_tf.data.reading.values import BY_TYPE, Scale, Unreadable
from biva_tf.data.sources import DataError
from biva_tf.errors import Setting
from biva_tf.model.pixels import BACKGROUND

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

_USUAL = "image"
_AT_ONCE = 256  # rows that are in memory


@dataclasses.dataclass(frozen=True)
class TableRows(Range):
    """Rows `start` to `stop` of a column of a Parquet file; see `Rows`.

    An image is a list of its values, nested or not; their bytes in a column of fixed size; or a
    picture: its bytes or its path, or a struct with the fields `bytes` and `path` (as the image
    columns of Hugging Face have it). A path is relative to the table's folder or the one above.

    Attributes:
      path: the file.
      column: the column's name.
      of_lists: whether it has lists of values.
      start, stop: the range.
      background: the grey value behind transparent pixels.
      scale: what integers stand for.
    """

    path: Path
    column: str
    of_lists: bool
    start: int
    stop: int
    background: int = BACKGROUND
    scale: Scale = BY_TYPE

    @staticmethod
    def from_file(
        path: Path, column: str | None, notes: ReadingNotes, background: int = BACKGROUND
    ) -> TableRows:
        """All rows, counted by the file's metadata.

        Args:
          path: the file.
          column: the column; None for `image`, or else the only one there is.
          notes: gets which column was taken, if it has another name.
          background: the grey value behind transparent pixels.

        Raises:
          DataError: there is no such column, or it has no images.
        """
        with _opened(path) as file:
            schema = file.schema_arrow
            if column is None and len(schema.names) == 1 and schema.names != [_USUAL]:
                column = schema.names[0]
                notes.add(f"its only column is taken, {column!r}", shown(path))
            column = column or _USUAL
            if column not in schema.names:
                present = bounded([shown(name) for name in schema.names], len(schema.names))
                has = f"{shown(path)}: expected a column {column!r}, it has {present}; choose one "
                raise DataError(has + "with ", Setting("column"))
            kind = _stored_type(schema.field(column).type)
            if not (_is_list(kind) or _is_picture(kind)):
                raise DataError(
                    f"{shown(path)}: expected lists of values or pictures in the column "
                    f"{column!r}, got {kind}; choose another with ",
                    Setting("column"),
                )
            return TableRows(path, column, _is_list(kind), 0, file.metadata.num_rows, background)

    @property
    def source(self) -> str:
        """See `Range`."""
        return shown(self.path)

    def stored(
        self, shape: tuple[int, ...], notes: ReadingNotes
    ) -> Iterator[np.ndarray | Unreadable]:
        """See `Rows`. The row groups that the range is in are read, some rows at a time."""
        with _opened(self.path) as file:
            groups: list[int] = []
            first, end = 0, 0
            for group in range(file.num_row_groups):
                begin, end = end, end + file.metadata.row_group(group).num_rows
                if begin < self.stop and self.start < end:
                    first = begin if not groups else first
                    groups.append(group)
            for batch in file.iter_batches(_AT_ONCE, groups, [self.column]):
                start, stop = max(self.start - first, 0), min(self.stop - first, len(batch))
                if start < stop:
                    column = batch.column(0).slice(start, stop - start)
                    for row, value in enumerate(_values(column), first + start):
                        yield self._image(value, column.type, shape, notes, row)
                first += len(batch)
                if first >= self.stop:
                    return

    def has_gaps(self) -> bool:
        """Whether values are missing in lists of floats."""
        from pyarrow import types

        if not self.of_lists:
            return False
        with _opened(self.path) as file:
            for batch in file.iter_batches(_AT_ONCE, columns=[self.column]):
                values = _values(batch.column(0))
                while _is_list(values.type):
                    values = values.flatten()
                if not types.is_floating(values.type):
                    return False
                if np.isnan(values.to_numpy(zero_copy_only=False)).any():  # nulls are NaN there
                    return True
        return False

    def files(self) -> Iterator[Path]:
        """See `Rows`. Pictures that are named by their paths count."""
        yield self.path
        if self.of_lists:
            return
        with _opened(self.path) as file:
            for batch in file.iter_batches(_AT_ONCE, columns=[self.column]):
                for value in _values(batch.column(0)):
                    content, name = _content(value)
                    if content is None and name and (path := self._picture(name)):
                        yield path

    def describe(self) -> dict[str, Any]:
        """See `Rows`."""
        size = self.path.stat().st_size
        return {"source": self.source, "column": self.column, "images": len(self), "bytes": size}

    def _image(
        self,
        value: pa.Scalar,
        declared: pa.DataType,
        shape: tuple[int, ...],
        notes: ReadingNotes,
        row: int,
    ) -> np.ndarray | Unreadable:
        if not value.is_valid:
            return Unreadable("there is no image")
        if _is_list(value.type):
            return _of_list(value.values, declared)
        content, name = _content(value)
        if content is None and not name:
            return Unreadable("there is no image")
        if content is None:
            if path := self._picture(str(name)):
                return self._decoded(path, shape, notes, shown(path))
            return Unreadable(
                f"expected the picture {shown(str(name))} beside the table or one folder above, "
                "found none"
            )
        if _is_fixed(value.type) and len(content) == int(np.prod(shape)):
            return np.frombuffer(content, np.uint8)
        return self._decoded(io.BytesIO(content), shape, notes, f"{self.source}, row {row}")

    def _picture(self, name: str) -> Path | None:
        """The path of a picture that the table names; None if it is not there."""
        folder = self.path.absolute().parent
        paths = (folder / name, folder.parent / name)
        return next((path for path in paths if path.is_file()), None)

    def _decoded(self, file, shape: tuple[int, ...], notes: ReadingNotes, name: str):
        height, width, channels = shape
        return pictures.decode(
            file, channels, (height, width), background=self.background, notes=notes, name=name
        )


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[pq.ParquetFile]:
    """A Parquet file, open. DataError names it if it is none, or is damaged."""
    extras.require("reading a Parquet file", "pyarrow")
    import pyarrow.parquet as pq

    with formats.reading(shown(path), "a Parquet file"), pq.ParquetFile(path) as file:
        yield file


def _content(value: pa.Scalar) -> tuple[bytes | None, str | None]:
    """The bytes of a picture, and its path; None for what is not there."""
    content: Any = value.as_py()
    if isinstance(content, dict):
        return content.get("bytes"), content.get("path")
    return (None, content) if isinstance(content, str) else (content, None)


def _of_list(values: pa.Array, declared: pa.DataType) -> np.ndarray | Unreadable:
    """An image of a list, in the shape that nested lists, or a type of tensors, give it."""
    import pyarrow as pa
    import pyarrow.compute as pc

    lengths = [len(values)]
    while _is_list(values.type) and not values.null_count:
        inner = pc.min_max(pc.list_value_length(values)).as_py()
        if inner["min"] != inner["max"]:
            return Unreadable("expected rows of one length, got several")
        lengths.append(inner["max"] or 0)
        values = values.flatten()
    if values.null_count:
        return Unreadable("there are values missing")
    if not _is_number(values.type):
        return Unreadable(f"expected numbers, got {values.type}")
    image = values.to_numpy(zero_copy_only=False)
    if not isinstance(declared, pa.FixedShapeTensorType):
        return image.reshape(lengths)
    image = image.reshape(declared.shape)
    return image if declared.permutation is None else image.transpose(declared.permutation)


def _values(column: pa.Array) -> pa.Array:
    """The rows of a column, without what Parquet and extension types wrap them in."""
    import pyarrow as pa

    column = _storage(column)
    return column.dictionary_decode() if isinstance(column, pa.DictionaryArray) else column


def _storage(column: pa.Array) -> pa.Array:
    import pyarrow as pa

    return column.storage if isinstance(column, pa.ExtensionArray) else column


def _stored_type(kind: pa.DataType) -> pa.DataType:
    import pyarrow as pa

    kind = kind.storage_type if isinstance(kind, pa.BaseExtensionType) else kind
    return kind.value_type if isinstance(kind, pa.DictionaryType) else kind


def _is_list(kind: pa.DataType) -> bool:
    from pyarrow import types

    return (
        types.is_list(kind)
        or types.is_large_list(kind)
        or types.is_fixed_size_list(kind)
        or types.is_list_view(kind)
        or types.is_large_list_view(kind)
    )


def _is_number(kind: pa.DataType) -> bool:
    from pyarrow import types

    return types.is_integer(kind) or types.is_floating(kind) or types.is_boolean(kind)


def _is_fixed(kind: pa.DataType) -> bool:
    from pyarrow import types

    return types.is_fixed_size_binary(kind)


def _is_picture(kind: pa.DataType) -> bool:
    """Whether it is bytes or a path, or a struct of them."""
    from pyarrow import types

    if types.is_struct(kind):
        return any(kind.get_field_index(name) >= 0 for name in ("bytes", "path"))
    return any(
        is_kind(kind)
        for is_kind in (
            types.is_binary,
            types.is_large_binary,
            types.is_binary_view,
            types.is_fixed_size_binary,
            types.is_string,
            types.is_large_string,
            types.is_string_view,
        )
    )
