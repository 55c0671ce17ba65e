"""Encoded pictures in a graph. What the header says is checked before a picture is decoded.

PNG and JPEG are taken, of the model's size. 16 bits become 8 (value / 257, rounded), palettes their
colours; a grey picture is one of three equal channels, and the other way round; what EXIF says of a
JPEG turns it. Transparent pixels and CMYK are refused.
"""

from typing import NamedTuple

import tensorflow as tf

from biva_tf.data.grey import GreyRule
from biva_tf.model.spec import ModelSpec
from biva_tf.serving import jpeg
from biva_tf.serving.graph_checks import checked

_NAME = "images_png"
_PNG, _JPEG, _OTHER = 0, 1, 2
_HEADER = 33  # bytes: the signature of a PNG and its first chunk, IHDR
_OTHERS = ((b"GIF8", "a GIF"), (b"RIFF", "a WebP"), (b"BM", "a BMP"), (b"II*", "a TIFF"))


class _PictureHeader(NamedTuple):
    """What is known of a picture before it is decoded, scalar int32 tensors.

    Attributes:
      format: _PNG, _JPEG or _OTHER.
      height, width: as it is to be seen.
      bits: per channel.
      components: of a JPEG; else 0.
      orientation: as in `jpeg.JpegHeader`.
    """

    format: tf.Tensor
    height: tf.Tensor
    width: tf.Tensor
    bits: tf.Tensor
    components: tf.Tensor
    orientation: tf.Tensor


def as_read(encoded: tf.Tensor, spec: ModelSpec, grey: GreyRule | None) -> tf.Tensor:
    """Pictures as a model reads them, float32 [n, *spec.image_shape] in [0, 1].

    Args:
      encoded: the content of PNG and JPEG files, strings [n].
      spec: the model's spec.
      grey: how a binary model reads grey pictures; None if it takes none.
    """
    binary = spec.likelihood.binary
    pixels = decoded(encoded, spec.image_shape, binary)
    if not binary:
        return tf.cast(pixels, tf.float32) / 255.0
    if grey is not None:
        return grey.read_in_graph(pixels, tf.range(tf.size(encoded, tf.int64)))
    pixels = checked(
        pixels,
        tf.reduce_all((pixels == 0) | (pixels == 255)),
        f"{_NAME}: expected black and white pictures, as the model's data are, got grey ones",
    )
    return tf.cast(pixels == 255, tf.float32)


def decoded(encoded: tf.Tensor, image_shape: tuple[int, int, int], of_bits: bool) -> tf.Tensor:
    """Pictures, strings [n], as uint8 [n, *image_shape].

    Args:
      encoded: the content of PNG and JPEG files.
      image_shape: (height, width, channels).
      of_bits: whether a picture of 8 bits with the values 0 and 1 alone is black and white.
    """

    def decode(one):
        content, index = one
        header = _header(content)
        content = _refused(content, index, header, image_shape)
        pixels = _pixels(content, header)
        pixels = _with_channels(pixels, index, image_shape)
        if of_bits:
            pixels = tf.where(tf.reduce_all(pixels <= 1), 255 * pixels, pixels)
        return tf.ensure_shape(pixels, image_shape)

    indices = tf.range(tf.size(encoded))
    spec = tf.TensorSpec(image_shape, tf.uint8)
    return tf.map_fn(decode, (encoded, indices), fn_output_signature=spec)


def _header(content: tf.Tensor) -> _PictureHeader:
    raw = tf.io.decode_raw(tf.strings.substr(content, 0, _HEADER), tf.uint8)
    raw = tf.cast(tf.concat([raw, tf.zeros([_HEADER], tf.uint8)], axis=0)[:_HEADER], tf.int32)
    is_png = _has(raw, 0, b"\x89PNG\r\n\x1a\n") & _has(raw, 12, b"IHDR")
    is_jpeg = _has(raw, 0, b"\xff\xd8\xff")
    one, zero = tf.constant(1), tf.constant(0)

    def of_png():
        return _PictureHeader(
            tf.constant(_PNG), _number(raw, 20), _number(raw, 16), raw[24], zero, one
        )

    def of_jpeg():
        found = jpeg.header(content)
        sizes = found.height, found.width
        lying = found.orientation >= 5
        height, width = (tf.where(lying, *pair) for pair in (sizes[::-1], sizes))
        bits = tf.constant(8)
        return _PictureHeader(
            tf.constant(_JPEG), height, width, bits, found.components, found.orientation
        )

    def of_other():
        return _PictureHeader(tf.constant(_OTHER), zero, zero, zero, zero, one)

    return tf.cond(is_png, of_png, lambda: tf.cond(is_jpeg, of_jpeg, of_other))


