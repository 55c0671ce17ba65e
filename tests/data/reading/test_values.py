"""What numbers mean."""

import numpy as np
import pytest

from biva_tf.data.reading import inputs
from biva_tf.data.reading.inputs import Reading
from biva_tf.data.reading.notes import ReadingNotes
from biva_tf.data.reading.values import Scale, Unreadable, fitted
from biva_tf.data.sources import DataError

SHAPE = (6, 5, 1)
RNG = np.random.default_rng(0)
GREY = RNG.integers(0, 256, (7, *SHAPE)).astype(np.uint8)
BITS = (RNG.random((7, *SHAPE)) < 0.3).astype(np.uint8)


def _read(tmp_path, array, shape=SHAPE):
    path = tmp_path / "x.npy"
    np.save(path, array)
    notes = ReadingNotes()
    images, bits = inputs.images(str(path), Reading(), shape, notes)
    return images, bits, [line.partition(":")[0] for line in notes.lines()]


@pytest.mark.parametrize("dtype", ["uint8", "int8", "uint16", "int32", "int64", "uint64"])
def test_integers_0_and_1_alone_are_binary_images(dtype, tmp_path):
    images, bits, said = _read(tmp_path, BITS.astype(dtype))
    np.testing.assert_array_equal(images, BITS * 255)
    assert images.dtype == np.uint8 and bits
    assert said == ["taken as binary images, since all values are integers 0 and 1"]


@pytest.mark.parametrize(
    ("array", "expected", "said"),
    [
        (GREY, GREY, None),
        (GREY.astype(np.int64), GREY, None),
        (BITS > 0, BITS * 255, None),
        (0 * GREY, 0 * GREY, None),
        (np.float64(GREY / 255), np.float32(GREY / 255), None),
        (BITS.astype(np.float16), BITS, None),
        (GREY.astype(np.uint16) * 257, GREY, "16-bit values, divided by 257"),
        (GREY.astype(np.uint16), GREY, "16-bit values taken as 0 to 255, since none is larger"),
        (
            GREY.astype(np.int32) * 257,
            GREY,
            "values above 255 taken as 16-bit ones, and divided by 257",
        ),
    ],
)
def test_the_type_of_numbers_and_their_values_tell_their_range(array, expected, said, tmp_path):
    images, bits, found = _read(tmp_path, array)
    np.testing.assert_array_equal(images, expected)
    assert images.dtype == (np.float32 if array.dtype.kind == "f" else np.uint8)
    assert not bits and found == ([said] if said else [])


def test_sixteen_bits_are_rounded():
    values = np.array([0, 128, 129, 256, 385, 386, 65535], np.uint16).reshape(1, 7)
    np.testing.assert_array_equal(fitted(values, (1, 7, 1)).ravel(), [0, 0, 1, 1, 1, 2, 255])


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (GREY.astype(np.float64), "values from 0 to 1, got 0.0 to 248.0; divide by 255, or write"),
        (BITS * 2.0 - 1, "values from 0 to 1, got -1.0 to 1.0; add 1 and halve"),
        (np.full(GREY.shape, np.nan), "values from 0 to 1, got nan to nan"),
        (GREY.astype(np.int16) - 300, "expected values from 0 to 255, got -"),
        (GREY.astype(np.int64) + 2**20, "expected values from 0 to 65535, got 10"),
    ],
)
def test_other_numbers_are_refused_and_the_message_says_what_to_do(array, message, tmp_path):
    with pytest.raises(DataError) as e:
        _read(tmp_path, array)
    assert message in str(e.value)


def test_a_mixture_of_ranges_is_an_error_that_names_two_images(tmp_path):
    mixed = np.concatenate([BITS, GREY])
    with pytest.raises(DataError) as e:
        _read(tmp_path, mixed)
    assert "x.npy, row 0 has only the values 0 and 1, but" in str(e.value)
    assert "x.npy, row 7 has larger ones: expected images of one range" in str(e.value)
    # In black and white ones it is an error however few they are.
    with pytest.raises(DataError, match="expected images of one range"):
        _read(tmp_path, np.concatenate([np.tile(BITS, (40, 1, 1, 1)) * 255, BITS[:1]]))


def test_a_picture_among_many_grey_ones_may_be_almost_black(tmp_path):
    many = np.concatenate([np.tile(GREY, (40, 1, 1, 1)), BITS[:1]])
    images, bits, said = _read(tmp_path, many)
    np.testing.assert_array_equal(images, many)
    assert not bits
    assert said == ["taken as almost black, though the values are 0 and 1 alone"]


def test_the_layout_is_told_by_the_shape(tmp_path):
    colour = RNG.integers(0, 256, (4, 6, 5, 3)).astype(np.uint8)
    shape = colour.shape[1:]
    for array, expected in (
        (colour, []),
        (np.moveaxis(colour, 3, 1), ["channels are the first axis, and made the last"]),
        (
            colour.reshape(4, -1),
            ["values in a row taken as height, width, channels in this order"],
        ),
    ):
        images, _, said = _read(tmp_path, array, shape)
        np.testing.assert_array_equal(images, colour)
        assert said == expected
    for grey in (GREY[..., 0], GREY.reshape(7, -1), np.moveaxis(GREY, 3, 1)):
        np.testing.assert_array_equal(_read(tmp_path, grey)[0], GREY)
    square = RNG.integers(0, 256, (4, 3, 3, 3)).astype(np.uint8)
    images, _, said = _read(tmp_path, square, (3, 3, 3))
    np.testing.assert_array_equal(images, square)
    assert said == ["channels taken as the last axis, though the first fits too"]
    with pytest.raises(DataError, match=r"expected an image of 6x5x1, got 5x6x1 \(and 6 more"):
        _read(tmp_path, GREY.swapaxes(1, 2))


def test_values_that_no_pixel_can_have_are_unreadable():
    for value in ("a", 256, -1, 1.5, np.nan, 1j, None):
        assert isinstance(fitted(np.full(SHAPE, value), SHAPE), Unreadable)
    assert isinstance(fitted(GREY[0], SHAPE, Scale(bits=True)), Unreadable)
