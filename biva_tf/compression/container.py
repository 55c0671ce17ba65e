"""The format of a compressed file: a header, then blocks of images.

    header    magic, format, length, fields, versions, CRC-32
    block     the number of words and of runs; the runs; the CRC-32 of its images; the words; the
              CRC-32 of all of this

All numbers are little-endian. A run is a number of rows and how many batches in sequence have so
many; in format 2 also whether their pixels are stored as they are. A file without such batches is
of format 1. The blocks are in the order of the images, and each has the words that decoding it
needs beyond those that the block before has left. So blocks are decoded one after the other, and a
damaged block costs those after it, not those before.
"""

import dataclasses
import itertools
import struct
import zlib
from collections.abc import Iterable, Iterator

import numpy as np

from biva_tf.compression import header as headers
from biva_tf.compression.header import FormatError

_CRC = struct.Struct("<I")
_BLOCKS = {1: struct.Struct("<IH"), 2: struct.Struct("<II")}  # by format
_RUNS = {1: struct.Struct("<HH"), 2: struct.Struct("<HHB")}  # by format
_MOST_BATCHES = 2**16 - 1  # of a run


@dataclasses.dataclass(frozen=True)
class CodedBatch:
    """What is coded at once.

    Attributes:
      rows: the number of images.
      stored: whether their pixels are stored as they are.
    """

    rows: int
    stored: bool = False


@dataclasses.dataclass(frozen=True)
class Block:
    """A block of images.

    Attributes:
      runs: equal batches in sequence, and how many there are.
      images_crc: the CRC-32 of its images, uint8 pixels.
      words: uint32, the highest of the stack last.
    """

    runs: tuple[tuple[CodedBatch, int], ...]
    images_crc: int
    words: np.ndarray

    @property
    def batches(self) -> Iterator[CodedBatch]:
        """The batches, in the order of the images."""
        return itertools.chain.from_iterable(itertools.repeat(*run) for run in self.runs)

    @property
    def images(self) -> int:
        """The number of images."""
        return sum(batch.rows * count for batch, count in self.runs)

    def pack(self, version: int) -> bytes:
        """The block as bytes, in a version of the format."""
        content = _BLOCKS[version].pack(len(self.words), len(self.runs))
        for batch, count in self.runs:
            stored = [batch.stored] if version > 1 else []
            content += _RUNS[version].pack(batch.rows, count, *stored)
        content += _CRC.pack(self.images_crc) + self.words.astype("<u4").tobytes()
        return content + _CRC.pack(zlib.crc32(content))


def runs(batches: Iterable[CodedBatch]) -> tuple[tuple[CodedBatch, int], ...]:
    """Batches as the runs of a block."""
    found = []
    for batch, same in itertools.groupby(batches):
        count = len(list(same))
        whole, rest = divmod(count, _MOST_BATCHES)
        found += [(batch, _MOST_BATCHES)] * whole + [(batch, rest)] * (rest > 0)
    return tuple(found)


class Reader:
    """Reads a file from its bytes, part by part.

    Attributes:
      header: the file's header.

    Raises:
      FormatError: the bytes do not begin with a whole header, or a field of it is wrong. Likewise
        `block`, which names the block, and `end`.
    """

    def __init__(self, data: bytes):
        self._data = data
        self.header, self._at = headers.read(data)

    def block(self, number: int) -> Block:
        """The next block, whose number is given."""
        name, start = f"block {number} of {self.header.blocks}", self._at
        count, run = _BLOCKS[self.header.format], _RUNS[self.header.format]
        words, lengths = count.unpack(self._take(count.size, name))
        found = list(run.iter_unpack(self._take(run.size * lengths, name)))
        (images_crc,) = _CRC.unpack(self._take(_CRC.size, name))
        content = np.frombuffer(self._take(4 * words, name), "<u4").astype(np.uint32)
        expected = zlib.crc32(self._data[start : self._at])
        headers.check_crc(name, expected, *_CRC.unpack(self._take(_CRC.size, name)))
        batches = tuple((CodedBatch(rows, any(stored)), same) for rows, same, *stored in found)
        block = Block(batches, images_crc, content)
        self._check(name, block, self.header.block_size(number))
        return block

    def end(self) -> None:
        """Raises FormatError if there are bytes after the last block."""
        if self._at != len(self._data):
            more = len(self._data) - self._at
            raise FormatError(f"expected the end of the file after its last block, got {more} B")

    def check(self) -> None:
        """Raises FormatError unless the rest of the file is whole, blocks of which none is read."""
        for number in range(self.header.blocks):
            self.block(number)
        self.end()

    def _check(self, name: str, block: Block, images: int) -> None:
        """Checks that the batches of a block are those that the header allows."""
        if block.images != images:
            raise FormatError(
                f"{name}: expected batches of {images} images in all, as the header says, got "
                f"{block.images}"
            )
        most = self.header.rows
        for batch, _ in block.runs:
            if not 1 <= batch.rows <= most:
                raise FormatError(
                    f"{name}: expected batches of 1 to {most} images, as the header says, got "
                    f"{batch.rows}"
                )

    def _take(self, size: int, name: str) -> bytes:
        content = self._data[self._at : self._at + size]
        headers.check_size(name, size, self._at, len(content))
        self._at += size
        return content
