"""The versions of an exported model: folders that are named by their numbers, for TF Serving."""

from pathlib import Path

from biva_tf.errors import Setting, UserError


class ExportedError(UserError, RuntimeError):
    """A folder that is no export, or one of an earlier version; the message names it."""


def versions(export_dir: Path) -> list[int]:
    """The numbers of the versions under a folder, in any order; none if there is no folder."""
    return [int(path.name) for path in export_dir.glob("*") if path.name.isdecimal()]


def existing(export_dir: Path, version: int | None) -> Path:
    """The folder of the version of this number; by default of the newest.

    Raises:
      ExportedError: there is none.
    """
    numbers = versions(export_dir)
    place = Setting("export_dir", export_dir)
    if not numbers:
        raise ExportedError(place, ": expected the versions of biva_tf.export, found none")
    if version is not None and version not in numbers:
        there = ", ".join(map(str, sorted(numbers)))
        raise ExportedError(place, f": expected the version {version}, found {there}")
    return export_dir / str(max(numbers) if version is None else version)
