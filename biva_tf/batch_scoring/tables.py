"""Images in a column of a Parquet file: lists of values, or encoded pictures."""

from __future__ import annotations

import dataclasses
import io
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from biva_tf import extras
from biva_tf.batch_scoring.rows import Range, Unreadable, fitted
from biva_tf.data import formats, picture_files
from biva_tf.data.sources import DataError
from biva_tf.errors import Setting

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

_AT_ONCE = 256  # rows that are in memory


@dataclasses.dataclass(frozen=True)
class TableRows(Range):
    """Rows `start` to `stop` of a column of a Parquet file; see `Rows`.

    An image is a list of its values, nested or not; or a picture's bytes, alone or as the field
    `bytes` of a struct (as the image columns of Hugging Face have it).
    """

    path: Path
    column: str
    start: int
    stop: int

    @staticmethod
    def from_file(path: Path, column: str) -> TableRows:
        """All rows, counted by the file's metadata. Raises DataError if they are no images."""
        with formats.reading(path, "a Parquet file"), _opened(path) as file:
            schema = file.schema_arrow
            if column not in schema.names:
                present = ", ".join(schema.names)
                has = f"{path}: expected a column {column!r}, it has {present}; choose one with "
                raise DataError(has, Setting("column"))
            kind = _stored(schema.field(column).type)
            if not (_is_list(kind) or _is_bytes(kind) or _is_struct(kind)):
                raise DataError(
                    f"{path}: expected lists of values or pictures in the column {column!r}, "
                    f"got {kind}"
                )
            return TableRows(path, column, 0, file.metadata.num_rows)

    @property
    def source(self) -> str:
        """See `Range`."""
        return str(self.path)

    def read(self, shape: tuple[int, ...]) -> Iterator[np.ndarray | Unreadable]:
        """See `Rows`. The row groups that the range is in are read, some rows at a time."""
        with formats.reading(self.path, "a Parquet file"), _opened(self.path) as file:
            groups: list[int] = []
            first, end = 0, 0
            for group in range(file.num_row_groups):
                begin, end = end, end + file.metadata.row_group(group).num_rows
                if begin < self.stop and self.start < end:
                    first = begin if not groups else first
                    groups.append(group)
            for batch in file.iter_batches(_AT_ONCE, groups, [self.column]):
                start, stop = max(self.start - first, 0), min(self.stop - first, len(batch))
                first += len(batch)
                if start < stop:
                    column = batch.column(0).slice(start, stop - start)
                    yield from (_image(value, shape) for value in _storage(column))
                if first >= self.stop:
                    return

    def describe(self) -> dict[str, Any]:
        """See `Rows`."""
        size = self.path.stat().st_size
        return {"source": self.source, "column": self.column, "images": len(self), "bytes": size}


def _opened(path: Path) -> pq.ParquetFile:
    extras.require("reading a Parquet file", "pyarrow")
    import pyarrow.parquet as pq

    return pq.ParquetFile(path)


def _image(value: pa.Scalar, shape: tuple[int, ...]) -> np.ndarray | Unreadable:
    if value.is_valid and _is_struct(value.type):
        value = value["bytes"]
    if not value.is_valid:
        return Unreadable("there is no image")
    if _is_bytes(value.type):
        try:
            pixels = picture_files.picture(io.BytesIO(value.as_py()), "bytes", shape[-1])
        except DataError as e:
            return Unreadable(str(e))
        return fitted(pixels, shape)
    values = value.values
    while _is_list(values.type):
        values = values.flatten()
    if values.null_count:
        return Unreadable("there are values missing")
    return fitted(values.to_numpy(zero_copy_only=False), shape)


def _storage(column: pa.Array) -> pa.Array:
    import pyarrow as pa

    return column.storage if isinstance(column, pa.ExtensionArray) else column


def _stored(kind: pa.DataType) -> pa.DataType:
    import pyarrow as pa

    return kind.storage_type if isinstance(kind, pa.BaseExtensionType) else kind


def _is_list(kind: pa.DataType) -> bool:
    from pyarrow import types

    return types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind)


def _is_bytes(kind: pa.DataType) -> bool:
    from pyarrow import types

    return types.is_binary(kind) or types.is_large_binary(kind)


def _is_struct(kind: pa.DataType) -> bool:
    from pyarrow import types

    return types.is_struct(kind) and kind.get_field_index("bytes") >= 0
