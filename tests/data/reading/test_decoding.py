"""Pictures: every mode of Pillow, and every depth, comes out by one rule."""

import io

import numpy as np
import pytest
from PIL import Image

from biva_tf.data.reading import pictures
from biva_tf.data.reading.notes import ReadingNotes
from biva_tf.data.reading.values import Unreadable, fitted

RNG = np.random.default_rng(0)
COLOUR = RNG.integers(0, 256, (6, 5, 3)).astype(np.uint8)
GREY = COLOUR[..., 0]


def _decoded(image, channels=3, kind="PNG", background=255, **options):
    file = io.BytesIO()
    image.save(file, kind, **options)
    notes = ReadingNotes()
    pixels = pictures.decode(file, channels, background=background, notes=notes, name="x")
    if not isinstance(pixels, Unreadable):
        pixels = fitted(pixels, pixels.shape)
    return pixels, [line.partition(":")[0] for line in notes.lines()]


def _grey(values):
    return np.repeat(values[..., np.newaxis], 3, axis=2)


def _with_alpha(pixels, alpha):
    return Image.fromarray(np.dstack([pixels, alpha]))


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "LA", "RGBA", "I;16"])
@pytest.mark.parametrize("channels", [1, 3])
def test_a_grey_picture_is_the_same_in_every_mode(mode, channels):
    pixels = np.uint8(GREY > 127) * 255 if mode == "1" else GREY
    if mode == "I;16":
        image = Image.fromarray(pixels.astype(np.uint16) * 257)
    else:
        image = Image.fromarray(pixels).convert(mode)
    found, said = _decoded(image, channels)
    np.testing.assert_array_equal(found, _grey(pixels)[..., :channels])
    assert said == []


@pytest.mark.parametrize(
    ("kind", "options", "exact"),
    [
        ("PNG", {}, True),
        ("BMP", {}, True),
        ("TIFF", {}, True),
        ("WEBP", {"lossless": True}, True),
        ("JPEG", {"quality": 100, "subsampling": 0}, False),
    ],
)
def test_every_format_is_read(kind, options, exact):
    found, said = _decoded(Image.fromarray(COLOUR), kind=kind, **options)
    np.testing.assert_allclose(np.int64(found), COLOUR, atol=0 if exact else 3)
    assert said == []
    grey, _ = _decoded(Image.fromarray(GREY), 1, kind="GIF")
    np.testing.assert_array_equal(grey[..., 0], GREY)


def test_transparent_parts_show_the_background():
    alpha = np.full(GREY.shape, 255, np.uint8)
    alpha[:3] = 0
    hidden = alpha[..., np.newaxis] == 0
    for background in (0, 90, 255):
        for image in (
            _with_alpha(COLOUR, alpha),
            _with_alpha(COLOUR, alpha).convert("RGBa"),
        ):
            if image.mode == "RGBa":
                image = image.convert("RGBA")
            found, said = _decoded(image, background=background)
            np.testing.assert_array_equal(found, np.where(hidden, background, COLOUR))
            assert said == [f"transparent parts show the background, {background}"]
    half = np.full(GREY.shape, 128, np.uint8)
    found, _ = _decoded(_with_alpha(_grey(0 * GREY), half), 1, background=255)
    np.testing.assert_allclose(np.int64(found), 127, atol=1)
    found, _ = _decoded(_with_alpha(GREY, alpha), 1)  # LA
    np.testing.assert_array_equal(found[..., 0], np.where(hidden[..., 0], 255, GREY))
    # One colour, or one entry of a palette, can be transparent too.
    for mode in ("L", "P"):
        found, said = _decoded(Image.fromarray(0 * GREY).convert(mode), 1, transparency=0)
        assert (found == 255).all() and said == ["transparent parts show the background, 255"]


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["PNG", "WEBP", "TIFF"])
def test_a_picture_is_turned_as_exif_says(orientation, kind):
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"lossless": True} if kind == "WEBP" else {}
    turns = {
        1: lambda x: x,
        2: lambda x: x[:, ::-1],
        3: lambda x: x[::-1, ::-1],
        4: lambda x: x[::-1],
        5: lambda x: x.swapaxes(0, 1),
        6: lambda x: x.swapaxes(0, 1)[:, ::-1],
        7: lambda x: x[::-1, ::-1].swapaxes(0, 1),
        8: lambda x: x.swapaxes(0, 1)[::-1],
    }
    expected = turns[orientation](COLOUR)
    found, said = _decoded(Image.fromarray(COLOUR), kind=kind, exif=exif, **options)
    np.testing.assert_array_equal(found, expected)
    assert said == (["turned, as EXIF says"] if orientation > 1 else [])
    file = io.BytesIO()
    Image.fromarray(COLOUR).save(file, kind, exif=exif, **options)
    assert pictures.size(file) == expected.shape[:2]


def test_cmyk_becomes_rgb_and_more_frames_are_left_out():
    red = np.zeros((6, 5, 3), np.uint8)
    red[..., 0] = 255
    found, said = _decoded(Image.fromarray(red).convert("CMYK"), kind="JPEG")
    np.testing.assert_allclose(np.int64(found), red, atol=3)
    assert said == ["CMYK made RGB"]
    frames = [Image.fromarray(np.full((6, 5), value, np.uint8)) for value in (0, 200)]
    for kind in ("GIF", "WEBP", "TIFF"):
        found, said = _decoded(frames[1], 1, kind, save_all=True, append_images=frames[:1])
        np.testing.assert_allclose(np.int64(found), 200, atol=2)
        assert said == ["the first of several frames is taken"]


def test_floats_and_large_integers_are_read_by_their_range():
    unit = np.float32(GREY / 255)
    found, _ = _decoded(Image.fromarray(unit), 1, "TIFF")
    np.testing.assert_array_equal(found[..., 0], unit)
    found, _ = _decoded(Image.fromarray(GREY.astype(np.int32) * 257), 1, "TIFF")
    np.testing.assert_array_equal(found[..., 0], GREY)
    found, _ = _decoded(Image.fromarray(GREY.astype(np.int32) - 300), 1, "TIFF")
    assert found.reason.startswith("expected values from 0 to 65535, got -29")


def test_what_is_no_picture_of_the_kind_is_unreadable_and_says_why(monkeypatch):
    file = io.BytesIO()
    Image.fromarray(COLOUR).save(file, "PNG")
    whole = file.getvalue()
    for content, reason in (
        (b"", "expected a picture (UnidentifiedImageError: of no known kind)"),
        (b"<html>404</html>", "expected a picture (UnidentifiedImageError: of no known kind)"),
        (whole[:60], "expected a picture ("),
        (whole[:-30], "expected a picture ("),
    ):
        found = pictures.decode(io.BytesIO(content), 3)
        assert found.reason.startswith(reason) and "\n" not in found.reason
    grey = pictures.decode(io.BytesIO(whole), 1)
    assert grey.reason == "expected a grey picture, got one in colour"
    # One of another size is not even decoded.
    monkeypatch.setattr(Image.Image, "load", None)
    other = pictures.decode(io.BytesIO(whole), 3, (28, 28))
    assert other.reason == "expected an image of 28x28x3, got 6x5x3"


def test_a_picture_of_more_pixels_than_pillow_warns_of_is_not_decoded(monkeypatch):
    file = io.BytesIO()
    Image.fromarray(COLOUR).save(file, "PNG")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 20)
    found = pictures.decode(file, 3)
    assert "DecompressionBomb" in found.reason
