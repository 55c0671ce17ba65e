"""Reads data sets in TFDS's format as uint8 arrays.

The first read of a split decodes its images and writes them to a file beside the data set. Later
reads use that file: they load a small split into memory and map a large one from disk.
"""

import contextlib
import dataclasses
import errno
import math
import os
import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from biva_tf.data import network
from biva_tf.data.sources import DataError, Info, Location, NotPreparedError, Source, Split
from biva_tf.errors import Setting, UserError
from biva_tf.files import reserve, temporary_beside
from biva_tf.locks import only_one

_IN_MEMORY = 2**30  # bytes; larger splits are mapped from disk
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@dataclasses.dataclass(frozen=True)
class Prepared:
    """A data set in TFDS's format from which a source can be read.

    Attributes:
      dataset: the folder of the data set under data_dir. If TFDS has the data set, this is its name
        in TFDS: "cifar10", "downsampled_imagenet/32x32".
      splits: maps the name of each split of the source to its name in the data set.
      image: turns a stored image into an image of the source, both uint8; None changes nothing.
      variant: a name for what `image` does; it becomes part of the name of the decoded file.
    """

    dataset: str
    splits: Mapping[str, str]
    image: Callable[[np.ndarray], np.ndarray] | None = None
    variant: str = "images"


def own_name(source: str) -> str:
    """The name that `preparation.prepare` gives to the data set of a source."""
    return f"biva_tf_{source}"


def read(name: str, location: Location, info: Info, in_tfds: Prepared | None = None) -> Source:
    """Reads a source from the data set that was prepared for it, or else from the one of TFDS.

    Args:
      name: the name of the source.
      location: the folder of the data sets, and whether TFDS may download a missing one.
      info: the source's shape and counts.
      in_tfds: the data set in TFDS; None if TFDS does not have it.

    Raises:
      DataError: neither data set was found (the message says what to do), or the one found is
        damaged or has images of another shape.
    """
    own = Prepared(own_name(name), {split: split for split in ("train", "validation", "test")})
    prepared, folder = locate(name, location, own, in_tfds)
    return _source(name, prepared, folder, info)


def locate(
    name: str, location: Location, own: Prepared | None, in_tfds: Prepared | None
) -> tuple[Prepared, Path]:
    """Finds the data set that a source is read from, or lets TFDS download it.

    Args:
      name: the name of the source.
      location: the folder of the data sets, and whether TFDS may download a missing one.
      own: the data set that `preparation.prepare` makes from files; None if it makes none.
      in_tfds: the data set in TFDS; None if TFDS does not have it.

    Returns:
      The one of the two that was found, and its folder.

    Raises:
      NotPreparedError: neither was found. The message says what to do.
    """
    for prepared in (own, in_tfds):
        if prepared is not None and (folder := find(prepared, location.data_dir)):
            return prepared, folder
    if location.download and in_tfds is not None:
        return in_tfds, download(in_tfds, location.data_dir)
    data_dir = Setting("data_dir", location.data_dir)
    missing = (Setting("dataset", name), ": not found in ", data_dir, ".")
    by_tfds = _command(name, location, by_tfds=True)
    if own is None:
        raise NotPreparedError(*missing, f" Let TFDS fetch it with: {by_tfds}")
    fetch = f" (or let TFDS fetch it with: {by_tfds})" if in_tfds is not None else ""
    by_files = _command(name, location, by_tfds=False)
    raise NotPreparedError(*missing, f" Prepare it with: {by_files}{fetch}")


def _command(name: str, location: Location, *, by_tfds: bool) -> str:
    """The command line that prepares a data set from files, or lets TFDS fetch it."""
    folder = location.data_dir
    if by_tfds:
        return f"python -m biva_tf.prepare_data --dataset={name} --data_dir={folder} --download"
    return f"python -m biva_tf.prepare_data --dataset={name} --data_dir={folder}"


def find(prepared: Prepared, data_dir: Path) -> Path | None:
    """The folder of the newest version of the data set; None if there is none."""
    versions = (data_dir / prepared.dataset).glob("*.*.*/dataset_info.json")
    return max((path.parent for path in versions), key=_version, default=None)


def _version(folder: Path) -> tuple[int, ...]:
    return tuple(int(part) for part in folder.name.split(".") if part.isdigit())


def download(prepared: Prepared, data_dir: Path) -> Path:
    """Lets TFDS prepare a data set; returns its folder.

    Raises:
      NoNetworkError: the server of the files does not answer.
      LockedError: another process prepares it.
      DataError: TFDS cannot prepare the data set.
    """
    import tensorflow_datasets as tfds

    place = Setting("data_dir", data_dir)
    what = f"preparation of {prepared.dataset}"
    try:
        builder = tfds.builder(prepared.dataset, data_dir=str(data_dir))
        network.check(builder.url_infos or (), data_dir / "downloads")
        # TFDS lets each of two processes download all files, and one of them then fails.
        with only_one(data_dir / prepared.dataset, place, what):
            builder.download_and_prepare()
    except UserError:
        raise
    except Exception as e:  # many kinds: network, server, disk
        raise DataError(
            Setting("download"), f": TFDS could not prepare {prepared.dataset}: {e}"
        ) from e
    return Path(builder.data_path)


