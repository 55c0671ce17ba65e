"""biva_tf.score_dataset without Ray: inputs, ids, parts, files, and what it says when it fails."""

import io
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import stand_in_export
import tensorflow_datasets as tfds
from PIL import Image

from biva_tf import score_dataset
from biva_tf.batch_scoring import exported, inputs, part_files
from biva_tf.batch_scoring.exported import ExportedError
from biva_tf.batch_scoring.output import OutputError, ScoresFolder
from biva_tf.batch_scoring.parts import ImageForm, cut
from biva_tf.batch_scoring.scorer import PartScorer, Request
from biva_tf.data.images import Images
from biva_tf.data.reading.inputs import Reading
from biva_tf.data.reading.notes import ReadingNotes
from biva_tf.data.sources import DataError
from biva_tf.data.sources.mnist_10k import load as load_digits
from biva_tf.errors import SettingsError
from biva_tf.extras import MissingPackageError
from biva_tf.model import architectures
from biva_tf.runs import config

SPEC = architectures.get("mnist_sample")
SHAPE = SPEC.image_shape
GREY = np.random.default_rng(0).integers(0, 256, (23, *SHAPE)).astype(np.uint8)


def _form(binarize="bernoulli"):
    return ImageForm(SHAPE, SPEC.likelihood.binary, binarize, 127, seed=3)


def _find(text, column=None):
    known = inputs.split_of(str(text))
    data = config.evaluation_data(config.defaults(), known[0] if known else None)
    return inputs.find(str(text), Reading(column), data, SPEC, ReadingNotes())


def _png(image):
    content = io.BytesIO()
    Image.fromarray(image[..., 0]).save(content, "PNG")
    return content.getvalue()


def _write_pictures(folder, images):
    folder.mkdir(parents=True)
    for i, image in enumerate(images):
        (folder / f"{i:03}.png").write_bytes(_png(image))


def _table(kind):
    flat = GREY.reshape(len(GREY), -1)
    match kind:
        case "fixed":
            return pa.FixedSizeListArray.from_arrays(pa.array(flat.reshape(-1)), flat.shape[1])
        case "nested":
            return pa.array(GREY[..., 0].tolist(), pa.list_(pa.list_(pa.int64())))
        case "tensor":
            return pa.FixedShapeTensorArray.from_numpy_ndarray(GREY)
        case "floats":
            return pa.array(list(flat / np.float32(255)))
        case "bytes":
            return pa.array([_png(image) for image in GREY])
        case "hugging_face":
            return pa.array([{"bytes": _png(image), "path": "x.png"} for image in GREY])


def _write(kind, folder):
    """Writes the images in a form, and returns what `--input` says."""
    path = folder / "images"
    if kind == "pictures":
        _write_pictures(path, GREY)
        return path
    if kind.startswith("npz"):
        save = np.savez_compressed if "compressed" in kind else np.savez
        save(path.with_suffix(".npz"), images=GREY[..., 0] if "flat" in kind else GREY)
        return path.with_suffix(".npz")
    # Row groups of 10: the rows of a part can be in two.
    table = pa.table({"number": np.arange(len(GREY)), "image": _table(kind)})
    pq.write_table(table, path.with_suffix(".parquet"), row_group_size=10)
    return path.with_suffix(".parquet")


KINDS = (
    *("npz", "npz_compressed", "npz_flat", "pictures"),
    *("fixed", "nested", "tensor", "floats", "bytes", "hugging_face"),
)


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_file_gives_the_same_images(kind, tmp_path):
    (rows,) = _find(_write(kind, tmp_path))
    assert len(rows) == len(GREY)
    for start, stop in ((0, 23), (0, 1), (7, 12), (10, 20), (22, 23)):
        part = rows.part(2, 23).part(start - 2, stop - 2) if start >= 2 else rows.part(start, stop)
        found = list(part.read(SHAPE))
        if kind == "floats":
            found = [np.uint8(np.rint(image * 255)) for image in found]
        np.testing.assert_array_equal(found, GREY[start:stop])
        places = list(part.places())
        if kind == "pictures":
            assert places == [
                (str(tmp_path / "images" / f"{i:03}.png"), 0) for i in range(start, stop)
            ]
        else:
            assert [row for _, row in places] == list(range(start, stop))


