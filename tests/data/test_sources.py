"""Every source loads small files in the format in which its data is published."""

import dataclasses
import gzip
import hashlib
import io
import struct
import tarfile
import zipfile

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_datasets as tfds
from PIL import Image
from scipy import io as scipy_io

from biva_tf.data import preparation, sources
from biva_tf.data.sources import DataError, Location, fashion_mnist
from biva_tf.data.sources.celeba64 import crop
from biva_tf.data.sources.omniglot_tfds import shrink
from biva_tf.errors import Setting
from biva_tf.locks import LockedError, only_one

RNG = np.random.default_rng(0)
TRAIN, VALIDATION, TEST = 7, 3, 5
SHIPPED = {"mnist_10k", "letters_2k", "glosses"}


def _pixels(n, *shape):
    return RNG.integers(0, 256, (n, *shape)).astype(np.uint8)


def _png(image, kind="PNG"):
    content = io.BytesIO()
    Image.fromarray(image).save(content, kind)
    return content.getvalue()


def _idx(folder):
    expected = {}
    for split, prefix, n in (("train", "train", TRAIN), ("test", "t10k", TEST)):
        images, labels = _pixels(n, 28, 28, 1), RNG.integers(0, 10, n).astype(np.uint8)
        header = struct.pack(">4I", 0x803, n, 28, 28)
        with gzip.open(folder / f"{prefix}-images-idx3-ubyte.gz", "wb") as file:
            file.write(header + images.tobytes())
        with gzip.open(folder / f"{prefix}-labels-idx1-ubyte.gz", "wb") as file:
            file.write(struct.pack(">2I", 0x801, n) + labels.tobytes())
        expected[split] = (images, labels)
    return expected


def _amat(folder):
    expected = {}
    for name, split, n in (
        ("train", "train", TRAIN),
        ("valid", "validation", VALIDATION),
        ("test", "test", TEST),
    ):
        bits = RNG.integers(0, 2, (n, 784))
        lines = [" ".join(map(str, row)) + " \n" for row in bits]
        (folder / f"binarized_mnist_{name}.amat").write_text("".join(lines))
        images = (bits.reshape(n, 28, 28, 1) * 255).astype(np.uint8)
        expected[split] = (images, np.zeros(n))
    return expected


def _chardata(folder):
    expected, arrays = {}, {}
    for split, data, target, n in (
        ("train", "data", "target", TRAIN),
        ("test", "testdata", "testtarget", TEST),
    ):
        images, alphabets = _pixels(n, 28, 28, 1), RNG.integers(0, 50, n)
        # MATLAB stores an image column by column.
        columns = [image[..., 0].ravel(order="F") / 255.0 for image in images]
        arrays |= {data: np.array(columns).T, target: np.eye(50)[alphabets].T}
        expected[split] = (images, alphabets)
    scipy_io.savemat(folder / "chardata.mat", arrays)
    return expected


def _cifar10(folder):
    per_file = {f"data_batch_{i}.bin": 2 for i in range(1, 6)} | {"test_batch.bin": TEST}
    expected = {"train": ([], []), "test": ([], [])}
    with tarfile.open(folder / "cifar-10-binary.tar.gz", "w:gz") as archive:
        for name, n in per_file.items():
            images, labels = _pixels(n, 32, 32, 3), RNG.integers(0, 10, n).astype(np.uint8)
            records = [
                bytes([label]) + image.transpose(2, 0, 1).tobytes()
                for image, label in zip(images, labels, strict=True)
            ]
            content = b"".join(records)
            member = tarfile.TarInfo(f"cifar-10-batches-bin/{name}")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
            split = expected["test" if "test" in name else "train"]
            split[0].extend(images)
            split[1].extend(labels)
    return expected


def _svhn(folder):
    expected = {}
    for split, n in (("train", TRAIN), ("test", TEST)):
        images, digits = _pixels(n, 32, 32, 3), RNG.integers(0, 10, n)
        stored = np.where(digits == 0, 10, digits)[:, np.newaxis]
        arrays = {"X": images.transpose(1, 2, 3, 0), "y": stored}
        scipy_io.savemat(folder / f"{split}_32x32.mat", arrays)
        expected[split] = (images, digits)
    return expected


