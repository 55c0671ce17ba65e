"""Measures the speed of an exported model on this machine.

    python -m tools.bench.serving

The tool exports an untrained model, loads it with TensorFlow's C++ loader, and prints one JSON
object. The object has the seconds to export and to load, and the megabytes on disk. For `sample`
and `score` (L_1), at batch sizes 1 and 64, it has the seconds of the first call, the median latency
of a call in seconds, and the images per second.
"""

import contextlib
import dataclasses
import functools
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

import biva_tf
from biva_tf.commands.start import start
from biva_tf.model import architectures
from biva_tf.serving import exporting
from biva_tf.settings import Settings, setting


@dataclasses.dataclass(frozen=True)
class ServingBenchmarkSettings(Settings):
    """The settings of `python -m tools.bench.serving`."""

    architecture: str = setting("mnist_l6", "The model.")
    rounds: int = setting(9, "Rounds; the result is their median.", lower=1)


_BATCHES = (1, 64)


def _timed(call: Callable):
    start = time.perf_counter()
    result = call()
    return result, time.perf_counter() - start


def _requests(spec, batch: int) -> dict[str, dict]:
    images = np.random.default_rng(0).integers(0, 2, (batch, *spec.image_shape)).astype(np.float32)
    seed = np.zeros(2, np.int32)
    return {
        "sample": {"num_samples": np.int32(batch), "temperature": np.float32(1), "seed": seed},
        "score": {
            "images": images,
            "k": np.int32(0),
            "num_importance_samples": np.int32(1),
            "seed": seed,
        },
    }


def _measure(folder: Path, spec, rounds: int) -> dict:
    with contextlib.ExitStack() as stack:
        run, seconds = _timed(lambda: stack.enter_context(exporting.cpp_loader(folder)))
        result = {"load_seconds": seconds}
        for batch in _BATCHES:
            for name, inputs in _requests(spec, batch).items():
                call = functools.partial(run, name, inputs)
                times = [_timed(call)[1] for _ in range(rounds + 1)]
                median = float(np.median(times[1:]))
                result[f"{name}_{batch}"] = {
                    "first_seconds": times[0],
                    "median_seconds": median,
                    "images_per_second": batch / median,
                }
    return result


def run(settings: ServingBenchmarkSettings) -> dict:
    """Exports and measures a model, and returns the values to print, by name."""
    spec = architectures.read(settings.architecture)
    model = biva_tf.build(spec)
    # Without initialisation the activations of a deep model overflow.
    model.compile()
    model.initialise(_requests(spec, 8)["score"]["images"])
    with tempfile.TemporaryDirectory() as parent:
        folder, seconds = _timed(lambda: exporting.export(model, Path(parent)))
        size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
        return {
            "architecture": settings.architecture,
            "export_seconds": seconds,
            "megabytes": size / 1e6,
            **_measure(folder, spec, settings.rounds),
        }


if __name__ == "__main__":
    start(
        "benchmark_serving",
        ServingBenchmarkSettings,
        lambda settings: print(json.dumps(run(settings))),
    )
