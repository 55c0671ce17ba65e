"""Whether a command can write what it is asked for, known before it computes for hours."""

import os
from pathlib import Path

from biva_tf.errors import Setting, SettingsError


def check_place(name: str, path: str) -> None:
    """Checks that a file or a folder can be made at a path, where missing folders are made too.

    Args:
      name: the setting that gives the path.
      path: the path.

    Raises:
      SettingsError: it would be in a file, or in a folder that cannot be written.
    """
    place = Setting(name, path)
    folder = next(parent for parent in Path(path).absolute().parents if parent.exists())
    if not folder.is_dir():
        raise SettingsError(place, f": expected a place in a folder, but {folder} is a file")
    _check_writable(place, folder)


def check_folder(name: str, path: str | Path) -> None:
    """Checks that files can be written to a folder, which is made if it is missing.

    Args:
      name: the setting that gives the folder.
      path: the folder.

    Raises:
      SettingsError: they cannot, or it is a file.
    """
    if not os.path.lexists(path):
        check_place(name, str(path))
    elif not Path(path).is_dir():
        raise SettingsError(Setting(name, path), ": expected a folder, got a file")
    else:
        _check_writable(Setting(name, path), Path(path).absolute())


def _check_writable(place: Setting, folder: Path) -> None:
    if os.statvfs(folder).f_flag & os.ST_RDONLY:
        raise SettingsError(
            place, f": the folder {folder} is on a read-only file system; name another place"
        )
    if not os.access(folder, os.W_OK | os.X_OK):
        raise SettingsError(
            place,
            f": the folder {folder} cannot be written; its permissions have to allow it, or name "
            "another place",
        )


def check_file(name: str, path: str, given: str | None = None) -> None:
    """Checks that a file can be written at a path, beside `check_place`.

    Args:
      name: the setting that gives the path.
      path: the path.
      given: the path of the setting `input`, which is not to be written over.

    Raises:
      SettingsError: it cannot, or it is the input's.
    """
    check_place(name, path)
    if Path(path).is_dir():
        raise SettingsError(Setting(name, path), ": expected a file, got a folder")
    if given and Path(path).exists() and Path(given).exists() and Path(path).samefile(given):
        raise SettingsError(Setting(name, path), ": expected another file than ", Setting("input"))
