"""Makes a data set in TFDS's format from files that a user downloaded."""

import contextlib
import dataclasses
import hashlib
import io
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import IO

import numpy as np
from tqdm import tqdm

from biva_tf.data import prepared
from biva_tf.data.formats import LabelledPictures, gzipped_or_not, open_unzipped, reading
from biva_tf.data.prepared import own_name
from biva_tf.data.sources import DataError, Info, Location
from biva_tf.errors import Setting
from biva_tf.files import naming, remove
from biva_tf.locks import only_one

VERSION = "1.0.0"
_BLOCK = 2**20


@dataclasses.dataclass(frozen=True)
class File:
    """A file that a data set is made from.

    Attributes:
      name: the name of the file, or a pattern that matches several files.
      origin: where to get it.
      sha256: its checksum. None if no checksum is published; then the number of images is checked.
      gzipped: it is published as NAME.gz. `sha256` is then that of the unzipped content, so that
        the same content passes however it was zipped, and unzipped too.
    """

    name: str
    origin: str
    sha256: str | None = None
    gzipped: bool = False

    @property
    def published_name(self) -> str:
        """The name under which the file is published."""
        return f"{self.name}.gz" if self.gzipped else self.name

    def find(self, folder: Path) -> list[Path]:
        """The paths in a folder that this file, or pattern, stands for."""
        if self.gzipped:
            path = gzipped_or_not(folder, self.name)
            return [path] if path.exists() else []
        return sorted(folder.glob(self.name))


@dataclasses.dataclass(frozen=True)
class Recipe:
    """How to make a data set from files.

    Attributes:
      files: the files that must be in the folder.
      examples: takes the folder and returns the examples of each split.
      counts: maps the name of each known version to its number of images in each split; empty if
        any number is allowed.
      alternatives: whether some files can replace others, so that not all are needed. `examples`
        then raises DataError for the missing ones.
      labels: takes the folder and returns the names of the labels; None if they are numbers, or if
        there are none.
    """

    files: tuple[File, ...]
    examples: Callable[[Path], Mapping[str, LabelledPictures]]
    counts: Mapping[str, Mapping[str, int]]
    alternatives: bool = False
    labels: Callable[[Path], tuple[str, ...] | None] | None = None

    def instructions(self) -> str:
        """Lists the files, where to get them, and their checksums."""
        lines = []
        for file in self.files:
            verified = f"sha256 {file.sha256}" if file.sha256 else "verified by its contents"
            if file.gzipped:
                verified += " once unzipped"
            lines.append(f"  {file.published_name}\n    from {file.origin}\n    {verified}")
        return "\n".join(lines)


def prepare(
    name: str, info: Info, recipe: Recipe, folder: Path, data_dir: Path, *, subset: bool
) -> Path:
    """Makes the data set of a source.

    Args:
      name: the name of the source.
      info: the source's shape and counts.
      recipe: how to make the data set.
      folder: the folder with the files.
      data_dir: the folder of prepared data sets, which gets the new one.
      subset: accept files and numbers of images other than the published ones.

    Returns:
      The folder of the data set.

    Raises:
      DataError: a file is missing, damaged, or not the published one; no partial data set is left
        behind. Or the data set exists already.
      LockedError: another process makes it.
      OSError: it cannot be written; no partial data set is left behind.
    """
    target = data_dir / own_name(name) / VERSION
    with only_one(target.parent, Setting("data_dir", data_dir), f"preparation of {name}"):
        if (target / "dataset_info.json").exists():
            raise DataError(f"{target}: there is a data set already; remove it to make another")
        if target.exists():
            print(f"note: {target} is not whole; it is made again", file=sys.stderr)
        incomplete = target.parent / "incomplete"
        remove([target, incomplete])  # left by a process that was killed
        try:
            with naming(target):
                _store(name, info, recipe, folder, incomplete, subset=subset)
                prepared.read(name, Location(incomplete), info)  # which stores decoded images too
                os.replace(incomplete / own_name(name) / VERSION, target)
        finally:
            remove([incomplete])
    return target


def _store(
    name: str, info: Info, recipe: Recipe, folder: Path, data_dir: Path, *, subset: bool
) -> None:
    """Writes the data set of a source; as `prepare`."""
    import tensorflow_datasets as tfds

    files = recipe.files
    if recipe.alternatives:
        files = tuple(file for file in files if file.find(folder)) or files
    for file in files:
        _check(folder, file, subset)
    counts: dict[str, int] = {}
    shape = info.image_shape

    def counted(split: str, examples: LabelledPictures) -> Iterator[tuple[int, dict]]:
        nonlocal shape
        bar = tqdm(examples, f"{name} {split}", unit="image", disable=not sys.stderr.isatty())
        for count, (image, label) in enumerate(bar, start=1):
            if image.shape != (shape := shape or image.shape):
                raise DataError(
                    f"{folder}: expected images of shape {shape}, "
                    f"image {count - 1} of {split} has {image.shape}"
                )
            counts[split] = count
            yield count, {"image": np.ascontiguousarray(image), "label": label}
        if (
            recipe.counts
            and not subset
            and counts.get(split, 0) not in {c[split] for c in recipe.counts.values()}
        ):
            known = ", ".join(f"{c[split]:,} ({version})" for version, c in recipe.counts.items())
            raise DataError(
                f"{folder}: expected {known} images in {split}, got {counts.get(split, 0):,}"
            )

    tfds.disable_progress_bar()  # it has bars of its own beside ours
    splits = {
        split: counted(split, examples) for split, examples in recipe.examples(folder).items()
    }
    names = recipe.labels(folder) if recipe.labels is not None else None
    features = tfds.features.FeaturesDict(
        {
            "image": tfds.features.Image(
                shape=info.image_shape or (None, None, 3), encoding_format="png"
            ),
            "label": (
                tfds.features.ClassLabel(names=names) if names else tfds.features.Scalar(np.int64)
            ),
        }
    )
    with contextlib.redirect_stdout(io.StringIO()):  # TFDS says where the data set is for now
        tfds.dataset_builders.store_as_tfds_dataset(
            name=own_name(name),
            version=VERSION,
            features=features,
            split_datasets=splits,
            data_dir=str(data_dir),
            disable_shuffling=True,
        )


def _open(path: Path) -> IO[bytes]:
    return open(path, "rb")


def _check(folder: Path, file: File, subset: bool) -> None:
    paths = file.find(folder)
    if not paths:
        raise DataError(
            f"{folder}: expected a file {file.published_name} in it, from {file.origin}"
        )
    if file.sha256 is None or subset:
        return
    digest = hashlib.sha256()
    opened: Callable[[Path], IO[bytes]] = open_unzipped if file.gzipped else _open
    with reading(paths[0], "a file that is whole"), opened(paths[0]) as content:
        while block := content.read(_BLOCK):
            digest.update(block)
    if digest.hexdigest() != file.sha256:
        raise DataError(
            f"{paths[0]}: expected sha256 {file.sha256}, got {digest.hexdigest()}; ",
            Setting("subset"),
            " accepts it anyway",
        )
