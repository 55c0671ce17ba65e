"""Encoded pictures in the graph of an export: what is taken, and what is refused unread."""

import functools
import io
import re
import struct
import zlib

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image, ImageOps

from biva_tf.serving import pictures


@functools.cache
def _graph(channels, of_bits):
    """A new graph, which TensorFlow has rewritten as it rewrites an export's."""
    return tf.function(
        lambda encoded: pictures.decoded(encoded, (8, 8, channels), of_bits),
        [tf.TensorSpec([None], tf.string)],
        autograph=False,
    ).get_concrete_function()


def _decoded(*contents, channels=1, of_bits=False):
    return _graph(channels, of_bits)(tf.constant(contents)).numpy()


def _refused(*contents, channels=1):
    with pytest.raises(tf.errors.InvalidArgumentError) as caught:
        _decoded(*contents, channels=channels)
    return caught.value.message


def _encoded(image, kind="PNG", **options):
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def _exif(orientation):
    exif = Image.Exif()
    exif[0x010F], exif[0x0112] = "maker", orientation
    return exif


def _png_that_claims(width, height):
    """A PNG of this size whose rows are missing."""

    def chunk(kind, data):
        check = struct.pack(">I", zlib.crc32(kind + data))
        return struct.pack(">I", len(data)) + kind + data + check

    size = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    rows = chunk(b"IDAT", zlib.compress(bytes(64)))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", size) + rows + chunk(b"IEND", b"")


def _jpeg_that_claims(width, height):
    content = _encoded(Image.new("L", (8, 8)), "JPEG")
    at = content.index(b"\xff\xc0") + 5
    return content[:at] + struct.pack(">HH", height, width) + content[at + 4 :]


_GREY = Image.fromarray(np.arange(0, 256, 4, dtype=np.uint8).reshape(8, 8))
_COLOUR = Image.merge("RGB", (_GREY, _GREY.transpose(Image.Transpose.ROTATE_90), _GREY))
_EXPECTED = "images_png: picture 1: expected a PNG or JPEG of 8x8 pixels (height x width), got "


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (_png_that_claims(20_000, 30_000), f"{_EXPECTED}a PNG of 30000x20000 pixels"),
        (_png_that_claims(2**32 - 1, 1), f"{_EXPECTED}a PNG of 1x2147483647 pixels"),
        (_jpeg_that_claims(60_000, 50_000), f"{_EXPECTED}a JPEG of 50000x60000 pixels"),
        (b"", f"{_EXPECTED}nothing"),
        (b"no picture", f"{_EXPECTED}bytes of another kind"),
        (b"\xff\xd8\xff", f"{_EXPECTED}a JPEG of 0x0 pixels"),
        (_encoded(_GREY, "GIF"), f"{_EXPECTED}a GIF"),
        (_encoded(_GREY, "WEBP"), f"{_EXPECTED}a WebP"),
        (_encoded(_GREY, "BMP"), f"{_EXPECTED}a BMP"),
        (_encoded(_GREY.convert("CMYK"), "JPEG"), f"{_EXPECTED}a JPEG of 8x8 pixels in CMYK"),
        (_encoded(_COLOUR), "picture 1: expected a grey picture, got one in colour"),
        (
            _encoded(Image.merge("LA", (_GREY, _GREY))),
            "picture 1: expected no transparent pixels, got some; compose it on a background",
        ),
    ],
)
def test_a_picture_that_is_not_taken_is_named(content, message):
    assert message in _refused(_encoded(_GREY), content)


def test_pictures_of_every_kind_are_read_as_pillow_reads_them():
    contents = [
        _encoded(_COLOUR),
        _encoded(_COLOUR.quantize(16)),
        _encoded(_COLOUR.convert("RGBA")),
        _encoded(_GREY),
        _encoded(_GREY.convert("LA")),
        _encoded(_GREY.convert("1")),
    ]
    expected = [Image.open(io.BytesIO(content)).convert("RGB") for content in contents]
    np.testing.assert_array_equal(_decoded(*contents, channels=3), np.stack(expected))
    grey = [_GREY, _GREY.convert("RGB"), _GREY.convert("P"), _GREY.convert("RGBA")]
    found = _decoded(*map(_encoded, grey))
    assert (found[..., 0] == np.asarray(_GREY)).all()


def test_sixteen_bits_become_the_nearest_of_eight():
    values = np.random.default_rng(0).integers(0, 65536, (8, 8)).astype(np.uint16)
    values[0, :4] = 0, 65535, 128, 129
    found = _decoded(_encoded(Image.fromarray(values)))[0, ..., 0]
    np.testing.assert_array_equal(found, np.rint(values / 257))


def test_zeros_and_ones_are_black_and_white_to_a_binary_model():
    bits = np.eye(8, dtype=np.uint8)
    for kind in (bits, bits * 255, bits.astype(bool)):
        found = _decoded(_encoded(Image.fromarray(kind)), of_bits=True)
        np.testing.assert_array_equal(found[0, ..., 0], bits * 255)
    found = _decoded(_encoded(Image.fromarray(bits)))
    np.testing.assert_array_equal(found[0, ..., 0], bits)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_jpeg_is_turned_as_every_viewer_turns_it(orientation):
    def content(image, orientation):
        return _encoded(image, "JPEG", exif=_exif(orientation), quality=95)

    shown = Image.fromarray(_decoded(content(_COLOUR, 1), channels=3)[0])
    shown.getexif()[0x0112] = orientation
    found = _decoded(content(_COLOUR, orientation), channels=3)[0]
    np.testing.assert_array_equal(found, ImageOps.exif_transpose(shown))
    size = "8x4" if orientation >= 5 else "4x8"  # of the picture as it is shown
    flat = content(_COLOUR.resize((8, 4)), orientation)
    assert f"got a JPEG of {size} pixels" in _refused(flat, channels=3)


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_a_damaged_picture_is_refused_or_read(kind):
    """Cut anywhere, or with another byte in its header: nothing but an answer or an error of it."""
    options = {"exif": _exif(6)} if kind == "JPEG" else {}
    content = _encoded(_GREY, kind, **options)
    rng = np.random.default_rng(1)
    damaged = [content[:end] for end in range(1, len(content) - 1, 5)]
    for at in rng.integers(0, min(len(content), 200), 100):
        damaged.append(content[:at] + bytes([rng.integers(256)]) + content[at + 1 :])
    outcomes = set()
    for one in damaged:
        try:
            _decoded(one)
            outcomes.add("read")
        except tf.errors.InvalidArgumentError as e:
            assert re.search(r"images_png: picture 0: expected|[Ii]nvalid|JPEG|PNG", e.message)
            outcomes.add("refused")
    assert "refused" in outcomes
