"""Computations over the examples of a split that can be interrupted and resumed."""

import dataclasses
import io
import sys
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
from tqdm import tqdm

from biva_tf.files import write_atomically
from biva_tf.inference import chunks

_SECONDS_BETWEEN_SAVES = 10
_SECONDS_BETWEEN_LINES = 30

Arrays = dict[str, np.ndarray]


@dataclasses.dataclass
class Results:
    """The results of the first `done` examples.

    Attributes:
      done: how many.
      examples: arrays with one row per example.
      totals: arrays summed over the examples.
    """

    done: int
    examples: Arrays
    totals: Arrays


def compute_all(
    compute: Callable[[int, int], tuple[Arrays, Arrays]],
    total: int,
    chunk: int,
    path: Path,
    *,
    describe: Callable[[Results], str],
) -> Results:
    """Computes every chunk of the examples once, however often it is interrupted.

    Args:
      compute: maps the (start, stop) of a chunk to its `examples` and `totals`. An exception
        passes through, after the chunks before it are saved.
      total: how many examples there are.
      chunk: how many examples are computed at once.
      path: the file that keeps the finished chunks. It is read if it exists.
      describe: the running estimate, for the progress bar.

    Returns:
      The results of all examples.
    """
    results = _read(path)
    saved, said = time.monotonic(), time.monotonic()
    bar = tqdm(total=total, initial=results.done, unit="image", disable=not sys.stderr.isatty())
    first = results.done
    try:
        for start, stop in chunks.spans(total, chunk, first):
            results = _with(results, stop, *compute(start, stop))
            bar.update(stop - bar.n)
            bar.set_postfix_str(describe(results))
            now = time.monotonic()
            if now - saved > _SECONDS_BETWEEN_SAVES:
                _write(path, results)
                saved = now
            if bar.disable and now - said > _SECONDS_BETWEEN_LINES:
                print(f"{results.done}/{total} images  {describe(results)}", file=sys.stderr)
                said = now
    finally:
        bar.close()
        if results.done > first:
            _write(path, results)
    return results


def _with(results: Results, done: int, examples: Arrays, totals: Arrays) -> Results:
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
            parts = {"examples": {}, "totals": {}}
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
    arrays = {f"examples/{name}": array for name, array in results.examples.items()}
    arrays |= {f"totals/{name}": array for name, array in results.totals.items()}
    content = io.BytesIO()
    np.savez(content, done=results.done, **arrays)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, content.getvalue())
