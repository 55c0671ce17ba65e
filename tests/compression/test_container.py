"""The file format: a packed file can be read back, and no damage goes unnoticed."""

import dataclasses

import numpy as np
import pytest

from biva_tf.compression.container import Block, CodedBatch, Reader, runs
from biva_tf.compression.header import FormatError, Header, PixelForm

HEADER = Header(
    model=b"12345678",
    images=5,
    image_shape=(28, 28, 1),
    form=PixelForm.BYTES,
    rows=32,
    block=3,
    seed=2**32 - 1,
    threads=1,
    exponents=(-2, 0, -64),
    versions="tensorflow 2",
)
BLOCKS = [
    Block(runs([CodedBatch(1), CodedBatch(2)]), 123, np.arange(5, dtype=np.uint32)),
    Block(runs([CodedBatch(1), CodedBatch(1)]), 2**32 - 1, np.array([2**32 - 1], np.uint32)),
]
OLD = (  # the header as 0.1 wrote it
    "42495641013300313233343536373805000000000000001c001c000101200003000000ffffffff01"
    "000300fe00c074656e736f72666c6f7720327d02fea3"
)
DATA = HEADER.pack() + b"".join(block.pack(1) for block in BLOCKS)


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
        assert found.runs == block.runs and found.images_crc == block.images_crc
        np.testing.assert_array_equal(found.words, block.words)


def _place(at):
    """The name of the part that holds a byte."""
    ends = np.cumsum([len(HEADER.pack()), *(len(block.pack(1)) for block in BLOCKS)])
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
    newer = b"BIVA" + bytes([3]) + DATA[5:]
    with pytest.raises(FormatError, match="expected format 1 to 2, got 3; another version of"):
        Reader(newer)


def test_the_format_is_that_of_version_0_1():
    """A file that biva_tf 0.1 wrote; it names no version of biva_tf."""
    old = bytes.fromhex(OLD)
    assert Reader(old).header == HEADER and HEADER.pack() == old


def test_bytes_after_the_last_block_are_an_error():
    with pytest.raises(FormatError, match="expected the end of the file"):
        _read(DATA + b"\0")


def test_equal_batches_take_no_room():
    few, many = (runs([CodedBatch(32)] * n) for n in (1, 1000))
    assert len(Block(few, 0, BLOCKS[0].words).pack(1)) == len(
        Block(many, 0, BLOCKS[0].words).pack(1)
    )


def test_a_block_of_stored_batches_is_read():
    batches = [CodedBatch(1), CodedBatch(1, stored=True), CodedBatch(1, stored=True)]
    blocks = [dataclasses.replace(BLOCKS[0], runs=runs(batches)), BLOCKS[1]]
    data = dataclasses.replace(HEADER, format=2).pack() + b"".join(b.pack(2) for b in blocks)
    header, found = _read(data)
    assert header.format == 2 and [list(b.batches) for b in found] == [batches, [CodedBatch(1)] * 2]


def test_any_number_of_equal_batches_is_read():
    """More than a run can count."""
    images = 200_000
    header = dataclasses.replace(HEADER, images=images, block=images)
    block = Block(runs([CodedBatch(1)] * images), 0, BLOCKS[0].words)
    _, (found,) = _read(header.pack() + block.pack(1))
    assert len(list(found.batches)) == found.images == images


@pytest.mark.parametrize(
    ("batches", "message"),
    [
        ([CodedBatch(1)], "expected batches of 3 images in all, as the header says, got 1"),
        ([], "expected batches of 3 images in all, as the header says, got 0"),
        ([CodedBatch(65535)] * 65535, "expected batches of 3 images in all, .* got 4294836225"),
        (
            [CodedBatch(0), CodedBatch(3)],
            "expected batches of 1 to 2 images, as the header says, got 0",
        ),
        ([CodedBatch(3)], "expected batches of 1 to 2 images, as the header says, got 3"),
    ],
)
def test_batches_that_contradict_the_header_are_named(batches, message):
    header = dataclasses.replace(HEADER, rows=2)
    data = header.pack() + dataclasses.replace(BLOCKS[0], runs=runs(batches)).pack(1)
    with pytest.raises(FormatError, match=f"^block 0 of 2: {message}"):
        Reader(data).check()
