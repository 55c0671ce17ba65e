"""Arrays in files: the header is believed only as far as the file goes."""

import io
import struct
import zipfile

import numpy as np
import pytest

from biva_tf.data.reading import arrays, inputs
from biva_tf.data.reading.inputs import Reading
from biva_tf.data.reading.notes import ReadingNotes
from biva_tf.data.sources import DataError

SHAPE = (6, 5, 1)
GREY = np.random.default_rng(0).integers(0, 256, (7, *SHAPE)).astype(np.uint8)


def _images(path, column=None, shape=SHAPE):
    notes = ReadingNotes()
    images, _ = inputs.images(str(path), Reading(column), shape, notes)
    return images, notes.lines()


def _npy(header, content=b"", version=b"\x01\x00"):
    text = header.encode()
    size = struct.pack("<H" if version[:1] == b"\x01" else "<I", len(text))
    return b"\x93NUMPY" + version + size + text + content


def _said(shape="(4, 6, 5, 1)", descr="'|u1'", order="False"):
    return f"{{'descr': {descr}, 'fortran_order': {order}, 'shape': {shape}, }}"


def _zipped(path, content, **member):
    with zipfile.ZipFile(path, "w", **member) as archive:
        archive.writestr("images.npy", content)


def test_all_ways_to_save_an_array_give_the_same_images(tmp_path):
    np.save(tmp_path / "plain.npy", GREY)
    np.save(tmp_path / "flat.npy", GREY.reshape(7, 30))
    np.save(tmp_path / "grey.npy", GREY[..., 0])
    np.save(tmp_path / "columns.npy", np.asfortranarray(GREY))
    np.save(tmp_path / "big.npy", GREY.astype(">i4"))
    np.savez(tmp_path / "x.npz", images=GREY)
    np.savez_compressed(tmp_path / "packed.npz", images=np.asfortranarray(GREY))
    np.savez(tmp_path / "one.npz", GREY)  # named arr_0
    with open(tmp_path / "named.npz", "wb") as file:
        np.save(file, GREY)
    with open(tmp_path / "named.npy", "wb") as file:
        np.savez(file, images=GREY)
    for path in sorted(tmp_path.iterdir()):
        images, said = _images(path)
        np.testing.assert_array_equal(images, GREY, err_msg=path.name)
        expected = [f"its only array is taken, `arr_0`: {path}"] if "one" in path.name else []
        assert said == expected
    rows = arrays.ArrayRows.from_file(tmp_path / "columns.npy", None, ReadingNotes())
    np.testing.assert_array_equal(list(rows.part(2, 6).part(1, 3).read(SHAPE)), GREY[3:5])


def test_an_array_of_another_name_is_chosen(tmp_path):
    path = tmp_path / "x.npz"
    np.savez(path, x_train=GREY, y_train=np.zeros(7))
    with pytest.raises(DataError) as e:
        _images(path)
    assert e.value.with_flags() == (
        f"{path}: expected the array `images`, it has x_train [7, 6, 5, 1] of uint8, "
        "y_train [7] of float64; choose one with --column"
    )
    np.testing.assert_array_equal(_images(path, "x_train")[0], GREY)


