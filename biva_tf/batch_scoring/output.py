"""The folder of the scores: a file for each finished part, and what they were computed from."""

import csv
import dataclasses
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from biva_tf import artefacts
from biva_tf.batch_scoring import part_files
from biva_tf.batch_scoring.parts import Skipped
from biva_tf.errors import Setting, UserError
from biva_tf.files import write_atomically, write_json


class OutputError(UserError, RuntimeError):
    """A folder that has something else; the message says what differs."""


class ScoresFolder:
    """The folder of the scores.

    `scores.json` has all that the scores depend on. `parts/` has a Parquet file for each finished
    part, written whole or not at all. `skipped.csv`, written at the end, lists the images that
    could not be read.

    Args:
      folder: it may be one that was begun before, with the same `about`.
      about: all that the scores depend on, as plain data, by what it is called in messages.

    Raises:
      OutputError: the folder has the scores of something else, or other files.
    """

    def __init__(self, folder: Path, about: dict[str, Any]):
        self._folder, self._parts = folder, folder / "parts"
        path = folder / "scores.json"
        about = json.loads(json.dumps(about))  # as it is read
        try:
            _, before = artefacts.read(json.loads(path.read_text()), "scores")
        except FileNotFoundError:
            if folder.exists() and any(folder.iterdir()):
                raise OutputError(
                    Setting("output", folder),
                    ": expected a new folder or one of scores, it has other files",
                ) from None
            self._parts.mkdir(parents=True)
            write_json(path, artefacts.stamped("scores", about))
            return
        except ValueError as e:
            raise OutputError(f"{path}: expected JSON, as this tool writes it ({e})") from e
        if differences := list(_differences(before, about)):
            raise OutputError(
                Setting("output", folder),
                f" has the scores of something else: {'; '.join(differences)}. Name another folder",
            )
        for unfinished in self._parts.glob(".*.tmp"):  # of a process that was killed
            unfinished.unlink()

    def has(self, index: int) -> bool:
        """Whether a part is finished."""
        return self._path(index).exists()

    def write(self, index: int, content: bytes) -> None:
        """Writes the file of a finished part."""
        write_atomically(self._path(index), content)

    def finish(self, number: int) -> "Scores":
        """Reads the files of all parts, and writes the list of the skipped images.

        Args:
          number: the number of parts.

        Raises:
          OutputError: a file was damaged since.
        """
        bounds: list[np.ndarray] = []
        skipped: list[Skipped] = []
        for path in map(self._path, range(number)):
            try:
                part_result = part_files.result(path)
            except (OSError, ValueError) as e:
                raise OutputError(
                    f"{path}: expected the file of a part ({e}); delete it, and the same command "
                    "writes it again"
                ) from e
            bounds.append(part_result.bounds)
            skipped += part_result.skipped
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(field.name for field in dataclasses.fields(Skipped))
        writer.writerows(map(dataclasses.astuple, skipped))
        path = self._folder / "skipped.csv"
        write_atomically(path, text.getvalue().encode())
        return Scores(self._parts, np.concatenate(bounds), tuple(skipped), path)

    def _path(self, index: int) -> Path:
        return self._parts / f"{index:06}.parquet"


@dataclasses.dataclass(frozen=True)
class Scores:
    """The scores of all images.

    Attributes:
      parts: the folder of the Parquet files.
      bounds: L_K of every image that was scored, nats, by id.
      skipped: the images that could not be read.
      skipped_path: the file that lists them.
    """

    parts: Path
    bounds: np.ndarray
    skipped: tuple[Skipped, ...]
    skipped_path: Path


def _differences(before: Any, now: Any, name: str = "") -> Iterator[str]:
    """Says in which values two pieces of plain data differ."""
    pairs = None
    if isinstance(before, dict) and isinstance(now, dict):
        pairs = {key: (before.get(key), now.get(key)) for key in {**before, **now}}
    elif _are_tables(before, now) and len(before) == len(now):
        pairs = {f"{i}": pair for i, pair in enumerate(zip(before, now, strict=True))}
    if pairs is None:
        if before != now:
            yield f"{name} was {_short(before)}, now {_short(now)}"
        return
    for key, pair in pairs.items():
        yield from _differences(*pair, f"{name} {key}".lstrip())


def _are_tables(*values: Any) -> bool:
    """Whether they are lists of dicts."""
    return all(isinstance(v, list) and all(isinstance(e, dict) for e in v) for v in values)


def _short(value: Any) -> str:
    if value and _are_tables(value):
        return f"{len(value)} of them"
    return json.dumps(value)
