"""What the segments of a JPEG file say before it is decoded: size, components, orientation."""

from typing import NamedTuple

import tensorflow as tf

_EXIF = list(b"Exif\0\0")
_ORIENTATION = 0x0112  # the tag of EXIF
_PADDING = 32  # zeros behind the bytes, so that nothing is read outside of them


class JpegHeader(NamedTuple):
    """Scalar int32 tensors.

    Attributes:
      height, width: of the stored picture, before it is turned; 0 if the file does not say.
      components: 1 of a grey picture, 3 of colours, 4 of CMYK.
      orientation: 1 to 8, as EXIF numbers them; 1 without EXIF.
    """

    height: tf.Tensor
    width: tf.Tensor
    components: tf.Tensor
    orientation: tf.Tensor


def header(encoded: tf.Tensor) -> JpegHeader:
    """The header of a JPEG file, a scalar string; inside a graph."""
    bytes_ = tf.io.decode_raw(encoded, tf.uint8)
    size = tf.size(bytes_)
    bytes_ = tf.concat([bytes_, tf.zeros([_PADDING], tf.uint8)], axis=0)

    def byte(at):
        return tf.cast(tf.gather(bytes_, tf.clip_by_value(at, 0, size + _PADDING - 1)), tf.int32)

    def word(at):
        return 256 * byte(at) + byte(at + 1)

    def going_on(at, frame, exif):
        return (at + 4 <= size) & (frame == 0) & (byte(at) == 0xFF)

    def next_segment(at, frame, exif):
        kind = byte(at + 1)
        is_frame = (kind >= 0xC0) & (kind <= 0xCF)  # its header has the size
        for other in (0xC4, 0xC8, 0xCC):
            is_frame &= kind != other
        is_exif = (kind == 0xE1) & tf.reduce_all(
            tf.cast(bytes_[at + 4 : at + 10], tf.int32) == _EXIF
        )
        is_end = (kind == 0xDA) | (kind == 0xD9)
        is_bare = (kind == 0x01) | ((kind >= 0xD0) & (kind <= 0xD7))
        step = tf.where(kind == 0xFF, 1, tf.where(is_bare, 2, 2 + word(at + 2)))
        return (
            tf.where(is_end, size, at + step),
            tf.where(is_frame, at, frame),
            tf.where(is_exif & (exif == 0), at + 10, exif),
        )

    start = (tf.constant(2), tf.constant(0), tf.constant(0))
    _, frame, exif = tf.while_loop(going_on, next_segment, start, parallel_iterations=1)
    frame = tf.where(frame + 10 <= size, frame, 0)
    found = tf.cast(frame > 0, tf.int32)
    return JpegHeader(
        height=found * word(frame + 5),
        width=found * word(frame + 7),
        components=found * byte(frame + 9),
        orientation=tf.cond(exif > 0, lambda: _orientation(bytes_, exif), lambda: 1),
    )


def _orientation(bytes_: tf.Tensor, base: tf.Tensor) -> tf.Tensor:
    """The orientation in the EXIF that begins at `base`."""
    greatest = tf.size(bytes_) - 4

    def numbers(at, count):
        at = tf.clip_by_value(at, 0, greatest)[..., tf.newaxis] + tf.range(count)
        values = tf.cast(tf.gather(bytes_, at), tf.int64)
        of_intel = bytes_[base] == ord("I")  # the lowest byte comes first
        values = tf.where(of_intel, values, values[..., ::-1])
        return tf.reduce_sum(values * 256 ** tf.range(count, dtype=tf.int64), axis=-1)

    first = tf.cast(tf.minimum(numbers(base + 4, 4), tf.cast(greatest, tf.int64)), tf.int32)
    directory = base + first
    count = tf.cast(numbers(directory, 2), tf.int32)
    entries = directory + 2 + 12 * tf.range(tf.minimum(count, 1000))
    is_orientation = (numbers(entries, 2) == _ORIENTATION) & (entries <= greatest - 12)
    values = tf.cast(numbers(entries + 8, 2), tf.int32)
    value = tf.reduce_max(tf.concat([tf.where(is_orientation, values, 0), [0]], axis=0))
    return tf.where((value >= 1) & (value <= 8), value, 1)


def turned(image: tf.Tensor, orientation: tf.Tensor) -> tf.Tensor:
    """An image [height, width, channels] as it is to be seen."""

    def transposed(image):
        return tf.transpose(image, (1, 0, 2))

    views = (
        lambda: image,
        lambda: image[:, ::-1],
        lambda: image[::-1, ::-1],
        lambda: image[::-1],
        lambda: transposed(image),
        lambda: transposed(image)[:, ::-1],
        lambda: transposed(image)[::-1, ::-1],
        lambda: transposed(image)[::-1],
    )
    return tf.switch_case(orientation - 1, views)
