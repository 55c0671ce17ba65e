"""Readers of the files in which data sets are published.

Each reader yields pairs of an image, uint8 [h, w, c], and a label. It raises DataError, with the
name of the file, if a file is missing, damaged or of another kind.
"""

import contextlib
import gzip
import io
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, cast

import numpy as np
from PIL import Image, UnidentifiedImageError

from biva_tf import extras
from biva_tf.data.sources import DataError

LabelledPictures = Iterator[tuple[np.ndarray, int]]

BROKEN = (
    OSError,
    EOFError,
    KeyError,
    ValueError,
    NotImplementedError,
    struct.error,
    tarfile.TarError,
    zipfile.BadZipFile,
    zlib.error,
    UnidentifiedImageError,
    Image.DecompressionBombError,
    SyntaxError,  # Pillow's, of a broken PNG file
)
_IMAGES = (".png", ".jpg", ".jpeg", ".bmp", ".webp")


@contextlib.contextmanager
def reading(path: Path | str, expected: str):
    """Turns an error from a damaged or missing file into a DataError that names it."""
    try:
        yield
    except DataError:
        raise
    except BROKEN as e:
        reason = " ".join(f"{type(e).__name__}: {e}".split())
        raise DataError(f"{path}: expected {expected} ({reason})") from e


def gzipped_or_not(folder: Path, name: str) -> Path:
    """The path of NAME.gz in the folder; that of NAME if only the unzipped file is there."""
    gzipped, plain = folder / f"{name}.gz", folder / name
    return plain if plain.exists() and not gzipped.exists() else gzipped


def open_unzipped(path: Path) -> IO[bytes]:
    """Opens a file; a .gz file is unzipped as it is read."""
    return cast("IO[bytes]", gzip.open(path)) if path.suffix == ".gz" else open(path, "rb")


def idx(folder: Path, split: str) -> LabelledPictures:
    """The IDX files of MNIST and FashionMNIST, gzipped or not."""
    prefix = {"train": "train", "test": "t10k"}[split]
    images, labels = (
        gzipped_or_not(folder, f"{prefix}-{part}-ubyte") for part in ("images-idx3", "labels-idx1")
    )

    def array(path: Path, magic: int) -> np.ndarray:
        with reading(path, "an IDX file"), open_unzipped(path) as file:
            rank = magic & 0xFF
            number, *shape = struct.unpack(f">{1 + rank}I", file.read(4 * (1 + rank)))
            if number != magic:
                raise ValueError(f"magic number {number}, not {magic}")
            return np.frombuffer(file.read(), np.uint8).reshape(shape)

    pixels, classes = array(images, 0x803), array(labels, 0x801)
    if len(pixels) != len(classes):
        raise DataError(f"{labels}: expected {len(pixels)} labels, got {len(classes)}")
    yield from zip(pixels[..., np.newaxis], classes.tolist(), strict=True)


def amat(path: Path) -> LabelledPictures:
    """Larochelle's binarised MNIST: one line of 784 zeros and ones per image."""
    with reading(path, "784 zeros and ones per line"), open(path) as file:
        for number, line in enumerate(file, start=1):
            pixels = np.array(line.split(), np.float32)
            if pixels.size != 784 or not np.isin(pixels, (0, 1)).all():
                raise ValueError(f"line {number}: {pixels.size} values, or not only 0 and 1")
            yield (pixels.reshape(28, 28, 1) * 255).astype(np.uint8), 0


def chardata(path: Path, split: str) -> LabelledPictures:
    """chardata.mat, the 28x28 OMNIGLOT of Burda et al. 2015.

    The pixels of an image are in [0, 1] and stored column by column.
    """
    keys = {"train": ("data", "target"), "test": ("testdata", "testtarget")}[split]
    with reading(path, "the chardata.mat of Burda et al."):
        file = _matlab(path, keys)
        pixels, alphabets = file[keys[0]], file[keys[1]].argmax(axis=0)
        if pixels.shape[0] != 784 or pixels.min() < 0 or pixels.max() > 1:
            raise ValueError(f"{keys[0]} of shape {pixels.shape}, {pixels.min()} to {pixels.max()}")
        images = pixels.T.reshape(-1, 28, 28, 1).swapaxes(1, 2)
        images = np.round(images * 255).astype(np.uint8)
    yield from zip(images, alphabets.tolist(), strict=True)


