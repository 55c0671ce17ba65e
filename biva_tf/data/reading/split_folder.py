"""A folder of pictures as a data set: splits, labels, one size, one range."""

import collections
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from biva_tf.data.reading import files, pictures
from biva_tf.data.reading.files import Folder, shown
from biva_tf.data.reading.notes import ReadingNotes, bounded
from biva_tf.data.reading.picture_rows import PictureRows
from biva_tf.data.reading.sampling import sample, survey
from biva_tf.data.reading.values import Unreadable, sizes
from biva_tf.data.sources import DataError
from biva_tf.model.pixels import BACKGROUND

# The names of folders of splits, in lower case.
_SPLITS = {
    "train": "train",
    "test": "test",
    "val": "validation",
    "valid": "validation",
    "validation": "validation",
}
_EVERY = 10  # without such folders, every tenth picture is for the test
_CHANNELS = 3


class SplitFolder:
    """The pictures of a data set.

    The folder has the folders `train` and `test`, and maybe `val`, `valid` or `validation`, in
    upper or lower case. Without them, the pictures are sorted by path, and every tenth one is for
    the test. If all pictures of the splits are in sub-folders, these are their labels, as in TFDS's
    ImageFolder.

    Args:
      folder: its path.
      notes: gets what is left out, and what is changed.
      background: the grey value behind transparent pixels.

    Attributes:
      labels: the names of the labels, sorted; None if there are none.

    Raises:
      DataError: two folders are of one split, the training or the test split has no pictures, or
        both would have to share a single one.
    """

    def __init__(self, folder: Path, notes: ReadingNotes, background: int = BACKGROUND):
        self._folder, self._notes, self._background = folder, notes, background
        self._paths, self._labels = self._found()
        self._check_number()
        names = {label for label in self._labels.values() if label is not None}
        of_all = all(label is not None for label in self._labels.values())
        self.labels = tuple(sorted(names)) if of_all else None
        if names and not of_all:
            notes.add(
                "sub-folders are no labels, since there are pictures beside them", shown(folder)
            )

    def splits(self) -> Mapping[str, Iterator[tuple[np.ndarray, int]]]:
        """The pictures of each split, uint8 [h, w, 3], with their labels, 0 if there are none.

        Pictures that cannot be read are left out.

        Raises:
          DataError: the pictures are of several sizes, or of several ranges; now, before any is
            given, or on the way if the file shows it only then. No picture can be read.
        """
        size, broken = self._one_size()
        paths = {
            split: [path for path in paths if path not in broken]
            for split, paths in self._paths.items()
        }
        every = [path for split in paths.values() for path in split]
        rows = PictureRows(tuple(every), self._background)
        scale = survey(sample(rows), (*size, _CHANNELS), ReadingNotes()).scale(
            self._notes, shown(self._folder)
        )
        return {split: self._read(split, paths[split], size, scale) for split in paths}

    def _read(self, split: str, paths: Sequence[Path], size, scale):
        shape = (*size, _CHANNELS)
        number = 0
        for path in paths:
            rows = PictureRows((path,), self._background, scale)
            (image,) = rows.read(shape, self._notes)
            if isinstance(image, Unreadable):
                self._leave_out(path, image)
                continue
            number += 1
            label = self._labels[path]
            yield image, self.labels.index(label) if self.labels and label else 0
        if not number and split != "validation":
            raise DataError(
                f"{shown(self._folder)}: expected pictures for the {split} split, none can be read"
            )

    def _one_size(self) -> tuple[tuple[int, int], set[Path]]:
        """Height and width of the pictures, and those that cannot be read."""
        of_size: dict[tuple[int, int], list[Path]] = collections.defaultdict(list)
        broken: dict[Path, Unreadable] = {}
        for path in (path for paths in self._paths.values() for path in paths):
            size = pictures.size(path)
            if isinstance(size, Unreadable):
                broken[path] = size
            else:
                of_size[size].append(path)
        if not of_size:
            path, reason = next(iter(broken.items()))
            raise DataError(f"{shown(path)}: {reason.reason}; no picture can be read")
        usual = max(of_size, key=lambda size: len(of_size[size]))
        # A picture of another size may be one that is cut off, and is then left out as such.
        for size in [size for size in of_size if size != usual]:
            for path in of_size[size]:
                image = pictures.decode(path, _CHANNELS)
                if isinstance(image, Unreadable):
                    broken[path] = image
            of_size[size] = [path for path in of_size[size] if path not in broken]
            if not of_size[size]:
                del of_size[size]
        if len(of_size) > 1:
            ordered = sorted(of_size.items(), key=lambda item: -len(item[1]))
            text = "; ".join(
                f"{len(paths):,} of {sizes(size)} ({self._names(paths)})"
                for size, paths in ordered[:5]
            )
            more = f"; and {len(ordered) - 5} more sizes" if len(ordered) > 5 else ""
            raise DataError(
                f"{shown(self._folder)}: expected pictures of one size, got {text}{more}"
            )
        for path, reason in broken.items():
            self._leave_out(path, reason)
        return usual, set(broken)

    def _names(self, paths: Sequence[Path]) -> str:
        names = [shown(path.relative_to(self._folder)) for path in paths]
        return bounded(names, len(names))

    def _check_number(self) -> None:
        """Raises DataError if there is no picture to train on, or none for the test."""
        folder, every = shown(self._folder), [p for paths in self._paths.values() for p in paths]
        if not every:
            raise DataError(f"{folder}: expected pictures, found none")
        if len(every) == 1:
            # It is not taken for both: the test would be of memory, and nothing would say so.
            raise DataError(
                f"{folder}: expected at least two pictures, one to train on and one for the test, "
                f"found {self._names(every)} alone; to test on the picture that is trained on, put "
                "a copy of it into each of the folders train and test"
            )
        for split in ("train", "test"):
            if not self._paths.get(split):
                raise DataError(
                    f"{folder}: expected pictures for the {split} split, found none; put some into "
                    f"its folder {split}"
                )

    def _leave_out(self, path: Path, image: Unreadable) -> None:
        self._notes.add("left out", f"{shown(path)} ({image.reason})")

    def _found(self) -> tuple[dict[str, list[Path]], dict[Path, str | None]]:
        """The pictures of each split, and the label of each picture."""
        walk = Folder(self._notes)
        folders: dict[str, Path] = {}
        others = []
        for path in sorted(self._folder.iterdir()):
            split = _SPLITS.get(path.name.lower()) if path.is_dir() else None
            if split is None:
                others.append(path)
            elif split in folders:
                raise DataError(
                    f"{shown(path)}: expected one folder of the {split} split, "
                    f"{shown(folders[split])} is another"
                )
            else:
                folders[split] = path
        if not folders:
            paths = walk.of_kind(self._folder, files.PICTURES)
            labels = {path: _label(self._folder, path) for path in paths}
            train = [path for i, path in enumerate(paths) if i % _EVERY]
            return {"train": train, "test": paths[::_EVERY]}, labels
        for path in files.visible(others, self._notes):
            self._notes.add("left out, since they are in no folder of a split", shown(path))
        found: dict[str, list[Path]] = {
            split: walk.of_kind(folders[split], files.PICTURES)
            for split in ("train", "validation", "test")
            if split in folders
        }
        labels = {
            path: _label(folders[split], path) for split, paths in found.items() for path in paths
        }
        return found, labels


def _label(folder: Path, path: Path) -> str | None:
    """The sub-folder of a split that a picture is in."""
    parts = path.relative_to(folder).parts
    return shown(os.fspath(parts[0])) if len(parts) > 1 else None