def _imagenet_archives(folder):
    expected = {}
    for split, name, n in (("train", "train_32x32", TRAIN), ("test", "valid_32x32", TEST)):
        images = _pixels(n, 32, 32, 3)
        with tarfile.open(folder / f"{name}.tar", "w") as archive:
            for i in reversed(range(n)):  # they have to be read in the order of their names
                content = _png(images[i])
                member = tarfile.TarInfo(f"{name}/{i:07}.png")
                member.size = len(content)
                archive.addfile(member, io.BytesIO(content))
        expected[split] = (images, np.zeros(n))
    return expected


def _imagenet_npz(folder):
    def write(name, n):
        images, labels = _pixels(n, 32, 32, 3), RNG.integers(1, 1001, n)
        flat = images.transpose(0, 3, 1, 2).reshape(n, -1)
        np.savez(folder / name, data=flat, labels=labels)
        return images, labels - 1

    parts = [write(f"train_data_batch_{i}.npz", 2) for i in range(1, 11)]
    train = tuple(np.concatenate(part) for part in zip(*parts, strict=True))
    return {"train": train, "test": write("val_data.npz", TEST)}


def _celeba(folder, zipped):
    names = [f"{i:06}.jpg" for i in range(1, TRAIN + VALIDATION + TEST + 1)]
    numbers = [0] * TRAIN + [1] * VALIDATION + [2] * TEST
    lines = [f"{name} {number}\n" for name, number in zip(names, numbers, strict=True)]
    (folder / "list_eval_partition.txt").write_text("".join(lines))
    contents = {}
    for name in names:
        smooth = tf.image.resize(_pixels(1, 8, 6, 3), (218, 178))[0]
        contents[name] = _png(tf.cast(smooth, tf.uint8).numpy(), "JPEG")
    if zipped:
        with zipfile.ZipFile(folder / "img_align_celeba.zip", "w") as archive:
            for name, content in contents.items():
                archive.writestr(f"img_align_celeba/{name}", content)
    else:
        (folder / "img_align_celeba").mkdir()
        for name, content in contents.items():
            (folder / "img_align_celeba" / name).write_bytes(content)
    expected = {}
    for split, number in (("train", 0), ("validation", 1), ("test", 2)):
        split_names = [n for n, i in zip(names, numbers, strict=True) if i == number]
        photographs = [np.asarray(Image.open(io.BytesIO(contents[name]))) for name in split_names]
        expected[split] = ([_cropped_by_hand(p) for p in photographs], np.zeros(len(split_names)))
    return expected


def _cropped_by_hand(photograph):
    """Rows 40 to 188, columns 15 to 163, shrunk by a triangular filter of width 2 * scale."""
    face = photograph[40:188, 15:163].astype(np.float64)
    scale = 148 / 64
    centres = (np.arange(64) + 0.5) * scale
    weights = np.maximum(0, 1 - np.abs((np.arange(148) + 0.5) - centres[:, None]) / scale)
    weights /= weights.sum(axis=1, keepdims=True)
    return np.einsum("jq,iqc->ijc", weights, np.einsum("ip,pqc->iqc", weights, face))


def _folder(folder):
    paths = [folder / "b" / f"{i:02}.png" for i in range(TRAIN)]
    paths += [folder / f"{i:02}.jpeg" for i in range(TRAIN)]
    images = []
    for path in paths:
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(_png(_pixels(1, 12, 10, 3)[0], "PNG" if "png" in path.name else "JPEG"))
        images.append(np.asarray(Image.open(path)))
    (folder / "notes.txt").write_text("not a picture")
    order = np.argsort([str(path) for path in paths])
    images = [images[i] for i in order]
    test = images[::10]
    train = [image for i, image in enumerate(images) if i % 10]
    return {"train": (train, np.zeros(len(train))), "test": (test, np.zeros(len(test)))}


