"""20,000 definitions of WordNet, shipped with the package (see glosses.md)."""

import gzip
from pathlib import Path
from typing import Any

import numpy as np

from biva_tf.data.sources import DataError, Info, Location, Source, Split

INFO = Info(None, train=18_000, test=1_000, validation=1_000, lines=True)

FILE = Path(__file__).with_name("glosses.txt.gz")


def load(location: Location) -> Source:
    """The lines of the file: 18,000 to train, 1,000 to validate, 1,000 to test.

    Raises:
      DataError: the file is missing or damaged.
    """
    try:
        lines = gzip.decompress(FILE.read_bytes()).decode().splitlines()
    except (OSError, EOFError, UnicodeDecodeError) as e:
        raise DataError(f"{FILE}: expected the file that ships with biva_tf ({e})") from e
    if len(lines) != (expected := sum(INFO.counts.values())):
        raise DataError(f"{FILE}: expected {expected} lines, got {len(lines)}")
    splits: dict[str, Any] = {}
    first = 0
    for name in ("train", "validation", "test"):
        part = np.array(lines[first : first + INFO.counts[name]], object)
        splits[name] = Split(part, np.zeros(len(part), np.int64))
        first += len(part)
    return Source(**splits)
