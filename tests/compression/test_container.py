"""The file format: a packed file can be read back, and no damage goes unnoticed."""

import dataclasses

import numpy as np
import pytest

from biva_tf.compression.container import Block, FormatError, Header, Reader

HEADER = Header(
    model=b"12345678",
    images=5,
    image_shape=(28, 28, 1),
    form=1,
    rows=32,
    block=3,
    seed=2**32 - 1,
    threads=1,
    exponents=(-2, 0, -128),
    versions="tensorflow 2",
)
BLOCKS = [
    Block((1, 2), 123, np.arange(5, dtype=np.uint32)),
    Block((1, 1), 2**32 - 1, np.array([2**32 - 1], np.uint32)),
]
OLD = (  # the header as 0.1 wrote it
    "42495641013300313233343536373805000000000000001c001c000101200003000000ffffffff01"
    "000300fe008074656e736f72666c6f772032d693731e"
)
DATA = HEADER.pack() + b"".join(block.pack() for block in BLOCKS)


def _read(data):
    reader = Reader(data)
    blocks = [reader.block(number) for number in range(reader.header.blocks)]
    reader.end()
    return reader.header, blocks


def test_what_is_packed_is_read():
    header, blocks = _read(DATA)
    assert header == HEADER
    assert header.blocks == 2 and [header.block_size(n) for n in range(2)] == [3, 2]
    for found, block in zip(blocks, BLOCKS, strict=True):
        assert found.batches == block.batches and found.images_crc == block.images_crc
        np.testing.assert_array_equal(found.words, block.words)


def _place(at):
    """The name of the part that holds a byte."""
    ends = np.cumsum([len(HEADER.pack()), *(len(block.pack()) for block in BLOCKS)])
    return ("the header", "block 0 of 2", "block 1 of 2")[int(np.searchsorted(ends, at, "right"))]


def test_every_flipped_bit_is_an_error_that_names_its_part():
    for at in range(5, len(DATA)):  # after the magic
        for bit in range(8):
            damaged = bytearray(DATA)
            damaged[at] ^= 1 << bit
            with pytest.raises(FormatError, match=f"^{_place(at)}: the file is "):
                _read(bytes(damaged))


def test_every_truncation_is_an_error_that_names_its_part():
    for length in range(5, len(DATA)):
        with pytest.raises(FormatError, match=f"^{_place(length)}: the file is cut short"):
            _read(DATA[:length])


@pytest.mark.parametrize("data", [b"", b"BIVA", b"PK\x03\x04" + bytes(99)])
def test_another_file_is_told_apart(data):
    with pytest.raises(FormatError, match=r"expected a file of biva_tf\.compress"):
        Reader(data)


def test_a_file_of_a_newer_format_is_told_apart_from_other_files():
    newer = b"BIVA" + bytes([DATA[4] + 1]) + DATA[5:]
    with pytest.raises(FormatError, match="expected format 1, got 2; another version of biva_tf"):
        Reader(newer)


def test_the_format_is_that_of_version_0_1():
    """A file that biva_tf 0.1 wrote; it names no version of biva_tf."""
    old = bytes.fromhex(OLD)
    assert Reader(old).header == HEADER and HEADER.pack() == old


def test_bytes_after_the_last_block_are_an_error():
    with pytest.raises(FormatError, match="expected the end of the file"):
        _read(DATA + b"\0")


def test_equal_batches_take_no_room():
    few, many = (dataclasses.replace(BLOCKS[0], batches=(32,) * n) for n in (1, 1000))
    assert len(few.pack()) == len(many.pack())