def test_an_id_is_the_place_among_the_sorted_inputs(tmp_path):
    np.savez(tmp_path / "b.npz", images=GREY[5:8])
    _write_pictures(tmp_path / "a", GREY[:5])
    pq.write_table(pa.table({"image": [_png(i) for i in GREY[8:20]]}), tmp_path / "c.parquet")
    _write_pictures(tmp_path / "d" / "e", GREY[20:])
    whole = Images(GREY, "bernoulli", seed=3)[:]
    for size in (1, 4, 7, 23, 100):
        found = [part.read(_form()) for part in cut(_find(tmp_path / "*"), size)]
        assert [len(part.ids) for part in found[:-1]] == [size] * (len(found) - 1)
        np.testing.assert_array_equal(np.concatenate([p.ids for p in found]), np.arange(23))
        # Also the draws that make an image binary are of its id.
        np.testing.assert_array_equal(np.concatenate([p.images for p in found]), whole)
    # A file that matches by itself and by its folder counts once.
    assert sum(map(len, _find(tmp_path / "**"))) == 23


def test_a_split_is_read_as_evaluate_reads_it():
    (rows,) = _find("mnist_10k/test")
    expected = Images(load_digits(None).test.images, "threshold", seed=3)
    np.testing.assert_array_equal(list(rows.part(3, 9).read(SHAPE)), expected[3:9])
    assert next(rows.part(3, 9).places()) == ("mnist_10k/test", 3)
    assert len(_find("mnist_10k/validation")[0]) == 1000


def test_a_data_set_in_tfds_format_is_read_in_the_order_of_its_shards(tmp_path):
    folder = tmp_path / "digits" / "1.0.0"
    identity = tfds.core.DatasetIdentity("digits", "1.0.0", str(folder), "")
    features = tfds.features.FeaturesDict({"image": tfds.features.Image(shape=SHAPE)})
    about = tfds.core.DatasetInfo(builder=identity, features=features)
    folder.mkdir(parents=True)
    # Larger shards than TFDS reads of one before it goes to the next, by default.
    writer = tfds.core.SequentialWriter(about, max_examples_per_shard=20)
    writer.initialize_splits(["test"])
    images = np.concatenate([GREY, 255 - GREY])
    writer.add_examples({"test": [{"image": image} for image in images]})
    writer.close_all()
    assert len(list(folder.glob("*test*"))) == 3
    data = config.evaluation_data(config.defaults(), data_dir=str(tmp_path))
    (rows,) = inputs.find("tfds:digits/test", Reading(), data, SPEC, ReadingNotes())
    assert len(rows) == 46
    np.testing.assert_array_equal(list(rows.part(3, 45).part(1, 42).read(SHAPE)), images[4:45])
    with pytest.raises(DataError, match="expected a split 'train', it has test"):
        inputs.find("tfds:digits/train", Reading(), data, SPEC, ReadingNotes())


def test_images_that_cannot_be_read_are_skipped_and_their_ids_stay_taken(tmp_path):
    folder = tmp_path / "pictures"
    _write_pictures(folder, GREY)
    (folder / "004.png").write_bytes(_png(GREY[4])[:60])
    (folder / "009.png").write_bytes(_png(GREY[9][:20]))
    (folder / "011.png").write_text("no picture")
    good = [_png(image) for image in GREY[:6]]
    broken = [good[0][:50], None, good[2], b"", *good[4:]]
    pq.write_table(pa.table({"image": broken}), tmp_path / "q.parquet")
    values = np.float32(GREY / 255)
    values[1, 0, 0], values[3, 0, 0] = np.nan, 1.5
    np.savez(tmp_path / "r.npz", images=values)
    found = [part.read(_form()) for part in cut(_find(tmp_path / "*"), 8)]
    skipped = {each.id: each for part in found for each in part.skipped}
    assert list(skipped) == [4, 9, 11, 23, 24, 26, 30, 32]
    assert skipped[4].source == str(folder / "004.png")
    assert skipped[4].reason.startswith("expected a picture (")
    assert "expected an image of 28x28x1, got 20x28x1" in skipped[9].reason
    assert (skipped[24].row, skipped[24].reason) == (1, "there is no image")
    assert skipped[32].reason == "expected values from 0 to 1, got 0.0 to 1.5"
    kept = np.concatenate([part.ids for part in found])
    assert list(kept) == [i for i in range(52) if i not in skipped]
    whole = Images(GREY, "bernoulli", seed=3)[:]
    of_folder = np.concatenate([part.images for part in found])[:20]
    np.testing.assert_array_equal(of_folder, whole[kept[:20]])
    (tmp_path / "r.png").write_bytes(b"")  # the only picture between two files of many images
    np.savez(tmp_path / "s.npz", images=GREY)
    (part,) = cut(_find(tmp_path / "*"), 100)
    assert [each.id for each in part.read(_form()).skipped][-1] == 52