def _number(raw: tf.Tensor, at: int) -> tf.Tensor:
    """Four bytes as a number; one that is no size, above 2^31 - 1, is 2^31 - 1."""
    value = tf.reduce_sum(tf.cast(raw[at : at + 4], tf.int64) * [1 << 24, 1 << 16, 1 << 8, 1])
    return tf.cast(tf.minimum(value, tf.int32.max), tf.int32)


def _has(raw: tf.Tensor, at: int, expected: bytes) -> tf.Tensor:
    return tf.reduce_all(raw[at : at + len(expected)] == list(expected))


def _refused(
    content: tf.Tensor, index: tf.Tensor, header: _PictureHeader, shape: tuple[int, int, int]
) -> tf.Tensor:
    """The content; an error of the graph if the header is not that of a picture that is taken."""
    height, width, _ = shape
    fits = (header.format != _OTHER) & (header.height == height) & (header.width == width)
    fits &= header.components <= 3

    def what():
        got = tf.where(tf.strings.length(content) == 0, "nothing", "bytes of another kind")
        for signature, name in _OTHERS:
            same = tf.strings.substr(content, 0, len(signature)) == signature
            got = tf.where(same, name, got)
        known = tf.strings.format("{}x{} pixels", (header.height, header.width))
        is_png = header.format == _PNG
        known = tf.strings.join([tf.where(is_png, "a PNG of ", "a JPEG of "), known])
        known = tf.strings.join([known, tf.where(header.components == 4, " in CMYK", "")])
        got = tf.where(header.format == _OTHER, got, known)
        expected = f"a PNG or JPEG of {height}x{width} pixels (height x width)"
        return tf.strings.join(
            [f"{_NAME}: picture ", tf.strings.as_string(index), f": expected {expected}, got ", got]
        )

    message = tf.cond(fits, lambda: "", what)
    with tf.control_dependencies([tf.debugging.Assert(fits, [message])]):
        return tf.identity(content)


def _pixels(content: tf.Tensor, header: _PictureHeader) -> tf.Tensor:
    """uint8 [height, width, 1 to 4], of any number of channels."""

    def of_8_bits():
        return tf.io.decode_png(content)

    def of_16_bits():
        wide = tf.cast(tf.io.decode_png(content, dtype=tf.uint16), tf.int32)
        return tf.cast((wide + 128) // 257, tf.uint8)

    def of_jpeg():
        return jpeg.turned(tf.io.decode_jpeg(content), header.orientation)

    def of_png():
        return tf.cond(header.bits == 16, of_16_bits, of_8_bits)

    return tf.cond(header.format == _JPEG, of_jpeg, of_png)


def _with_channels(pixels: tf.Tensor, index: tf.Tensor, shape: tuple[int, int, int]) -> tf.Tensor:
    """The pixels with the model's number of channels."""
    channels = shape[-1]
    found = tf.shape(pixels)[2]
    if channels not in (1, 3):
        message = f"{_NAME}: picture {{}}: expected {channels} channels, got {{}}"
        return checked(pixels, found == channels, message, index, found)
    has_alpha = found % 2 == 0
    pixels = checked(
        pixels,
        tf.logical_not(has_alpha) | tf.reduce_all(pixels[..., -1] == 255),
        f"{_NAME}: picture {{}}: expected no transparent pixels, got some; compose it on a "
        "background",
        index,
    )
    colours = pixels[..., : found - tf.cast(has_alpha, tf.int32)]
    if channels == 3:
        return tf.broadcast_to(colours, shape)
    grey = colours[..., :1]
    message = f"{_NAME}: picture {{}}: expected a grey picture, got one in colour"
    return checked(grey, tf.reduce_all(colours == grey), message, index)
