"""Finds the images that a path or a pattern means, and decides what their numbers stand for."""

import dataclasses
import glob
import itertools
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from biva_tf.data.reading import files
from biva_tf.data.reading.arrays import ArrayRows, check_memory
from biva_tf.data.reading.files import Folder, shown
from biva_tf.data.reading.notes import ReadingNotes
from biva_tf.data.reading.picture_rows import PictureRows
from biva_tf.data.reading.rows import Rows
from biva_tf.data.reading.sampling import sample, survey
from biva_tf.data.reading.tables import TableRows
from biva_tf.data.reading.values import Unreadable
from biva_tf.data.sources import DataError
from biva_tf.errors import Setting, SettingsError
from biva_tf.model.pixels import BACKGROUND
from biva_tf.settings import Settings, setting

_TRIED = 100  # images, of which one has to be readable


@dataclasses.dataclass(frozen=True)
class Reading(Settings):
    """The settings by which a user's files are read."""

    column: str | None = setting(
        None,
        "Of Parquet files the column, of .npz files the array with the images; by default `image` "
        "and `images`, or the only one there is.",
    )
    background: int = setting(
        BACKGROUND,
        "The grey value behind the transparent parts of pictures: 255 is white, 0 is black.",
        lower=0,
        upper=255,
    )


def exists(text: str) -> bool:
    """Whether a text is the path of something, or a pattern that matches something."""
    return bool(_matches(text))


def find(
    text: str, reading: Reading, shape: tuple[int, ...], notes: ReadingNotes
) -> tuple[tuple[Rows, ...], bool]:
    """The images in the files and folders that a text names.

    Args:
      text: the path of a file or a folder, or a pattern of paths. What exists by its name is no
        pattern.
      reading: how files are read.
      shape: the shape of the model's images.
      notes: gets what was left out, changed or guessed.

    Returns:
      The images, in the order of their paths; and whether they are binary images, stored as
      integers 0 and 1.

    Raises:
      SettingsError: nothing is there.
      DataError: a file is of another kind or damaged, images are of several ranges, or there are
        none that the model reads.
    """
    return surveyed(list(_rows(text, reading, notes)), text, shape, notes)


def surveyed(
    found: Sequence[Rows], text: str, shape: tuple[int, ...], notes: ReadingNotes
) -> tuple[tuple[Rows, ...], bool]:
    """Decides what the numbers of images stand for, and checks that there are some; see `find`.

    Each array and each table has one meaning, and so have all pictures. All numbers of arrays and
    tables are looked at; of many pictures some, from all over the input.
    """
    found = [rows for rows in found if len(rows)]
    if not found:
        raise DataError(Setting("input", shown(text)), ": expected images, found none")
    scales = {}
    for rows in _together(found):
        scale = survey(sample(rows), shape, notes).scale(notes, _name(rows, text))
        _check(rows.scaled(scale), shape)
        scales[_key(rows)] = scale
    scaled = tuple(rows.scaled(scales[_key(rows)]) for rows in found)
    return scaled, all(scale.bits for scale in scales.values())


def _key(rows: Rows) -> Rows | None:
    """What has one scale: a file of many images, or all pictures (None)."""
    return None if isinstance(rows, PictureRows) else rows


def _name(rows: Rows, text: str) -> str:
    """What a scale is of, for a note: a file, or all pictures of the input."""
    return shown(text) if isinstance(rows, PictureRows) else next(rows.places())[0]


def images(text: str, reading: Reading, shape: tuple[int, ...], notes: ReadingNotes) -> tuple:
    """All images of an input in memory; all have to be readable.

    Args:
      text, reading, shape, notes: as in `find`.

    Returns:
      The images, [n, *shape], uint8 or float32 in [0, 1]; and whether they are binary images,
      stored as integers 0 and 1.

    Raises:
      SettingsError, DataError: as `find`; or an image cannot be read, or they are too many.
    """
    found, bits = find(text, reading, shape, notes)
    try:
        check_memory(4 * sum(map(len, found)) * int(np.prod(shape)))
    except ValueError as e:
        raise DataError(Setting("input", shown(text)), f": {e}") from e
    whole = []
    for rows in found:
        for (source, row), image in zip(rows.places(), rows.read(shape), strict=True):
            if isinstance(image, Unreadable):
                place = source if isinstance(rows, PictureRows) else f"{source}, row {row}"
                raise DataError(f"{place}: {image.reason}")
            whole.append(image)
    if len({image.dtype for image in whole}) > 1:
        raise DataError(
            Setting("input", shown(text)), ": expected integers or floats, got both; write one"
        )
    return np.stack(whole), bits


def _matches(text: str) -> list[Path]:
    path = Path(text).expanduser()
    if os.path.lexists(path):
        return [path]
    return [Path(match) for match in glob.glob(str(path), recursive=True)]


def _rows(text: str, reading: Reading, notes: ReadingNotes) -> Iterator[Rows]:
    # A sorted list of files, in which neighbouring pictures form one range.
    for pictures, paths in itertools.groupby(
        _files(text, notes), lambda path: files.is_picture(path.name)
    ):
        if pictures:
            yield PictureRows(tuple(paths), reading.background)
        else:
            yield from (_of_file(path, reading, notes) for path in paths)


def _files(text: str, notes: ReadingNotes) -> list[Path]:
    """The files that match, and those in the folders that do; each once, sorted."""
    matches = _matches(text)
    given = Setting("input", shown(text))
    if not matches:
        raise SettingsError(
            given, ": expected files, folders of pictures or a data set, found none"
        )
    if not is_exact(text):
        matches = files.visible(matches, notes)
    found = {path for path in matches if path.is_file()}
    folder = Folder(notes)
    for path in sorted(set(matches) - found):
        if path.is_dir():
            found.update(_in_folder(path, folder, notes))
        else:
            notes.add("left out, since it is no file or folder", shown(path))
    if not found:
        raise DataError(
            given, ": expected pictures, or .parquet, .npz or .npy files in the folder, found none"
        )
    return sorted(found)


def is_exact(text: str) -> bool:
    """Whether a text is the path of something, and so no pattern."""
    return os.path.lexists(Path(text).expanduser())


def _in_folder(path: Path, folder: Folder, notes: ReadingNotes) -> list[Path]:
    """The pictures in a folder; or else its tables; or else its arrays."""
    there = folder.files(path)
    for suffixes in (files.PICTURES, files.TABLES, files.ARRAYS):
        found = [file for file in there if file.name.lower().endswith(suffixes)]
        if found:
            for file in sorted(set(there) - set(found)):
                notes.add("left out, since they are of another kind", shown(file))
            return found
    return []


def _of_file(path: Path, reading: Reading, notes: ReadingNotes) -> Rows:
    name = path.name.lower()
    if name.endswith(files.ARRAYS):
        return ArrayRows.from_file(path, reading.column, notes)
    if name.endswith(files.TABLES):
        return TableRows.from_file(path, reading.column, notes, reading.background)
    raise DataError(f"{shown(path)}: expected a .parquet, .npz or .npy file, or a picture")


def _together(found: Sequence[Rows]) -> list[Rows]:
    """The images with all pictures as one range: one picture may be alone between other files."""
    of_pictures = [rows for rows in found if isinstance(rows, PictureRows)]
    others = [rows for rows in found if not isinstance(rows, PictureRows)]
    if not of_pictures:
        return others
    paths = tuple(path for rows in of_pictures for path in rows.paths)
    return [dataclasses.replace(of_pictures[0], paths=paths), *others]


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