def cifar10(path: Path, split: str) -> LabelledPictures:
    """cifar-10-binary.tar.gz: each record is a label and 3x32x32 pixels."""
    names = [f"data_batch_{i}.bin" for i in range(1, 6)] if split == "train" else ["test_batch.bin"]
    with reading(path, "cifar-10-binary.tar.gz"), tarfile.open(path) as archive:
        for name in names:
            content = _member(archive, f"cifar-10-batches-bin/{name}")
            records = np.frombuffer(content, np.uint8).reshape(-1, 1 + 3 * 32 * 32)
            for record in records:
                yield record[1:].reshape(3, 32, 32).transpose(1, 2, 0), int(record[0])


def svhn(path: Path) -> LabelledPictures:
    """A cropped-digits file of SVHN: X [32, 32, 3, n], and y, which is 10 for the digit 0."""
    with reading(path, "a cropped-digits .mat file of SVHN"):
        file = _matlab(path, ("X", "y"))
        images, digits = file["X"].transpose(3, 0, 1, 2), file["y"].ravel() % 10
    yield from zip(images, digits.tolist(), strict=True)


def npz_channels_first(paths: list[Path], side: int) -> LabelledPictures:
    """The downsampled ImageNet of Chrabaszcz et al. 2017.

    Each file has arrays `data` [n, 3 * side * side] and `labels` [n], which start from 1.
    """
    for path in paths:
        with reading(path, "arrays `data` and `labels`"), np.load(path) as file:
            images = file["data"].reshape(-1, 3, side, side).transpose(0, 2, 3, 1)
            labels = np.asarray(file["labels"]) - 1
        yield from zip(images, labels.tolist(), strict=True)


def image_archive(path: Path) -> LabelledPictures:
    """The images of a .tar archive, sorted by name, in colour."""
    with reading(path, "an archive of images"):
        with open(path, "rb") as file:
            file.seek(-1024, io.SEEK_END)
            if any(file.read()):
                raise ValueError("the end-of-archive mark is missing")
        with tarfile.open(path) as archive:
            members = {
                m.name: m for m in archive.getmembers() if m.isfile() and is_image_name(m.name)
            }
            for name in sorted(members):
                yield _decoded(_member(archive, members[name]), f"{path}/{name}"), 0


def images(paths: list[Path]) -> LabelledPictures:
    """Image files, in colour."""
    for path in paths:
        with reading(path, "an image"):
            yield _decoded(path.read_bytes(), str(path)), 0


def zipped_images(path: Path, names: list[str]) -> LabelledPictures:
    """The images with these file names, from any folder inside a zip archive."""
    with reading(path, "a zip archive of images"), zipfile.ZipFile(path) as archive:
        places = {name.rpartition("/")[2]: name for name in archive.namelist()}
        for name in names:
            yield _decoded(archive.read(places[name]), f"{path}/{name}"), 0


def is_image_name(name: str) -> bool:
    """Whether a file of this name is taken for an image."""
    return name.lower().endswith(_IMAGES) and not name.rpartition("/")[2].startswith(".")


def _member(archive: tarfile.TarFile, member: tarfile.TarInfo | str) -> bytes:
    file = archive.extractfile(member)
    if file is None:
        raise ValueError(f"{member} is not a file")
    return file.read()


def _matlab(path: Path, names: tuple[str, ...]) -> Mapping[str, np.ndarray]:
    """These variables of a .mat file."""
    extras.require(f"reading {path.name}", "scipy")
    from scipy import io as scipy_io

    try:
        return scipy_io.loadmat(path, variable_names=names)
    except scipy_io.matlab.MatReadError as e:
        raise ValueError(str(e)) from e


def _decoded(content: bytes, name: str) -> np.ndarray:
    try:
        with Image.open(io.BytesIO(content)) as image:
            return np.asarray(image.convert("RGB"))
    except (OSError, ValueError, SyntaxError) as e:
        raise DataError(f"{name}: expected an image ({e})") from e
