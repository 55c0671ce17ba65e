"""Columns of Parquet files."""

import io

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from biva_tf.data.reading import inputs
from biva_tf.data.reading.inputs import Reading
from biva_tf.data.reading.notes import ReadingNotes
from biva_tf.data.reading.values import Unreadable
from biva_tf.data.sources import DataError

SHAPE = (6, 5, 1)
RNG = np.random.default_rng(0)
GREY = RNG.integers(0, 256, (7, *SHAPE)).astype(np.uint8)
COLOUR = RNG.integers(0, 256, (7, 6, 5, 3)).astype(np.uint8)


def _png(image):
    content = io.BytesIO()
    Image.fromarray(image[..., 0]).save(content, "PNG")
    return content.getvalue()


def _found(tmp_path, column, shape=SHAPE, name="image"):
    path = tmp_path / "t.parquet"
    pq.write_table(pa.table({name: column}), path, row_group_size=3)
    notes = ReadingNotes()
    rows, _ = inputs.find(str(path), Reading(), shape, notes)
    return [image for each in rows for image in each.read(shape)], notes.lines()


ENCODED = [_png(image) for image in GREY]
COLUMNS = {
    "dictionary": pa.array([*ENCODED[:6], ENCODED[6]]).dictionary_encode(),
    "view": pa.array(ENCODED, pa.binary_view()),
    "large": pa.array(ENCODED, pa.large_binary()),
    "fixed": pa.array([image.tobytes() for image in GREY], pa.binary(30)),
    "struct": pa.array([{"bytes": each} for each in ENCODED]),
    "lists of bytes": pa.array([image.ravel().tolist() for image in GREY], pa.list_(pa.uint8())),
    "large lists": pa.array(GREY[..., 0].tolist(), pa.large_list(pa.list_(pa.int32()))),
    "16 bits": pa.array((GREY.reshape(7, 30).astype(int) * 257).tolist(), pa.list_(pa.uint16())),
}


@pytest.mark.parametrize("kind", COLUMNS)
def test_every_type_of_column_gives_the_same_images(kind, tmp_path):
    images, _ = _found(tmp_path, COLUMNS[kind])
    np.testing.assert_array_equal(images, GREY)
    # A column of another name, if it is alone.
    images, said = _found(tmp_path, COLUMNS[kind], name="scan")
    np.testing.assert_array_equal(images, GREY)
    assert f"its only column is taken, 'scan': {tmp_path / 't.parquet'}" in said


def test_nested_lists_have_a_layout(tmp_path):
    shape = COLOUR.shape[1:]
    last = pa.array(COLOUR.tolist(), pa.list_(pa.list_(pa.list_(pa.uint8()))))
    first = pa.array(np.moveaxis(COLOUR, 3, 1).tolist(), pa.list_(pa.list_(pa.list_(pa.uint8()))))
    tensor = pa.FixedShapeTensorArray.from_numpy_ndarray(COLOUR)
    for column in (last, first, tensor):
        images, _ = _found(tmp_path, column, shape)
        np.testing.assert_array_equal(images, COLOUR)
    ragged = COLOUR[..., 0].tolist()
    ragged[2][1], ragged[2][2] = ragged[2][1][:4], [*ragged[2][2], 1]
    images, _ = _found(tmp_path, pa.array(ragged))
    assert images[2] == Unreadable("expected rows of one length, got several")
    assert sum(isinstance(image, Unreadable) for image in images) == 1


def test_pictures_can_be_named_by_paths_beside_the_table_or_above(tmp_path):
    for folder, kind in (("t/pictures", str), ("pictures", dict)):
        (tmp_path / folder).mkdir(parents=True)
        names = []
        for i, content in enumerate(ENCODED):
            (tmp_path / folder / f"{i}.png").write_bytes(content)
            names.append(f"pictures/{i}.png")
        names[3] = "pictures/missing.png"
        if kind is dict:
            names = [{"bytes": None, "path": name} for name in names]
        images, _ = _found(tmp_path / "t", pa.array(names))
        reason = "expected the picture pictures/missing.png beside the table or one folder above, "
        assert images.pop(3) == Unreadable(f"{reason}found none")
        np.testing.assert_array_equal(images, np.delete(GREY, 3, axis=0))
        for path in (tmp_path / folder).iterdir():
            path.unlink()


def test_missing_values_cost_their_row_alone(tmp_path):
    whole = GREY.reshape(7, 30).tolist()
    whole[2][5], whole[4] = None, None
    for column in (
        pa.array(whole, pa.list_(pa.int64())),
        pa.array([[None if v is None else float(v) for v in row or []] or None for row in whole]),
    ):
        images, said = _found(tmp_path, column)
        assert images[2] == Unreadable("there are values missing")
        assert images[4] == Unreadable("there is no image")
        np.testing.assert_array_equal(
            [images[i] for i in (0, 1, 3, 5, 6)], np.delete(GREY, (2, 4), axis=0)
        )
        floats = pa.types.is_floating(column.type.value_type)
        assert any("that became floats for the gaps" in line for line in said) == floats
    # Floats in [0, 1] stay what they are.
    unit = (GREY.reshape(7, 30) / 255).tolist()
    unit[2][5] = None
    images, said = _found(tmp_path, pa.array(unit))
    assert images.pop(2) == Unreadable("there are values missing") and said == []
    np.testing.assert_allclose(images, np.delete(GREY, 2, axis=0) / 255, atol=1e-7)


@pytest.mark.parametrize(
    ("column", "message"),
    [
        (pa.array(range(7)), "expected lists of values or pictures in the column 'image', got int"),
        (pa.array([[["a"]]] * 7), "expected numbers, got string"),
        (pa.array([{"x": 1}] * 7), "expected lists of values or pictures in the column"),
        (pa.array([None] * 7, pa.binary()), "there is no image (and 6 more images like it)"),
        (pa.array(["x.png"] * 7), "expected the picture x.png beside the table or one folder"),
    ],
)
def test_a_column_without_images_is_one_line(column, message, tmp_path):
    with pytest.raises(DataError) as e:
        _found(tmp_path, column)
    assert message in str(e.value) and "\n" not in str(e.value)


def test_a_damaged_table_is_one_line(tmp_path):
    path = tmp_path / "t.parquet"
    pq.write_table(pa.table({"image": ENCODED}), path)
    whole = path.read_bytes()
    for content in (b"", whole[:-20], b"PAR1" + bytes(40) + b"PAR1", b"x" * 900):
        path.write_bytes(content)
        with pytest.raises(DataError, match=r"t\.parquet: expected a Parquet file \(") as e:
            inputs.find(str(path), Reading(), SHAPE, ReadingNotes())
        assert "\n" not in str(e.value)