# Case: (data set, function that writes its files to a folder and returns the arrays in them).
FORMATS = {
    "mnist_static": ("mnist_static", _amat),
    "mnist_dynamic": ("mnist_dynamic", _idx),
    "fashion_mnist": ("fashion_mnist", _idx),
    "omniglot": ("omniglot", _chardata),
    "cifar10": ("cifar10", _cifar10),
    "svhn": ("svhn", _svhn),
    "imagenet32, archives": ("imagenet32", _imagenet_archives),
    "imagenet32, npz": ("imagenet32", _imagenet_npz),
    "celeba64, zip": ("celeba64", lambda folder: _celeba(folder, True)),
    "celeba64, folder": ("celeba64", lambda folder: _celeba(folder, False)),
    "image_folder": ("image_folder", _folder),
}


def _prepare(name, folder, data_dir, subset=True):
    module = sources.module(name)
    return preparation.prepare(name, module.INFO, module.RECIPE, folder, data_dir, subset=subset)


def _check(source, expected):
    for split, (images, labels) in expected.items():
        read = getattr(source, split)
        assert read.images.dtype == np.uint8
        # Shrinking rounds by half a level, once for each axis.
        tolerance = 1.01 if np.asarray(images).dtype == np.float64 else 0
        np.testing.assert_allclose(np.float64(read.images), images, atol=tolerance)
        np.testing.assert_array_equal(read.labels, labels)


@pytest.fixture(params=FORMATS)
def files(request, tmp_path):
    """(Name of a source, folder with its files, expected arrays by split)."""
    name, write = FORMATS[request.param]
    folder = tmp_path / "files"
    folder.mkdir()
    return name, folder, write(folder)


def test_prepared_files_load_as_the_arrays_in_them(files, tmp_path):
    name, folder, expected = files
    data_dir = tmp_path / "data"
    made = _prepare(name, folder, data_dir)
    assert (made / "dataset_info.json").exists()
    location = Location(data_dir)
    source = sources.load(name, location)
    _check(source, expected)
    assert (source.validation is not None) == ("validation" in expected)
    if name == "imagenet32":
        assert source.version == "a subset"
    # The second load reads the decoded files.
    assert list(made.glob("biva_tf-train-*-x.npy"))
    _check(sources.load(name, location), expected)
    with pytest.raises(DataError, match="there is a data set already"):
        _prepare(name, folder, data_dir)


