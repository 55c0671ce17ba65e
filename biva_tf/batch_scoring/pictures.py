"""Images in picture files, one in each."""

import dataclasses
import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from biva_tf.batch_scoring.rows import Unreadable, fitted
from biva_tf.data import picture_files
from biva_tf.data.sources import DataError


@dataclasses.dataclass(frozen=True)
class PictureRows:
    """Picture files in a given order; see `Rows`."""

    paths: tuple[Path, ...]

    def __len__(self) -> int:
        return len(self.paths)

    def part(self, start: int, stop: int) -> "PictureRows":
        """See `Rows`."""
        return PictureRows(self.paths[start:stop])

    def places(self) -> Iterator[tuple[str, int]]:
        """See `Rows`."""
        return ((str(path), 0) for path in self.paths)

    def read(self, shape: tuple[int, ...]) -> Iterator[np.ndarray | Unreadable]:
        """See `Rows`."""
        for path in self.paths:
            try:
                yield fitted(picture_files.picture(path, str(path), shape[-1]), shape)
            except DataError as e:
                yield Unreadable(str(e).removeprefix(f"{path}: "))

    def describe(self) -> dict[str, Any]:
        """See `Rows`. Names and sizes of all files become one hash."""
        total, names = 0, hashlib.sha256()
        for path in self.paths:
            size = path.stat().st_size
            names.update(f"{path}\0{size}\0".encode())
            total += size
        source = os.path.commonpath([path.parent for path in self.paths])
        return {
            "source": source,
            "images": len(self),
            "bytes": total,
            "names": names.hexdigest()[:16],
        }
