"""Files and folders: what counts as an input, what is left out, how names are shown."""

import os
from collections.abc import Iterator
from pathlib import Path

from biva_tf.data.reading.notes import ReadingNotes

PICTURES = (".png", ".jpg", ".jpeg", ".bmp", ".webp", ".gif", ".tif", ".tiff")
TABLES = (".parquet",)
ARRAYS = (".npz", ".npy")

_HIDDEN = "left out, since their names begin with . or _"


def shown(path: Path | str) -> str:
    """A path for messages and output: what is not UTF-8, or a control character, is escaped."""
    text = os.fsencode(path).decode("utf-8", "backslashreplace")
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def is_picture(name: str) -> bool:
    """Whether a file of this name is taken for a picture."""
    return name.lower().endswith(PICTURES)


def is_hidden(name: str) -> bool:
    """Whether a file or folder of this name is left out, if it is not named itself."""
    return name.startswith((".", "_"))


class Folder:
    """The files in a folder and its sub-folders, in the order of their paths.

    Links to folders are followed. A folder that several paths lead to is read under the first of
    them, so that a link that leads back makes no loop.

    Args:
      notes: gets what is left out.
    """

    def __init__(self, notes: ReadingNotes):
        self._notes = notes
        self._seen: set[tuple[int, int]] = set()

    def files(self, folder: Path) -> list[Path]:
        """All files but the hidden ones; those of one folder or of several in turn."""
        return sorted(self._walk(folder))

    def of_kind(self, folder: Path, suffixes: tuple[str, ...]) -> list[Path]:
        """The files whose names end so, in any case; the others are noted as left out."""
        found = []
        for path in self.files(folder):
            if path.name.lower().endswith(suffixes):
                found.append(path)
            else:
                self._notes.add(f"left out, since they are no {_kind(suffixes)}", shown(path))
        return found

    def _walk(self, folder: Path) -> Iterator[Path]:
        try:
            status = folder.stat()
            if (status.st_dev, status.st_ino) in self._seen:
                self._notes.add("left out, since it was read under another name", shown(folder))
                return
            self._seen.add((status.st_dev, status.st_ino))
            with os.scandir(folder) as scanned:
                entries = sorted(scanned, key=lambda entry: (entry.is_symlink(), entry.name))
        except OSError as e:
            self._notes.add(f"left out, since it cannot be read ({e.strerror})", shown(folder))
            return
        for entry in entries:
            path = folder / entry.name
            if is_hidden(entry.name):
                self._notes.add(_HIDDEN, shown(path))
            elif _is_dir(entry):
                yield from self._walk(path)
            elif path.is_file():
                yield path
            else:
                what = "the link leads nowhere" if entry.is_symlink() else "it is no regular file"
                self._notes.add(f"left out, since {what}", shown(path))


def visible(paths: list[Path], notes: ReadingNotes) -> list[Path]:
    """The paths that are not hidden; the others are noted."""
    for path in paths:
        if is_hidden(path.name):
            notes.add(_HIDDEN, shown(path))
    return [path for path in paths if not is_hidden(path.name)]


def _is_dir(entry: os.DirEntry) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself
        return False


def _kind(suffixes: tuple[str, ...]) -> str:
    return {PICTURES: "pictures", TABLES: "tables", ARRAYS: "arrays"}[suffixes]
