"""Decodes pictures with Pillow, by one set of rules.

A picture is turned as EXIF says, and its transparent parts show a background. Of several frames it
is the first. Palettes, CMYK and the like become RGB; a model of grey images takes a picture whose
channels are equal, a model of colour images takes a grey one too.
"""

import contextlib
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import Image, ImageOps

from biva_tf.data.formats import BROKEN
from biva_tf.data.reading.notes import ReadingNotes
from biva_tf.data.reading.values import Unreadable, sizes
from biva_tf.model.pixels import BACKGROUND

_ORIENTATION = 0x0112  # the tag of EXIF
_TURNED = (5, 6, 7, 8)  # the orientations that change height and width
_BROKEN = (*BROKEN, Image.DecompressionBombWarning)
_PLAIN = ("1", "L", "P", "RGB")
_ALPHA = ("LA", "PA", "RGBA", "La", "RGBa")
_OF_FRAMES = ("GIF", "WEBP", "TIFF", "PNG")


def size(file: Path | BinaryIO) -> tuple[int, int] | Unreadable:
    """Height and width of a picture, as it is turned, by its header alone."""
    try:
        with _opened(file) as image:
            width, height = image.size
            # Of a TIFF file Pillow gives the sizes as it is turned.
            turned = image.format != "TIFF" and _orientation(image) in _TURNED
            return (width, height) if turned else (height, width)
    except _BROKEN as e:
        return _not_a_picture(e)


def decode(
    file: Path | BinaryIO,
    channels: int,
    expected: tuple[int, int] | None = None,
    *,
    background: int = BACKGROUND,
    notes: ReadingNotes | None = None,
    name: str = "",
) -> np.ndarray | Unreadable:
    """The pixels of a picture, [height, width, channels].

    Args:
      file: its path, or its content.
      channels: 1 for a grey picture, or 3.
      expected: height and width; a picture of another size is not decoded. None takes any.
      background: the grey value behind transparent pixels.
      notes: gets what was changed.
      name: the picture's name in the notes.

    Returns:
      uint8; uint16 of a grey picture of 16 bits; float32 of one of floats.
    """
    notes = notes or ReadingNotes()
    try:
        with _opened(file) as image:
            width, height = image.size
            if expected is not None and expected not in ((height, width), (width, height)):
                got = sizes((height, width, channels))
                return Unreadable(f"expected an image of {sizes((*expected, channels))}, got {got}")
            if image.format in _OF_FRAMES and getattr(image, "is_animated", False):
                notes.add("the first of several frames is taken", name)
                image.seek(0)
            upright = image
            if _orientation(image) in range(2, 9):
                notes.add("turned, as EXIF says", name)
                upright = ImageOps.exif_transpose(image)
            pixels = _converted(upright, background, notes, name)
    except _BROKEN as e:
        return _not_a_picture(e)
    if isinstance(pixels, Unreadable):
        return pixels
    if pixels.ndim == 2:
        return np.repeat(pixels[..., np.newaxis], channels, axis=2)
    if channels == 3:
        return pixels
    if not (pixels == pixels[..., :1]).all():
        return Unreadable("expected a grey picture, got one in colour")
    return pixels[..., :1]


@contextlib.contextmanager
def _opened(file: Path | BinaryIO) -> Iterator[Image.Image]:
    """Opens a picture; one that is very large is an error, as Pillow has it at twice the size."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of odd metadata, which does not change the pixels
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        with Image.open(file) as image:
            yield image


def _not_a_picture(e: BaseException) -> Unreadable:
    text = " ".join(str(e).split())
    if isinstance(e, Image.UnidentifiedImageError):
        text = "of no known kind"
    return Unreadable(f"expected a picture ({type(e).__name__}: {text})")


def _orientation(image: Image.Image) -> int:
    """The orientation, 1 if it is not turned."""
    # To look for one behind the pixels of a PNG file, Pillow would decode it.
    if image.format == "PNG" and not any("exif" in str(key).lower() for key in image.info):
        return 1
    try:
        return image.getexif().get(_ORIENTATION, 1)
    except (*_BROKEN, AttributeError, TypeError):  # a picture is shown whatever its EXIF is
        return 1


def _converted(
    image: Image.Image, background: int, notes: ReadingNotes, name: str
) -> np.ndarray | Unreadable:
    """The pixels: [h, w, 3], or [h, w] of a grey picture of more than 8 bits."""
    mode = image.mode
    if mode.startswith("I"):
        values = np.asarray(image)
        if mode == "I" and (values.min() < 0 or values.max() > 65535):
            return Unreadable(
                f"expected values from 0 to 65535, got {values.min()} to {values.max()}"
            )
        return values.astype(np.uint16)
    if mode == "F":
        return np.asarray(image, np.float32)
    if mode in _ALPHA or (mode in _PLAIN and "transparency" in image.info):
        layered = image.convert("RGBA")
        least, _ = layered.getchannel("A").getextrema()
        if least == 255:
            return np.asarray(layered.convert("RGB"))
        notes.add(f"transparent parts show the background, {background}", name)
        page = Image.new("RGBA", image.size, (background,) * 3 + (255,))
        return np.asarray(Image.alpha_composite(page, layered).convert("RGB"))
    if mode not in _PLAIN:
        notes.add(f"{mode} made RGB", name)
    return np.asarray(image.convert("RGB"))
