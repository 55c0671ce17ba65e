"""Parquet files that hold a checksum of all their bytes.

The checksum is a value of the file's metadata. It is computed with zeros in its place, so that it
can be a part of what it protects.
"""

import hashlib
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow as pa

_KEY = b"biva_tf.checksum"
_BYTES = 32
_ZEROS = b"0" * (2 * _BYTES)  # hexadecimal
_BETWEEN = b"\x18@"  # in Parquet's footer: a text of 64 bytes follows
_PLACE = re.compile(re.escape(_KEY + _BETWEEN) + rb"([0-9a-f]{%d})" % len(_ZEROS))


class DamageError(ValueError):
    """The bytes of a file are not those that were written."""


def parquet(table: "pa.Table") -> bytes:
    """A table as a Parquet file with its checksum."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    content = pa.BufferOutputStream()
    with pq.ParquetWriter(content, table.schema, compression="zstd") as writer:
        writer.write_table(table)
        writer.add_key_value_metadata({_KEY: _ZEROS})
    blank = content.getvalue().to_pybytes()
    start, stop = _place(blank)
    return blank[:start] + _digest(blank) + blank[stop:]


def check(content: bytes) -> None:
    """Raises DamageError if the checksum is not that of the content, or if there is none."""
    start, stop = _place(content)
    if content[start:stop] != _digest(content[:start] + _ZEROS + content[stop:]):
        raise DamageError("its checksum is wrong")


def _place(content: bytes) -> tuple[int, int]:
    """Where the checksum begins and ends."""
    # The footer is at the end of a file; the texts of a column may hold anything.
    at = content.rfind(_KEY + _BETWEEN)
    found = _PLACE.match(content, at) if at >= 0 else None
    if found is None:
        raise DamageError("it has no checksum")
    return found.span(1)


def _digest(content: bytes) -> bytes:
    return hashlib.blake2b(content, digest_size=_BYTES).hexdigest().encode()