def test_an_input_of_which_nothing_can_be_read_is_one_clear_error(tmp_path):
    _write_pictures(tmp_path / "small", GREY[:3, :20])
    np.savez(tmp_path / "array.npz", images=GREY[:, :20], names=np.array(["a"], object))
    pq.write_table(pa.table({"image": [1], "pixels": [[1, 2]]}), tmp_path / "t.parquet")
    (tmp_path / "notes.txt").write_text("")
    (tmp_path / "empty").mkdir()
    (tmp_path / "damaged.npz").write_bytes(b"PK")
    for text, column, kind, message in (
        ("*.jpeg", None, SettingsError, "input=TMP/*.jpeg: expected files, folders of pictures"),
        ("empty", None, DataError, "input=TMP/empty: expected pictures, or .parquet, .npz or .npy"),
        ("notes.txt", None, DataError, "TMP/notes.txt: expected a .parquet, .npz or .npy file, or"),
        ("small", None, DataError, "small/000.png: expected an image of 28x28x1, got 20x28x1 (and"),
        ("array.npz", None, DataError, "array.npz: expected an image of 28x28x1, got 20x28x1 (an"),
        ("array.npz", "x", DataError, "array.npz: expected the array `x`, it has images [23, 20"),
        (
            "array.npz",
            "names",
            DataError,
            "expected the array `names` (got names [1] of object, no",
        ),
        ("damaged.npz", None, DataError, "damaged.npz: expected the array `images` (BadZipFile: "),
        (
            "t.parquet",
            "x",
            DataError,
            "expected a column 'x', it has image, pixels; choose one with column",
        ),
        ("t.parquet", None, DataError, "expected lists of values or pictures in the column 'imag"),
        ("t.parquet", "pixels", DataError, "t.parquet: expected an image of 28x28x1, got 2 values"),
    ):
        with pytest.raises(kind) as e:
            _find(tmp_path / text, column)
        assert message.replace("TMP", str(tmp_path)) in str(e.value)
        assert "--" not in str(e.value)
    for text, message in (
        ("mnist_10k/tests", "expected one of mnist_10k/train, mnist_10k/validation, mnist_10k/t"),
        ("tfds:kmnist", "expected tfds:NAME/SPLIT"),
        ("tfds:kmnist/test", "input=tfds:kmnist/test: not found in data_dir="),
        ("eight_gaussians/test", "has images of shape (1, 1, 2), the architecture expects (28"),
    ):
        with pytest.raises((SettingsError, DataError)) as e:
            _find(text)
        assert message in str(e.value)
        assert "--" not in str(e.value)


def test_grey_images_are_refused_by_a_binary_model(tmp_path):
    np.savez(tmp_path / "x.npz", images=GREY)
    (part,) = cut(_find(tmp_path / "x.npz"), 100)
    with pytest.raises(DataError, match=r"x\.npz, row 0: grey values, but the model expects bin"):
        part.read(_form("none"))
    binary = np.uint8(GREY > 127)
    for images in (binary * 255, binary > 0, np.float64(binary)):
        np.savez(tmp_path / "x.npz", images=images)
        (part,) = cut(_find(tmp_path / "x.npz"), 100)
        for binarize in ("none", "threshold", "bernoulli"):
            np.testing.assert_array_equal(part.read(_form(binarize)).images, binary)


@pytest.fixture(scope="module")
def export_dir(tmp_path_factory):
    return stand_in_export.write(tmp_path_factory.mktemp("models"), SPEC)


def _scored(export_dir, rows, size, **changes):
    arguments = {"ks": (0, 2), "num_importance_samples": 5, "seed": 7, "encodings": True} | changes
    request = Request(export_dir / "1", SPEC.kl_names, _form(), run="this", **arguments)
    scorer = PartScorer(request)
    return [scorer.parquet(part) for part in cut(rows, size)]


