"""Computations over the examples of a split that can be interrupted and resumed."""

import dataclasses
import io
import sys
import time
import zipfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np

from biva_tf.evaluation.progress import ForecastProgress
from biva_tf.files import write_atomically

_SECONDS_BETWEEN_SAVES = 10

ResultArrays = dict[str, np.ndarray]

# Where a part of the examples ends, and its `examples` and `totals`.
ResultPart = tuple[int, ResultArrays, ResultArrays]


@dataclasses.dataclass
class Results:
    """The results of the first `done` examples.

    Attributes:
      done: how many.
      examples: arrays with one row per example.
      totals: arrays summed over the examples.
    """

    done: int
    examples: ResultArrays
    totals: ResultArrays


def compute_all(
    parts_from: Callable[[int], Iterable[ResultPart]],
    total: int,
    path: Path,
    *,
    describe: Callable[[Results], str],
) -> Results:
    """Computes every part of the examples once, however often it is interrupted.

    Args:
      parts_from: computes the results part by part, from the example of a number to the last. An
        exception passes through, after the parts before it are saved.
      total: how many examples there are.
      path: the file that keeps the finished parts. It is read if it exists.
      describe: the running estimate, for the progress bar.

    Returns:
      The results of all examples.
    """
    results = _read(path)
    saved, first = time.monotonic(), results.done
    try:
        with ForecastProgress(total, first) as progress:
            for stop, examples, totals in parts_from(first):
                results = _with(results, stop, examples, totals)
                progress.show(stop, describe(results))
                if time.monotonic() - saved > _SECONDS_BETWEEN_SAVES:
                    _write(path, results)
                    saved = time.monotonic()
    finally:
        if results.done > first:
            _write(path, results)
    return results


def _with(results: Results, done: int, examples: ResultArrays, totals: ResultArrays) -> Results:
    if not results.done:
        return Results(done, examples, totals)
    return Results(
        done,
        {name: np.concatenate([results.examples[name], examples[name]]) for name in examples},
        {name: results.totals[name] + totals[name] for name in totals},
    )


def _read(path: Path) -> Results:
    try:
        with np.load(path) as file:
            parts: dict[str, ResultArrays] = {"examples": {}, "totals": {}}
            for key in file.files:
                kind, _, name = key.partition("/")
                if name:
                    parts[kind][name] = file[key]
            return Results(int(file["done"]), **parts)
    except FileNotFoundError:
        return Results(0, {}, {})
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        # Writes are atomic, so something else damaged the file. It only saves work.
        print(f"note: {path} cannot be read; its examples are computed again", file=sys.stderr)
        return Results(0, {}, {})


def _write(path: Path, results: Results) -> None:
    arrays: dict[str, Any] = {f"examples/{name}": array for name, array in results.examples.items()}
    arrays |= {f"totals/{name}": array for name, array in results.totals.items()}
    content = io.BytesIO()
    np.savez(content, done=results.done, **arrays)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, content.getvalue())
