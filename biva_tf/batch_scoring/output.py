"""The folder of the scores: a file for each finished part, and what they were computed from."""

import csv
import dataclasses
import hashlib
import io
import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from biva_tf import artefacts, locks
from biva_tf.batch_scoring import part_files
from biva_tf.batch_scoring.parts import Part, Skipped, fingerprints
from biva_tf.batch_scoring.sealed import DamageError
from biva_tf.data.reading.rows import Rows
from biva_tf.errors import Setting, UserError
from biva_tf.files import remove, remove_remains, write_atomically, write_json

_NAMED = 10  # files in a message


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

    Attributes:
      run: a hash of `about`, by which a part is known as one of these scores.

    Raises:
      OutputError: the folder has the scores of something else, or other files.
    """

    def __init__(self, folder: Path, about: dict[str, Any]):
        self._folder, self._parts = folder, folder / "parts"
        path = folder / "scores.json"
        about = json.loads(json.dumps(about))  # as it is read
        self.run = hashlib.blake2b(
            json.dumps(about, sort_keys=True).encode(), digest_size=16
        ).hexdigest()
        remove_remains(path, folder / "skipped.csv")
        remove(self._parts.glob(".*.tmp"))
        try:
            _, before = artefacts.load(path, "scores")
        except FileNotFoundError:
            if not self._is_new():
                raise OutputError(
                    Setting("output", folder),
                    ": expected a new folder or one of scores, it has other files",
                ) from None
            self._parts.mkdir(parents=True, exist_ok=True)
            write_json(path, artefacts.stamped("scores", about))
            return
        except ValueError as e:
            raise OutputError(f"{path}: expected what this tool writes: {e}") from e
        if differences := list(_differences(before, about)):
            raise OutputError(
                Setting("output", folder),
                f" has the scores of something else: {'; '.join(differences)}. Name another folder",
            )
        self._parts.mkdir(exist_ok=True)

    def _is_new(self) -> bool:
        """Whether the folder has nothing, or only what a start that failed leaves."""
        left = set(self._folder.iterdir()) if self._folder.exists() else set()
        of_parts = any(self._parts.iterdir()) if self._parts.is_dir() else False
        return not of_parts and left <= {self._parts, self._folder / locks.NAME}

    def finished(
        self, rows: Sequence[Rows], parts: Sequence[Part], shape: tuple[int, ...]
    ) -> set[int]:
        """The indexes of the parts that are finished, after a look at all that is there.

        A part whose file is damaged is not finished; a line on standard error says so.

        Args:
          rows: all images.
          parts: all parts of them.
          shape: the shape of the model's images.

        Raises:
          OutputError: there is a file that is no part of these scores, or a part whose images have
            changed since.
          DataError: the images of a finished part cannot be read.
        """
        names = {self._path(part.index).name for part in parts}
        strangers = sorted(p for p in self._parts.iterdir() if p.name not in names)
        for path in strangers:
            if not path.name.startswith("."):  # as readers of Parquet's folders leave them out
                raise self._stranger(path, f"there are {len(parts)} parts")
        made_from = {}
        for part in parts:
            try:
                made_from[part.index] = self._result(part.index).origin.images
            except FileNotFoundError:
                continue
            except DamageError as e:
                path = self._path(part.index)
                print(f"note: {path} is damaged ({e}): it is made again", file=sys.stderr)
        self._check_images(made_from, rows, parts, shape)
        return set(made_from)

    def _check_images(
        self,
        made_from: dict[int, str],
        rows: Sequence[Rows],
        parts: Sequence[Part],
        shape: tuple[int, ...],
    ) -> None:
        """Compares the images of finished parts with those that the parts were made from."""
        to_read = parts[: max(made_from, default=-1) + 1]
        now = fingerprints(rows, to_read, shape)
        changed = [
            part
            for part, fingerprint in zip(to_read, now, strict=True)
            if made_from.get(part.index, fingerprint) != fingerprint
        ]
        if changed:
            first = changed[0]
            source, _ = next(first.rows[0].places())
            names = ", ".join(self._path(part.index).name for part in changed[:_NAMED])
            more = f" and {len(changed) - _NAMED} more" if len(changed) > _NAMED else ""
            raise OutputError(
                Setting("output", self._folder),
                f" has the scores of other images: those with the ids {first.first} to "
                f"{first.first + len(first) - 1} (from {source} on) have changed since they were "
                f"scored. Name another folder, or delete from {self._parts} what was made of the "
                f"images before: {names}{more}",
            )

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
        ids: list[np.ndarray] = []
        bounds: list[np.ndarray] = []
        skipped: list[Skipped] = []
        for index in range(number):
            try:
                part_result = self._result(index)
            except (OSError, DamageError) as e:
                raise OutputError(
                    f"{self._path(index)}: expected the file of a part ({e}); the same command "
                    "makes it again"
                ) from e
            ids.append(part_result.ids)
            bounds.append(part_result.bounds)
            skipped += part_result.skipped
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(field.name for field in dataclasses.fields(Skipped))
        writer.writerows(map(dataclasses.astuple, skipped))
        path = self._folder / "skipped.csv"
        write_atomically(path, text.getvalue().encode())
        all_bounds = np.concatenate(bounds)
        odd = np.concatenate(ids)[all_bounds <= np.finfo(np.float32).min]
        return Scores(self._parts, all_bounds, odd, tuple(skipped), path)

    def _result(self, index: int) -> part_files.PartResult:
        """What a part's file says.

        Raises:
          FileNotFoundError: there is none.
          DamageError: it is damaged.
          OutputError: something else is in its place.
        """
        path = self._path(index)
        try:
            found = part_files.result(path.read_bytes())
        except (IsADirectoryError, part_files.StrangerError) as e:
            raise self._stranger(path, str(e)) from e
        if found.origin.run != self.run:
            raise self._stranger(path, "it has the scores of another run")
        if found.origin.part != index:
            raise self._stranger(path, f"it is part {found.origin.part}")
        return found

    def _stranger(self, path: Path, why: str) -> OutputError:
        return OutputError(
            f"{path}: expected only parts of these scores in this folder, each in its place "
            f"({why}). Move it away, and the same command goes on"
        )

    def _path(self, index: int) -> Path:
        return self._parts / f"{index:06}.parquet"


@dataclasses.dataclass(frozen=True)
class Scores:
    """The scores of all images.

    Attributes:
      parts: the folder of the Parquet files.
      bounds: L_K of every image that was scored, nats, by id.
      overflowing: the ids of those whose bound is the least float32, since float32 overflows.
      skipped: the images that could not be read.
      skipped_path: the file that lists them.
    """

    parts: Path
    bounds: np.ndarray
    overflowing: np.ndarray
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
