"""Finds the images that `input` means. The id of an image is its place among all of them."""

import glob
import itertools
from collections.abc import Iterator
from pathlib import Path

from biva_tf.batch_scoring import splits
from biva_tf.batch_scoring.arrays import ArrayRows
from biva_tf.batch_scoring.pictures import PictureRows
from biva_tf.batch_scoring.rows import Rows, Unreadable
from biva_tf.batch_scoring.splits import SplitRows, TfdsRows
from biva_tf.batch_scoring.tables import TableRows
from biva_tf.data import formats, pipeline
from biva_tf.data.pipeline import DataConfig
from biva_tf.data.sources import DataError
from biva_tf.errors import Setting, SettingsError
from biva_tf.model.spec import ModelSpec

_TFDS = "tfds:"
_TRIED = 100  # images, of which one has to be readable


def find(text: str, column: str | None, config: DataConfig, spec: ModelSpec) -> tuple[Rows, ...]:
    """The images of `input`, in the order of their ids.

    Args:
      text: a glob of files and folders; NAME or NAME/SPLIT of a data set that the project knows; or
        tfds:NAME/SPLIT of one in TFDS's format.
      column: of Parquet files the column, of .npz files the array; None for the usual names.
      config: how data sets are read; its `dataset` is that of `split_of`, if there is one.
      spec: the model's spec.

    Raises:
      SettingsError: nothing is there.
      DataError: a file is of another kind or damaged, or there are no images that the model reads.
    """
    all_rows = tuple(rows for rows in _rows(text, column, config, spec) if len(rows))
    if not all_rows:
        raise DataError(Setting("input", text), ": expected images, found none")
    # Pictures are checked together: one that is corrupt may be alone between other files.
    paths = [path for rows in all_rows if isinstance(rows, PictureRows) for path in rows.paths]
    others = [rows for rows in all_rows if not isinstance(rows, PictureRows)]
    for rows in [PictureRows(tuple(paths))] * bool(paths) + others:
        _check(rows, spec.image_shape)
    return all_rows


def split_of(text: str) -> tuple[str, str] | None:
    """The name and the split if `input` is a data set that the project knows, and no file."""
    name, _, split = text.partition("/")
    if name not in pipeline.names() or Path(text).exists():
        return None
    split = split or "test"
    if split not in pipeline.SPLITS:
        expected = ", ".join(f"{name}/{each}" for each in pipeline.SPLITS)
        raise SettingsError(Setting("input", text), f": expected one of {expected}")
    return name, split


def _rows(text: str, column: str | None, config: DataConfig, spec: ModelSpec) -> Iterator[Rows]:
    if text.startswith(_TFDS):
        name, _, split = text.removeprefix(_TFDS).rpartition("/")
        if not name:
            raise SettingsError(Setting("input", text), f": expected {_TFDS}NAME/SPLIT")
        yield TfdsRows.from_split(name, split, config.location.data_dir)
    elif known := split_of(text):
        dataset, split = known
        pipeline.check_fits(spec, splits.images(config, split), dataset)
        yield SplitRows.from_split(config, split)
    else:
        # A sorted list of files, in which neighbouring pictures form one range.
        is_picture = formats.is_image_name
        for pictures, files in itertools.groupby(_files(text), lambda path: is_picture(path.name)):
            if pictures:
                yield PictureRows(tuple(files))
            else:
                yield from (_of_file(path, column) for path in files)


def _files(text: str) -> list[Path]:
    """The files that match, and the pictures in the folders that do; each once, sorted."""
    matches = [Path(match) for match in glob.glob(text, recursive=True)]
    if not matches:
        raise SettingsError(
            Setting("input", text),
            ": expected files, folders of pictures or a data set, found none",
        )
    files = {path for path in matches if path.is_file()}
    for folder in set(matches) - files:
        files.update(formats.image_paths(folder))
    if not files:
        raise DataError(Setting("input", text), ": expected pictures in the folder, found none")
    return sorted(files)


def _of_file(path: Path, column: str | None) -> Rows:
    match path.suffix:
        case ".npz":
            return ArrayRows.from_file(path, column or "images")
        case ".parquet":
            return TableRows.from_file(path, column or "image")
        case _:
            raise DataError(f"{path}: expected a .parquet or .npz file, or a picture")


def _check(rows: Rows, shape: tuple[int, ...]) -> None:
    """Raises DataError if none of the first images can be read, so that all would be skipped."""
    number = min(len(rows), _TRIED)
    reasons = []
    for image in rows.part(0, number).read(shape):
        if not isinstance(image, Unreadable):
            return
        reasons.append(image.reason)
    source, _ = next(rows.places())
    more = f" (and {number - 1} more images like it)" if number > 1 else ""
    raise DataError(f"{source}: {reasons[0]}{more}")