def test_the_error_for_a_truncated_file_names_it_and_no_data_set_is_left(files, tmp_path):
    name, folder, _ = files
    if name == "image_folder":  # leaves it out: tests/data/reading
        return
    paths = [p for p in folder.rglob("*") if p.is_file() and p.suffix != ".txt"]
    cut = max(paths, key=lambda path: path.stat().st_size)
    content = cut.read_bytes()
    cut.write_bytes(content[: len(content) * 2 // 3])
    with pytest.raises(DataError, match=cut.name):
        _prepare(name, folder, tmp_path / "data")
    with pytest.raises(DataError, match=rf"^dataset={name}: not found in data_dir="):
        sources.load(name, Location(tmp_path / "data"))


def test_files_that_are_not_the_published_ones_are_refused(files, tmp_path):
    name, folder, _ = files
    if name == "image_folder":
        path = _prepare(name, folder, tmp_path / "data", subset=False)  # it has none published
        assert (path / "dataset_info.json").exists()
        return
    with pytest.raises(DataError, match=r"expected (sha256 \w{64}, got|[\d,]+ \()"):
        _prepare(name, folder, tmp_path / "data", subset=False)
    assert not list((tmp_path / "data").rglob("dataset_info.json"))


def _prepare_as_published(folder, data_dir):
    """Prepares FashionMNIST as if the small files in the folder now were the published ones."""
    contents = {path.stem: gzip.decompress(path.read_bytes()) for path in folder.glob("*.gz")}
    recipe = dataclasses.replace(
        fashion_mnist.RECIPE,
        files=tuple(
            dataclasses.replace(file, sha256=hashlib.sha256(contents[file.name]).hexdigest())
            for file in fashion_mnist.RECIPE.files
        ),
        counts={},
    )

    def prepare():
        info = fashion_mnist.INFO
        preparation.prepare("fashion_mnist", info, recipe, folder, data_dir, subset=False)

    return prepare


@pytest.mark.parametrize("form", ["zipped by another program", "unzipped"])
def test_a_gzipped_file_is_verified_by_its_content(form, tmp_path):
    (folder := tmp_path / "files").mkdir()
    expected = _idx(folder)
    prepare = _prepare_as_published(folder, tmp_path / "data")
    for path in list(folder.glob("*.gz")):
        content = gzip.decompress(path.read_bytes())
        path.unlink()
        if form == "unzipped":
            path.with_suffix("").write_bytes(content)
        else:
            path.write_bytes(gzip.compress(content, compresslevel=1, mtime=12345))
    prepare()
    _check(sources.load("fashion_mnist", Location(tmp_path / "data")), expected)


@pytest.mark.parametrize("form", ["gzipped", "unzipped"])
def test_a_changed_byte_in_a_gzipped_file_is_refused(form, tmp_path):
    (folder := tmp_path / "files").mkdir()
    _idx(folder)
    prepare = _prepare_as_published(folder, tmp_path / "data")
    path = folder / "t10k-images-idx3-ubyte.gz"
    content = bytearray(gzip.decompress(path.read_bytes()))
    content[100] ^= 1
    if form == "unzipped":
        path.unlink()
        path.with_suffix("").write_bytes(content)
    else:
        path.write_bytes(gzip.compress(content))
    with pytest.raises(DataError, match=r"t10k-images-idx3-ubyte.*: expected sha256 \w{64}, got"):
        prepare()
    assert not list((tmp_path / "data").rglob("dataset_info.json"))


def test_the_error_for_a_missing_file_names_its_origin(files, tmp_path):
    name, _, _ = files
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(DataError, match=r"expected a file .* in it, from "):
        _prepare(name, empty, tmp_path / "data")


def test_an_amat_file_with_other_contents_is_refused(tmp_path):
    for name in ("train", "valid", "test"):
        (tmp_path / f"binarized_mnist_{name}.amat").write_text("0 1 2\n")
    with pytest.raises(DataError, match=r"amat: expected 784 zeros and ones per line"):
        _prepare("mnist_static", tmp_path, tmp_path / "data")


def test_pictures_of_different_sizes_are_refused(tmp_path):
    (tmp_path / "files").mkdir()
    for i in range(3):
        (tmp_path / "files" / f"{i}.png").write_bytes(_png(_pixels(1, 8, 8 + i, 3)[0]))
    with pytest.raises(DataError, match=r"one size, got 1 of 8x9 \(1\.png\); 1 of 8x10"):
        _prepare("image_folder", tmp_path / "files", tmp_path / "data")


def _image(shape):
    return tfds.features.Image(shape=shape)


LABEL = tfds.features.ClassLabel(num_classes=10)
# As in TFDS: (name, version, features, splits); None stands for train and test.
TFDS = {
    "mnist_static": (
        "binarized_mnist",
        "1.0.0",
        {"image": _image((28, 28, 1))},
        ("train", "validation", "test"),
    ),
    "mnist_dynamic": ("mnist", "3.0.1", {"image": _image((28, 28, 1)), "label": LABEL}, None),
    "fashion_mnist": (
        "fashion_mnist",
        "3.0.1",
        {"image": _image((28, 28, 1)), "label": LABEL},
        None,
    ),
    "cifar10": (
        "cifar10",
        "3.0.2",
        {"id": tfds.features.Text(), "image": _image((32, 32, 3)), "label": LABEL},
        None,
    ),
    "svhn": (
        "svhn_cropped",
        "3.1.0",
        {"id": tfds.features.Text(), "image": _image((32, 32, 3)), "label": LABEL},
        ("train", "test", "extra"),
    ),
    "imagenet32": (
        "downsampled_imagenet",
        "2.0.0",
        {"image": _image((None, None, 3))},
        ("train", "validation"),
    ),
    "celeba64": (
        "celeb_a",
        "2.1.0",
        {"image": tfds.features.Image(shape=(218, 178, 3), encoding_format="jpeg")},
        ("train", "validation", "test"),
    ),
    "omniglot_tfds": (
        "omniglot",
        "3.0.0",
        {"image": _image((105, 105, 3)), "label": tfds.features.ClassLabel(num_classes=1623)},
        ("train", "test", "small1"),
    ),
}


def _store(name, data_dir, n=6):
    """Writes a data set as TFDS does, and returns the stored images by split."""
    dataset, version, features, splits = TFDS[name]
    side = features["image"].shape
    shape = (32, 32, 3) if side[0] is None else side
    stored, data = {}, {}
    for split in splits or ("train", "test"):
        images = _pixels(n, *shape)
        if name == "mnist_static":
            images //= 128  # TFDS stores zeros and ones
        columns = {"image": images}
        if "label" in features:
            columns["label"] = np.arange(n) % 10
        if "id" in features:
            columns["id"] = [f"{split}_{i}" for i in range(n)]
        stored[split] = images
        data[split] = tf.data.Dataset.from_tensor_slices(columns)
    config = None
    if name == "imagenet32":
        config = tfds.core.BuilderConfig(name="32x32")
    tfds.dataset_builders.store_as_tfds_dataset(
        name=dataset,
        version=version,
        features=tfds.features.FeaturesDict(features),
        split_datasets=data,
        data_dir=str(data_dir),
        config=config,
        disable_shuffling=True,
    )
    return stored


@pytest.mark.parametrize("name", TFDS)
def test_data_sets_of_tfds_load_as_the_stored_arrays(name, tmp_path):
    stored = _store(name, tmp_path)
    source = sources.load(name, Location(tmp_path))
    info = sources.info(name)
    for split in ("train", "test"):
        assert getattr(source, split).images.shape[1:] == info.image_shape
    if name == "omniglot_tfds":
        everything = [shrink(image) for split in ("train", "test") for image in stored[split]]
        found = [*source.train.images, *source.test.images]
        assert len(source.train.images) == 12 * 24_345 // 32_415
        assert sorted(image.tobytes() for image in found) == sorted(
            image.tobytes() for image in everything
        )
        assert found[0].shape == (28, 28, 1)
        return
    tfds_splits = {"train": "train", "validation": "validation", "test": "test"}
    if name == "imagenet32":
        tfds_splits = {"train": "train", "test": "validation"}
    for ours, split in tfds_splits.items():
        if split not in stored:
            continue
        images = stored[split]
        if name == "mnist_static":
            images = images * 255
        if name == "celeba64":  # stored as JPEG
            builder = tfds.builder_from_directory(str(tmp_path / "celeb_a" / "2.1.0"))
            decoded = tfds.as_numpy(builder.as_dataset(split=split, shuffle_files=False))
            images = np.stack([crop(example["image"]) for example in decoded])
        np.testing.assert_array_equal(getattr(source, ours).images, images)


def test_shrunk_omniglot_drawings_are_white_on_black():
    drawing = np.full((105, 105, 3), 255, np.uint8)
    drawing[:, 50:55] = 0
    shrunk = shrink(drawing)
    assert shrunk[:, 13].min() > 150 and shrunk[:, :10].max() == 0


def test_the_error_for_a_damaged_tfds_file_names_its_data_set(tmp_path):
    _store("cifar10", tmp_path)
    folder = tmp_path / "cifar10" / "3.0.2"
    (record,) = folder.glob("cifar10-train.tfrecord*")
    record.write_bytes(record.read_bytes()[:-100])
    with pytest.raises(DataError, match=r"cifar10/3\.0\.2: the data set cannot be read"):
        sources.load("cifar10", Location(tmp_path))
    assert not list(folder.glob("*.npy"))
    (folder / "dataset_info.json").write_text("{")
    with pytest.raises(DataError, match=r"3\.0\.2: expected a data set in TFDS's format"):
        sources.load("cifar10", Location(tmp_path))


def test_images_of_a_wrong_size_in_tfds_format_are_refused(tmp_path, monkeypatch):
    shape = {"image": _image((28, 28, 3)), "label": LABEL}
    monkeypatch.setitem(TFDS, "cifar10", ("cifar10", "3.0.2", shape, None))
    _store("cifar10", tmp_path)
    with pytest.raises(DataError, match=r"expected images of shape \(32, 32, 3\) in train"):
        sources.load("cifar10", Location(tmp_path))


@pytest.mark.parametrize("name", sorted(set(sources.names()) - SHIPPED))
def test_the_error_for_missing_data_says_how_to_prepare_it(name, tmp_path):
    with pytest.raises(DataError) as error:
        sources.load(name, Location(tmp_path))
    assert f"python -m biva_tf.prepare_data --dataset={name}" in str(error.value)
    recipe = getattr(sources.module(name), "RECIPE", None)
    for file in recipe.files if recipe else ():
        assert file.published_name in recipe.instructions() and file.origin in recipe.instructions()


def test_a_data_set_in_a_read_only_folder_loads(tmp_path, monkeypatch):
    stored = _store("mnist_dynamic", tmp_path)

    def refuse(*args):
        raise PermissionError("read-only")

    monkeypatch.setattr(np.lib.format, "open_memmap", refuse)
    source = sources.load("mnist_dynamic", Location(tmp_path))
    np.testing.assert_array_equal(source.train.images, stored["train"])
    assert not list(tmp_path.rglob("*.npy"))


def test_large_splits_are_memory_mapped(tmp_path, monkeypatch):
    from biva_tf.data import prepared

    stored = _store("mnist_dynamic", tmp_path)
    monkeypatch.setattr(prepared, "_IN_MEMORY", 100)
    source = sources.load("mnist_dynamic", Location(tmp_path))
    assert isinstance(source.train.images, np.memmap)
    np.testing.assert_array_equal(source.train.images, stored["train"])


def test_a_load_after_an_interrupted_decoding_reads_every_image(tmp_path, monkeypatch):
    from biva_tf.data import prepared

    stored = _store("mnist_dynamic", tmp_path)
    examples = prepared.examples

    def interrupted(builder, split):
        yield from list(examples(builder, split))[:2]
        raise KeyboardInterrupt

    monkeypatch.setattr(prepared, "examples", interrupted)
    with pytest.raises(KeyboardInterrupt):
        sources.load("mnist_dynamic", Location(tmp_path))
    monkeypatch.setattr(prepared, "examples", examples)
    source = sources.load("mnist_dynamic", Location(tmp_path))
    np.testing.assert_array_equal(source.train.images, stored["train"])


def test_one_process_prepares_a_data_set_and_what_a_kill_left_is_made_again(tmp_path, capsys):
    folder, data_dir = tmp_path / "files", tmp_path / "data"
    folder.mkdir()
    _folder(folder)
    own = data_dir / "biva_tf_image_folder"
    with (
        only_one(own, Setting("data_dir", data_dir), "preparation of image_folder"),
        pytest.raises(LockedError, match=f"data_dir={data_dir}: preparation of image_folder is"),
    ):
        _prepare("image_folder", folder, data_dir)
    for left in (own / "1.0.0", own / "incomplete" / "biva_tf_image_folder" / "1.0.0"):
        left.mkdir(parents=True)
        (left / "part").write_text("half")
    path = _prepare("image_folder", folder, data_dir)
    assert f"note: {path} is not whole; it is made again" in capsys.readouterr().err
    assert (path / "dataset_info.json").exists() and not (path / "part").exists()
    assert [each.name for each in own.iterdir()] == ["1.0.0"]
    with pytest.raises(DataError, match="there is a data set already"):
        _prepare("image_folder", folder, data_dir)