def test_the_file_of_a_part_has_the_scores_by_id(export_dir, tmp_path):
    _write_pictures(tmp_path / "x", GREY)
    (tmp_path / "x" / "002.png").write_bytes(b"")
    (content,) = _scored(export_dir, _find(tmp_path / "x"), 100)
    table = pq.read_table(pa.BufferReader(content))
    ids = np.delete(np.arange(23), 2)
    sums = Images(GREY, "bernoulli", seed=3)[:].sum((1, 2, 3))[ids] + 7
    expected = {
        "id": ids,
        "row": 0 * ids,
        "L_K_nats": sums + 1000 * ids,
        "bits_per_dim": sums / 784,
        "L_1_nats": 5 * sums,
        "reconstruction_nats": -sums,
        **{f"KL_{name}_nats": sums for name in SPEC.kl_names},
        "L_above_0_nats": 0 * sums,
        "L_above_2_nats": 2 * sums,
        "LLR_above_2_nats": -2 * sums,
    }
    means = [f"mean_{name}" for name in SPEC.kl_names]
    assert set(table.column_names) == {*expected, *means, "source"}
    for name, values in expected.items():
        np.testing.assert_allclose(table[name].to_numpy(), values, rtol=1e-6, err_msg=name)
        unit = (table.schema.field(name).metadata or {}).get(b"unit")
        assert unit == (b"nats" if name.endswith("_nats") else None) or name == "bits_per_dim"
    assert table["source"][2].as_py() == str(tmp_path / "x" / "003.png")
    assert table.schema.field(means[0]).metadata == {b"shape": b"[3, 2, 1]"}
    assert len(table[means[0]][0]) == 6
    found = part_files.result(content)
    assert len(found) == 23 and [each.id for each in found.skipped] == [2]


def test_scores_do_not_depend_on_the_parts(export_dir, tmp_path):
    _write_pictures(tmp_path / "x", GREY)
    (tmp_path / "x" / "021.png").write_bytes(b"")
    rows = _find(tmp_path / "x")
    tables = [
        pa.concat_tables(
            [pq.read_table(pa.BufferReader(c)) for c in _scored(export_dir, rows, size, ks=())]
        )
        for size in (1, 6, 40)
    ]
    assert tables[0].num_rows == 22  # the part of the image that was skipped has no rows
    for table in tables[1:]:
        assert table.combine_chunks().to_pydict() == tables[0].to_pydict()


def test_an_output_folder_goes_on_only_with_the_same_scores(tmp_path, export_dir):
    about = {"seed": 0, "input": [{"source": "a", "images": 3}], "k": (1,)}
    folder = tmp_path / "scores"
    run = ScoresFolder(folder, about).run
    assert ScoresFolder(folder, about).run == run
    for change, message in (
        ({"seed": 1}, "seed was 0, now 1"),
        ({"k": (2,)}, r"k was \[1\], now \[2\]"),
        ({"k": (1, 2)}, r"k was \[1\], now \[1, 2\]"),
        ({"input": [{"source": "a", "images": 4}]}, "input 0 images was 3, now 4"),
        ({"input": []}, r"input was 1 of them, now \[\]"),
    ):
        with pytest.raises(OutputError, match=message):
            ScoresFolder(folder, about | change)
        assert ScoresFolder(tmp_path / "other" / message, about | change).run != run
    (folder / "parts" / "000000.parquet").write_bytes(b"")
    with pytest.raises(OutputError, match="expected a new folder or one of scores"):
        ScoresFolder(folder / "parts", about)


def test_a_folder_that_is_no_export_is_one_clear_error(export_dir, tmp_path):
    assert exported.find(export_dir, 1).spec == SPEC
    (tmp_path / "3").mkdir()
    for folder, version, message in (
        (tmp_path / "none", None, "none: expected the versions of biva_tf.export, found none"),
        (tmp_path, None, "3: expected an export by biva_tf.export (FileNotFoundError"),
        (export_dir, 2, "2: expected the signature score_numbered, it has __saved_model_init_op"),
    ):
        with pytest.raises(ExportedError) as e:
            exported.find(folder, version)
        assert message in str(e.value)


def _settings(export_dir, **changes):
    values = {"export_dir": str(export_dir), "input": "x", "output": "y", "version": 1}
    return score_dataset.ScoreDatasetSettings(**(values | changes))


def test_ray_is_asked_for_when_it_is_missing(export_dir, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MissingPackageError, match=r"needs ray\[data\]: pip install '"):
        score_dataset.run(_settings(export_dir))
    with pytest.raises(SettingsError, match=r"seed: expected an integer in 0\.\.2147483647"):
        _settings(export_dir, seed=2**31)
    with pytest.raises(SettingsError, match="--k: expected 0 to 2, got 3"):
        score_dataset.run(_settings(export_dir, k=(1, 3)))
    assert not Path("y").exists()
