"""Headers with right checksums and wrong fields: each is refused in a line that names the field."""

import dataclasses
import struct
import zlib

import numpy as np
import pytest

from biva_tf.compression import header as headers
from biva_tf.compression.header import CompressionError, FormatError, Header, PixelForm

HEADER = Header(
    model=b"12345678",
    images=5,
    image_shape=(28, 28, 1),
    form=PixelForm.BYTES,
    rows=32,
    block=3,
    seed=7,
    threads=1,
    exponents=(-2, 0, 1),
    versions="tensorflow 2",
)
FIELDS = struct.Struct("<8sQHHBBHIIHH")
NAMES = (
    *("model", "images", "height", "width", "channels", "form", "rows", "block", "seed"),
    *("threads", "latents"),
)
REST = HEADER.pack()[7 + FIELDS.size : -4]


def _forged(rest=REST, **fields):
    """The bytes of the header with other fields, and the right length and checksum."""
    values = dict(zip(NAMES, FIELDS.unpack(HEADER.pack()[7 : 7 + FIELDS.size]), strict=True))
    return _sealed(FIELDS.pack(*(values | fields).values()) + rest)


def _sealed(fields, version=1):
    content = b"BIVA" + bytes([version]) + struct.pack("<H", len(fields)) + fields
    return content + struct.pack("<I", zlib.crc32(content))


def test_the_header_is_read():
    for version in headers.FORMATS:
        header = dataclasses.replace(HEADER, format=version)
        assert headers.read(header.pack() + b"more") == (header, len(header.pack()))
    assert _forged() == HEADER.pack()


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (_forged(images=0), "images: expected 1 or more, got 0"),
        (_forged(height=0), r"image_shape: expected sizes of 1 or more, got \(0, 28, 1\)"),
        (_forged(channels=0), r"image_shape: expected sizes of 1 or more, got \(28, 28, 0\)"),
        (_forged(form=3), "form: expected 0 to 2, got 3"),
        (_forged(rows=0), "rows: expected 1 to 1024, got 0"),
        (_forged(rows=65535), "rows: expected 1 to 1024, got 65535"),
        (_forged(block=0), "block: expected 1 or more, got 0"),
        (_forged(threads=0), "threads: expected 1 to 1024, got 0"),
        (_forged(threads=65535), "threads: expected 1 to 1024, got 65535"),
        (_forged(latents=65535), "latents: expected at most 15 in this header, got 65535"),
        (_forged(b"\x80\x00\x7f"), "exponents: expected -64 to 64, got -128, 127"),
        (_forged(b"\0\0\0\xff\xfe"), r"versions: expected text in UTF-8, got b'\\xff\\xfe'"),
        (_forged(b"\0\0\0a\nb"), r"versions: expected printable text, got 'a\\nb'"),
        (_sealed(b""), "length: expected 36 or more, got 0"),
        (_sealed(bytes(35)), "length: expected 36 or more, got 35"),
    ],
)
def test_a_wrong_field_is_named(data, message):
    with pytest.raises(FormatError, match=f"^the header: {message}$"):
        headers.read(data)


def _check(header, binary=True):
    header.check_model(HEADER.model, HEADER.image_shape, len(HEADER.exponents), binary=binary)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model": b"87654321"}, "the file was made with another model, whose hash is 38373635"),
        (
            {"image_shape": (14, 28, 1)},
            r"the header: image_shape: expected the model's \(28, 28, 1\), got \(14, 28, 1\)",
        ),
        ({"exponents": (1, 2)}, "the header: latents: expected the model's 3, got 2"),
        ({"form": PixelForm.BITS}, "the header: form: expected one of 8-bit images, got BITS"),
    ],
)
def test_a_field_that_contradicts_the_model_is_named(changes, message):
    _check(HEADER, binary=False)
    with pytest.raises(CompressionError, match=f"^{message}"):
        _check(dataclasses.replace(HEADER, **changes), binary=False)


def test_a_binary_model_has_every_form():
    for form in PixelForm:
        _check(dataclasses.replace(HEADER, form=form))


def test_random_headers_are_right_or_one_line():
    """Whatever the fields say, a header that is read has values that a file can have."""
    rng, read = np.random.default_rng(0), 0
    own = HEADER.pack()[7:-4]
    for _ in range(5000):
        fields = bytearray(own[: rng.integers(28, len(own) + 1)])
        for _ in range(rng.integers(1, 4)):
            at = int(rng.integers(0, len(fields)))
            fields[at] = int(rng.choice([0, 1, 127, 128, 255, rng.integers(256)]))
        try:
            header, _ = headers.read(_sealed(bytes(fields), int(rng.integers(1, 3))))
            header.check_model(header.model, HEADER.image_shape, 3, binary=True)
        except CompressionError as e:
            assert "\n" not in str(e) and len(str(e)) < 200
            continue
        read += 1
        assert header.images >= 1 and header.image_shape == HEADER.image_shape
        assert 1 <= header.rows <= max(header.images, 1024) and header.blocks >= 1
    assert read > 100