WRONG = {
    "700 GB": (
        _npy(_said("(1000000000, 28, 28, 1)"), bytes(784)),
        "784,000,000,000 bytes, but 7",
    ),
    "too short": (_npy(_said(), bytes(100)), "which is 120 bytes, but 100 are there"),
    "negative": (_npy(_said("(-4, -6, 5, 1)"), bytes(200)), "a length below 0"),
    "lengths that overflow": (_npy(_said("(4294967296, 4294967296)")), "bytes, but 0 are there"),
    "strings": (_npy(_said(descr="'<U3'"), bytes(2000)), "of <U3, not an array of numbers"),
    "structs": (_npy(_said(descr="[('a', '|u1')]"), bytes(2000)), "not an array of numbers"),
    "structs of UTF-8": (_npy(_said(), b"", b"\x03\x00"), "a header of version 3.0, not an array"),
    "objects": (_npy(_said(descr="'|O'"), bytes(2000)), "of object, not an array of numbers"),
    "complex": (_npy(_said(descr="'<c8'"), bytes(2000)), "of complex64, not an array of numbers"),
    "dates": (_npy(_said(descr="'<M8[s]'"), bytes(2000)), "not an array of numbers"),
    "one axis": (_npy(_said("(120,)"), bytes(120)), "got images [120] of uint8, not an array"),
    "no header": (_npy("nonsense"), "a header that cannot be read"),
    "a long header": (_npy(" " * 60_000), "a header that cannot be read"),
    "nested": (_npy("(" * 9000), "a header that cannot be read"),
    "a number of bytes": (b"\x93NUMPY\x01", "EOF: reading magic string"),
    "a pickle": (b"\x80\x04K\x01.....", "the magic string is not correct"),
}


@pytest.mark.parametrize("what", WRONG)
def test_a_wrong_header_is_one_line_that_says_what_is_wanted(what, tmp_path):
    content, message = WRONG[what]
    _zipped(tmp_path / "x.npz", content)
    (tmp_path / "x.npy").write_bytes(content)
    for name in ("x.npz", "x.npy"):
        with pytest.raises(DataError) as e:
            _images(tmp_path / name)
        text = str(e.value)
        assert text.startswith(f"{tmp_path / name}: expected ") and "\n" not in text
        if name == "x.npz":
            assert "the array `images`" in text and message in text


def test_a_damaged_archive_is_one_line(tmp_path):
    path = tmp_path / "x.npz"
    content = io.BytesIO()
    np.savez_compressed(content, images=GREY)
    whole = content.getvalue()
    flipped = bytearray(whole)
    flipped[120] ^= 255
    for damaged in (b"", b"PK", whole[:-30], whole[: len(whole) // 2], bytes(flipped)):
        path.write_bytes(damaged)
        with pytest.raises(DataError, match=r"x\.npz: expected ") as e:
            _images(path)
        assert "\n" not in str(e.value)


def test_an_archive_that_lies_about_its_length_is_refused(tmp_path):
    path = tmp_path / "x.npz"
    _zipped(path, _npy(_said("(4000, 6, 5, 1)"), bytes(120_000)), compression=zipfile.ZIP_DEFLATED)
    content = bytearray(path.read_bytes())
    place = content.rindex(b"PK\x01\x02") + 24  # the length in the archive's directory
    content[place : place + 4] = struct.pack("<I", 500)
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"x\.npz: expected the array `images` \(BadZip"):
        _images(path)


def test_an_archive_that_unpacks_to_far_more_than_images_do_is_refused(tmp_path, monkeypatch):
    path = tmp_path / "x.npz"
    _zipped(path, _npy(_said("(4000, 6, 5, 1)"), bytes(120_000)), compression=zipfile.ZIP_DEFLATED)
    assert len(_images(path)[0]) == 4000  # small as it is
    monkeypatch.setattr(arrays, "_LARGE", 100_000)
    with pytest.raises(DataError, match=r"bytes that unpack to 120,000: too many to be images"):
        _images(path)


def test_more_images_than_fit_into_memory_are_refused_before_they_are_read(tmp_path):
    path = tmp_path / "x.npy"
    number = 10**13
    with open(path, "wb") as file:
        file.write(_npy(_said(f"({number}, 6, 5, 1)")))
    rows = arrays.ArrayRows(path, "", 0, number)
    assert len(rows) == number
    with pytest.raises(ValueError, match=r"have to fit into half of the memory"):
        arrays.check_memory(30 * number)


def test_an_array_without_images_is_one_line(tmp_path):
    np.save(tmp_path / "x.npy", GREY[:0])
    with pytest.raises(DataError, match=r"x\.npy: expected images, found none"):
        _images(tmp_path / "x.npy")
