"""Images in picture files, one in each."""

import dataclasses
import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from biva_tf.data.reading import pictures
from biva_tf.data.reading.files import shown
from biva_tf.data.reading.notes import ReadingNotes
from biva_tf.data.reading.rows import Scaled
from biva_tf.data.reading.values import BY_TYPE, Scale, Unreadable
from biva_tf.model.pixels import BACKGROUND


@dataclasses.dataclass(frozen=True)
class PictureRows(Scaled):
    """Picture files in a given order, with a background for transparent pixels; see `Rows`."""

    paths: tuple[Path, ...]
    background: int = BACKGROUND
    scale: Scale = BY_TYPE

    def __len__(self) -> int:
        return len(self.paths)

    def part(self, start: int, stop: int) -> "PictureRows":
        """See `Rows`."""
        return dataclasses.replace(self, paths=self.paths[start:stop])

    def places(self) -> Iterator[tuple[str, int]]:
        """See `Rows`."""
        return ((shown(path), 0) for path in self.paths)

    def files(self) -> Iterator[Path]:
        """See `Rows`."""
        return iter(self.paths)

    def stored(
        self, shape: tuple[int, ...], notes: ReadingNotes
    ) -> Iterator[np.ndarray | Unreadable]:
        """See `Rows`."""
        height, width, channels = shape
        for path in self.paths:
            yield pictures.decode(
                path,
                channels,
                (height, width),
                background=self.background,
                notes=notes,
                name=shown(path),
            )

    def describe(self) -> dict[str, Any]:
        """See `Rows`. Names and sizes of all files become one hash."""
        total, names = 0, hashlib.sha256()
        for path in self.paths:
            size = path.stat().st_size
            names.update(b"%s\0%d\0" % (os.fsencode(path), size))
            total += size
        source = shown(os.path.commonpath([path.parent for path in self.paths]))
        return {
            "source": source,
            "images": len(self),
            "bytes": total,
            "names": names.hexdigest()[:16],
        }
