"""Computations over the examples of a split, chunk by chunk, that survive an interruption."""

import dataclasses
import io
import sys
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
from tqdm import tqdm

from biva_tf.run_dir import write_atomically

_SECONDS_BETWEEN_SAVES = 10
_SECONDS_BETWEEN_LINES = 30

Arrays = dict[str, np.ndarray]


@dataclasses.dataclass
class Results:
    """What is known of the first `done` examples.

    Attributes:
      done: how many.
      examples: arrays with one row per example.
      totals: arrays that were summed over the examples.
    """

    done: int
    examples: Arrays
    totals: Arrays


def stream(
    compute: Callable[[int, int], tuple[Arrays, Arrays]],
    total: int,
    chunk: int,
    path: Path,
    *,
    describe: Callable[[Results], str],
) -> Results:
    """Computes every chunk of the examples once, whatever interrupts it.

    Args:
      compute: takes the first example of a chunk and the one after its last; gives `examples` and
        `totals` of these. What it raises goes through, after the chunks before are saved.
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
        while results.done < total:
            stop = min(results.done + chunk, total)
            results = _with(results, stop, *compute(results.done, stop))
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
        # Writes are atomic, so this is a file damaged from outside. It only saves work.
        print(f"note: {path} cannot be read; its examples are computed anew", file=sys.stderr)
        return Results(0, {}, {})


def _write(path: Path, results: Results) -> None:
    arrays = {f"examples/{name}": array for name, array in results.examples.items()}
    arrays |= {f"totals/{name}": array for name, array in results.totals.items()}
    content = io.BytesIO()
    np.savez(content, done=results.done, **arrays)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, content.getvalue())
