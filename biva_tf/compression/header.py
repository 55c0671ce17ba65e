"""The header of a compressed file: its bytes, and the check of what it says.

A right checksum does not make a header right: a program that writes such files may be wrong, or
mean harm. So every field is checked, in itself and against the model, before anything is allocated
or computed by it. `container` checks the blocks against it.
"""

import dataclasses
import enum
import struct
import zlib

import numpy as np

from biva_tf.compression.errors import CompressionError

MAGIC = b"BIVA"
FORMATS = (1, 2)  # of format 2 are the files in which pixels are stored
MOST_ROWS = 1024  # of a batch, in a file of fewer images
MOST_THREADS = 1024
MOST_EXPONENT = 64  # of a grid, in absolute value

_LENGTH = struct.Struct("<H")
# Model, images, height, width, channels, form, rows of a batch, images of a block, seed, threads,
# latents.
_FIELDS = struct.Struct("<8sQHHBBHIIHH")
_CRC = struct.Struct("<I")
_START = len(MAGIC) + 1 + _LENGTH.size


class PixelForm(enum.IntEnum):
    """How images store their values. A file says it, so that they come back as they were."""

    UNIT = 0  # float32 in [0, 1], as models read them
    BYTES = 1  # uint8 from 0 to 255
    BITS = 2  # uint8, 0 and 1


class FormatError(CompressionError):
    """Bytes that are no compressed file, or a damaged one."""