def open_builder(folder: Path) -> Any:
    """The TFDS builder of a data set in TFDS's format. DataError if it is none."""
    import tensorflow_datasets as tfds

    try:
        return tfds.builder_from_directory(str(folder))
    except Exception as e:  # TFDS raises many kinds of errors for files that it cannot read
        raise DataError(f"{folder}: expected a data set in TFDS's format ({e})") from e


def check_split(builder, split: str) -> None:
    """Raises DataError if a data set does not have a split of this name."""
    if split not in builder.info.splits:
        present = ", ".join(builder.info.splits)
        raise DataError(f"{builder.data_path}: expected a split {split!r}, it has {present}")


def _source(name: str, prepared: Prepared, folder: Path, info: Info) -> Source:
    builder = open_builder(folder)
    shape = info.image_shape
    splits: dict[str, Any] = {}
    for ours, theirs in prepared.splits.items():
        if ours == "validation" and theirs not in builder.info.splits:
            continue
        check_split(builder, theirs)
        splits[ours] = _split(name, prepared, builder, folder, theirs, shape)
        shape = splits[ours].images.shape[1:]
    return Source(**splits)


def _split(name, prepared, builder, folder: Path, split: str, image_shape) -> Split:
    images, labels = (
        folder / f"biva_tf-{split}-{prepared.variant}-{part}.npy" for part in ("x", "y")
    )
    count = builder.info.splits[split].num_examples
    if image_shape is None:  # a user's own images: the first one sets the shape
        image_shape = next(iter(examples(builder, split)))["image"].shape
    try:
        return Split(_load(images, (count, *image_shape)), _load(labels, (count,)))
    except (OSError, ValueError, EOFError):
        return _decode(name, prepared, builder, split, image_shape, count, images, labels)


def _load(path: Path, shape: tuple[int, ...]) -> np.ndarray:
    mapped = np.load(path, mmap_mode="r")
    if mapped.shape != shape:
        raise ValueError(f"expected shape {shape}, got {mapped.shape}")
    return mapped if mapped.nbytes > _IN_MEMORY else np.array(mapped)


def _decode(name, prepared, builder, split, image_shape, count, images_path, labels_path) -> Split:
    shape = (count, *image_shape)
    with _file_for(images_path, shape) as images:
        labels = np.zeros(count, np.int64)
        bar = tqdm(
            examples(builder, split),
            f"{name} {split}",
            count,
            unit="image",
            disable=not sys.stderr.isatty(),
        )
        done = 0
        for done, example in enumerate(bar, start=1):
            image = example["image"]
            if prepared.image is not None:
                image = prepared.image(image)
            if image.shape != tuple(image_shape):
                raise DataError(
                    f"{builder.data_path}: expected images of shape {tuple(image_shape)} in "
                    f"{split}, example {done - 1} has {image.shape}"
                )
            images[done - 1] = image
            labels[done - 1] = example.get("label", 0)
        if done != count:
            raise DataError(f"{builder.data_path}: expected {count} images in {split}, got {done}")
    with contextlib.suppress(OSError), _file_for(labels_path, (count,), np.int64) as file:
        file[:] = labels
    if images_path.exists():
        return Split(_load(images_path, shape), labels)
    return Split(np.asarray(images), labels)


def examples(builder, split: str, *, in_order: bool = False) -> Iterable[dict[str, Any]]:
    """The examples of a split, one by one.

    Args:
      builder: the data set's builder.
      split: its name, or a range of it: "test[100:200]".
      in_order: shard after shard, as ranges count; else some shards at a time.

    Raises:
      DataError: they cannot be read.
    """
    import tensorflow as tf
    import tensorflow_datasets as tfds

    try:
        read = tfds.ReadConfig(interleave_cycle_length=1) if in_order else None
        dataset = builder.as_dataset(split=split, shuffle_files=False, read_config=read)
        yield from tfds.as_numpy(dataset)
    except (tf.errors.OpError, OSError, ValueError) as e:
        raise DataError(f"{builder.data_path}: the data set cannot be read: {e}") from e


@contextlib.contextmanager
def _file_for(path: Path, shape: tuple[int, ...], dtype=np.uint8):
    """Yields an array to fill, and saves it as the file `path` if no error occurs.

    If the folder cannot be written, the array is only in memory and nothing is saved.

    Raises:
      OSError: the disk has no room for the array, and it is too large for memory.
    """
    temporary, nbytes = temporary_beside(path), np.dtype(dtype).itemsize * math.prod(shape)
    try:
        array = np.lib.format.open_memmap(temporary, "w+", dtype, shape)
        reserve(temporary)
    except OSError as e:
        temporary.unlink(missing_ok=True)
        if e.errno in _NO_ROOM:
            said = f"{path}: no room for {nbytes / 2**20:,.1f} MiB of decoded images"
            if nbytes > _IN_MEMORY:
                raise OSError(e.errno, f"{said} ({e.strerror})") from e
            print(f"note: {said}; they are only kept in memory", file=sys.stderr)
        yield np.zeros(shape, dtype)
        return
    try:
        yield array
        array.flush()
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
