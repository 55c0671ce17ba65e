"""The format of a compressed file: a header, then blocks of images.

    header    magic, length, fields, versions, CRC-32
    block     the number of words and of runs; the runs; the CRC-32 of its images; the words; the
              CRC-32 of all of this

All numbers are little-endian. A run is a number of rows and how many batches in sequence have so
many. The blocks are in the order of the images, and each has the words that decoding it needs
beyond those that the block before has left. So blocks are decoded one after the other, and a
damaged block costs those after it, not those before.
"""

import dataclasses
import itertools
import struct
import zlib

import numpy as np

from biva_tf.compression.errors import CompressionError

_FORMAT = 1  # the version of the format
_MAGIC = b"BIVA" + bytes([_FORMAT])
_LENGTH = struct.Struct("<H")
# Model, images, height, width, channels, form, rows of a batch, images of a block, seed, threads,
# latents.
_FIELDS = struct.Struct("<8sQHHBBHIIHH")
_CRC = struct.Struct("<I")
_BLOCK = struct.Struct("<IH")
_RUN = struct.Struct("<HH")


class FormatError(CompressionError):
    """Bytes that are no compressed file, or a damaged one."""


@dataclasses.dataclass(frozen=True)
class Header:
    """What a file says of itself.

    Attributes:
      model: the first bytes of a hash of the spec and the weights.
      images: their number.
      image_shape: (height, width, channels).
      form: how the values of the images were stored; see `pixel_values`.
      rows: the rows in a batch of the model's passes.
      block: the images of a block; the last one has the rest.
      seed: the seed of the initial bits.
      threads: with which TensorFlow computed an operation.
      exponents: the exponent of each latent's grid.
      versions: the versions of biva_tf, which wrote the file, and of the packages that compute, as
        text. Files of biva_tf 0.1 do not name it.
    """

    model: bytes
    images: int
    image_shape: tuple[int, int, int]
    form: int
    rows: int
    block: int
    seed: int
    threads: int
    exponents: tuple[int, ...]
    versions: str

    @property
    def blocks(self) -> int:
        """The number of blocks."""
        return -(-self.images // self.block)

    def block_size(self, block: int) -> int:
        """The number of images of a block."""
        return min(self.block, self.images - block * self.block)

    def pack(self) -> bytes:
        """The header as bytes."""
        numbers = (*self.image_shape, self.form, self.rows, self.block, self.seed, self.threads)
        fields = _FIELDS.pack(self.model, self.images, *numbers, len(self.exponents))
        fields += np.array(self.exponents, np.int8).tobytes() + self.versions.encode()
        content = _MAGIC + _LENGTH.pack(len(fields)) + fields
        return content + _CRC.pack(zlib.crc32(content))


@dataclasses.dataclass(frozen=True)
class Block:
    """A block of images.

    Attributes:
      batches: the number of images of each batch.
      images_crc: the CRC-32 of its images, uint8 pixels.
      words: uint32, the highest of the stack last.
    """

    batches: tuple[int, ...]
    images_crc: int
    words: np.ndarray

    def pack(self) -> bytes:
        """The block as bytes."""
        runs = [(rows, len(list(same))) for rows, same in itertools.groupby(self.batches)]
        content = _BLOCK.pack(len(self.words), len(runs))
        content += b"".join(_RUN.pack(*run) for run in runs) + _CRC.pack(self.images_crc)
        content += self.words.astype("<u4").tobytes()
        return content + _CRC.pack(zlib.crc32(content))


class Reader:
    """Reads a file from its bytes, part by part.

    Raises:
      FormatError: the bytes do not begin with a whole header. Likewise `block`, which names the
        block, and `end`.
    """

    def __init__(self, data: bytes):
        self._data, self._at = data, 0
        start = data[: len(_MAGIC)]
        if start[:-1] == _MAGIC[:-1] and start != _MAGIC:
            raise FormatError(
                f"the header: expected format {_FORMAT}, got {start[-1]}; another version of "
                "biva_tf wrote the file"
            )
        if start != _MAGIC:
            raise FormatError(
                f"expected a file of biva_tf.compress, which begins with {_MAGIC!r}, got {start!r}"
            )
        self._take(len(_MAGIC), "the header")
        (length,) = _LENGTH.unpack(self._take(_LENGTH.size, "the header"))
        fields = self._take(length, "the header")
        self._check(0, "the header")
        numbers: list[int]
        model, images, height, width, channels, *numbers, latents = _FIELDS.unpack_from(fields)
        form, rows, block, seed, threads = numbers
        rest = fields[_FIELDS.size :]
        exponents = tuple(np.frombuffer(rest[:latents], np.int8).tolist())
        shape, versions = (height, width, channels), rest[latents:].decode()
        self.header = Header(
            model, images, shape, form, rows, block, seed, threads, exponents, versions
        )

    def block(self, number: int) -> Block:
        """The next block, whose number is given."""
        name, start = f"block {number} of {self.header.blocks}", self._at
        words, runs = _BLOCK.unpack(self._take(_BLOCK.size, name))
        lengths = list(_RUN.iter_unpack(self._take(_RUN.size * runs, name)))
        (images_crc,) = _CRC.unpack(self._take(_CRC.size, name))
        content = np.frombuffer(self._take(4 * words, name), "<u4").astype(np.uint32)
        self._check(start, name)
        batches = tuple(rows for rows, count in lengths for _ in range(count))
        return Block(batches, images_crc, content)

    def end(self) -> None:
        """Raises FormatError if there are bytes after the last block."""
        if self._at != len(self._data):
            more = len(self._data) - self._at
            raise FormatError(f"expected the end of the file after its last block, got {more} B")

    def _take(self, size: int, name: str) -> bytes:
        content = self._data[self._at : self._at + size]
        if len(content) < size:
            raise FormatError(
                f"{name}: the file is cut short or damaged: expected {size} bytes at "
                f"{self._at}, got {len(content)}"
            )
        self._at += size
        return content

    def _check(self, start: int, name: str) -> None:
        expected = zlib.crc32(self._data[start : self._at])
        (got,) = _CRC.unpack(self._take(_CRC.size, name))
        if got != expected:
            raise FormatError(
                f"{name}: the file is damaged: its checksum should be {expected:08x}, the file "
                f"says {got:08x}"
            )