@dataclasses.dataclass(frozen=True)
class Header:
    """What a file says of itself.

    Attributes:
      model: the first bytes of a hash of the spec and the weights.
      images: their number.
      image_shape: (height, width, channels).
      form: how the values of the images were stored.
      rows: the rows in a batch of the model's passes.
      block: the images of a block; the last one has the rest.
      seed: the seed of the initial bits.
      threads: with which TensorFlow computed an operation.
      exponents: the exponent of each latent's grid.
      versions: the versions of biva_tf, which wrote the file, and of the packages that compute, as
        text. Files of biva_tf 0.1 do not name it.
      format: the version of the file's format.

    Raises:
      FormatError: a field has a value that no file has; the message names it.
    """

    model: bytes
    images: int
    image_shape: tuple[int, int, int]
    form: PixelForm
    rows: int
    block: int
    seed: int
    threads: int
    exponents: tuple[int, ...]
    versions: str
    format: int = FORMATS[0]

    def __post_init__(self):
        _expect("images", self.images >= 1, "1 or more", self.images)
        _expect("image_shape", min(self.image_shape) >= 1, "sizes of 1 or more", self.image_shape)
        most = max(self.images, MOST_ROWS)
        _expect("rows", 1 <= self.rows <= most, f"1 to {most}", self.rows)
        _expect("block", self.block >= 1, "1 or more", self.block)
        _expect("threads", 1 <= self.threads <= MOST_THREADS, f"1 to {MOST_THREADS}", self.threads)
        wrong = [exponent for exponent in self.exponents if abs(exponent) > MOST_EXPONENT]
        limits = f"{-MOST_EXPONENT} to {MOST_EXPONENT}"
        _expect("exponents", not wrong, limits, ", ".join(map(str, wrong)))
        _expect("format", self.format in FORMATS, " or ".join(map(str, FORMATS)), self.format)

    @property
    def blocks(self) -> int:
        """The number of blocks."""
        return -(-self.images // self.block)

    def block_size(self, block: int) -> int:
        """The number of images of a block."""
        return min(self.block, self.images - block * self.block)

    def check_model(
        self, model: bytes, image_shape: tuple[int, ...], latents: int, *, binary: bool
    ) -> None:
        """Checks that a file is one of a model.

        Args:
          model: the model's hash.
          image_shape: the shape of its images.
          latents: their number.
          binary: whether its pixels are.

        Raises:
          CompressionError: it is not; the message names the field.
        """
        if self.model != model:
            raise CompressionError(
                f"the file was made with another model, whose hash is {self.model.hex()}; that "
                f"of this one is {model.hex()}"
            )
        _expect(
            "image_shape",
            self.image_shape == image_shape,
            f"the model's {image_shape}",
            self.image_shape,
        )
        got = len(self.exponents)
        _expect("latents", got == latents, f"the model's {latents}", got)
        right = binary or self.form is not PixelForm.BITS
        _expect("form", right, "one of 8-bit images", self.form.name)

    def pack(self) -> bytes:
        """The header as bytes."""
        numbers = (*self.image_shape, self.form, self.rows, self.block, self.seed, self.threads)
        fields = _FIELDS.pack(self.model, self.images, *numbers, len(self.exponents))
        fields += np.array(self.exponents, np.int8).tobytes() + self.versions.encode()
        content = MAGIC + bytes([self.format]) + _LENGTH.pack(len(fields)) + fields
        return content + _CRC.pack(zlib.crc32(content))


def read(data: bytes) -> tuple[Header, int]:
    """The header that a file begins with, and its length in bytes.

    Raises:
      FormatError: the bytes do not begin with a whole header, or a field is wrong.
    """
    start = data[: len(MAGIC) + 1]
    if start[:-1] == MAGIC and start[-1] not in FORMATS:
        raise FormatError(
            f"the header: expected format {FORMATS[0]} to {FORMATS[-1]}, got {start[-1]}; another "
            "version of biva_tf wrote the file"
        )
    if start[:-1] != MAGIC:
        raise FormatError(
            f"expected a file of biva_tf.compress, which begins with {MAGIC!r}, got {start!r}"
        )
    (length,) = _LENGTH.unpack(_part(data, len(start), _LENGTH.size))
    fields = _part(data, _START, length)
    end = _START + length
    check_crc("the header", zlib.crc32(data[:end]), *_CRC.unpack(_part(data, end, _CRC.size)))
    return _unpacked(fields, start[-1]), end + _CRC.size


def check_crc(name: str, expected: int, got: int) -> None:
    """Raises FormatError if the checksum of a part is not the one that the file says."""
    if got != expected:
        raise FormatError(
            f"{name}: the file is damaged: its checksum should be {expected:08x}, the file "
            f"says {got:08x}"
        )


def check_size(name: str, size: int, at: int, got: int) -> None:
    """Raises FormatError if a part of the file is shorter than it should be."""
    if got < size:
        raise FormatError(
            f"{name}: the file is cut short or damaged: expected {size} bytes at {at}, got {got}"
        )


def _part(data: bytes, at: int, size: int) -> bytes:
    content = data[at : at + size]
    check_size("the header", size, at, len(content))
    return content


def _unpacked(fields: bytes, version: int) -> Header:
    _expect("length", len(fields) >= _FIELDS.size, f"{_FIELDS.size} or more", len(fields))
    numbers = _FIELDS.unpack_from(fields)
    model, images, height, width, channels, form, rows, block, seed, threads, latents = numbers
    rest = fields[_FIELDS.size :]
    _expect("latents", latents <= len(rest), f"at most {len(rest)} in this header", latents)
    exponents = tuple(np.frombuffer(rest[:latents], np.int8).tolist())
    _expect("form", form < len(PixelForm), f"0 to {len(PixelForm) - 1}", form)
    try:
        versions = rest[latents:].decode()
    except UnicodeDecodeError:
        raise _wrong("versions", "text in UTF-8", repr(rest[latents:][:40])) from None
    _expect("versions", versions.isprintable(), "printable text", repr(versions[:40]))
    return Header(
        model=model,
        images=images,
        image_shape=(height, width, channels),
        form=PixelForm(form),
        rows=rows,
        block=block,
        seed=seed,
        threads=threads,
        exponents=exponents,
        versions=versions,
        format=version,
    )


def _expect(field: str, right: bool, expected: str, got: object) -> None:
    if not right:
        raise _wrong(field, expected, got)


def _wrong(field: str, expected: str, got: object) -> FormatError:
    return FormatError(f"the header: {field}: expected {expected}, got {got}")
