"""Measures the speed of a model on this machine and prints one JSON object.

    python -m tools.bench.model --architecture=mnist_l6 --batch=32 --mode=train --against=direct

--mode is one of

    train   a training step
    eval    the ELBO of four batches
    iw      L_K of --images images, with K = --iw_samples
    sample  four batches from the prior; `BIVA.sample` chooses how many rows it computes at once

With --against, a second model computes its convolutions in that way. The two models take turns, one
run each, and `ratio` says how many times faster the first model is. In the mode iw, the second
model does K single evaluations instead, with --against_batch images at once.

`effective_utilisation` is the work per second divided by the rate at which this process multiplies
float32 matrices. The work is counted as if all convolutions were direct. The rate is measured just
before and just after the model.
"""

import dataclasses
import json
import resource
import time
from collections.abc import Callable

import numpy as np
import tensorflow as tf

from biva_tf.api import BIVA
from biva_tf.choices import CONVS, PRECISIONS
from biva_tf.commands.start import start
from biva_tf.data.images import Batch, Images
from biva_tf.inference import sampling
from biva_tf.inference.scoring import Scorer
from biva_tf.model import architectures
from biva_tf.model.network import Network
from biva_tf.nn.compute import Compute
from biva_tf.settings import Settings, setting
from tools.bench import START, flops, step_time, timing

_IMPORTED = time.perf_counter()

_BATCHES = 4  # in one evaluation, or in one call of `sample`
_MATRIX = 2048


@dataclasses.dataclass(frozen=True)
class BenchmarkSettings(Settings):
    """The settings of `python -m tools.bench.model`."""

    architecture: str = setting("mnist_l6", "The model.")
    mode: str = setting("train", "What to measure.", choices=("train", "eval", "iw", "sample"))
    batch: int = setting(32, "Images at once; in iw, image-sample pairs at once.", lower=1)
    conv: str = setting("auto", "How convolutions are computed.", choices=CONVS)
    precision: str = setting("float32", "The precision of products.", choices=PRECISIONS)
    against: str | None = setting(
        None, "How a second model, to compare with, computes convolutions.", choices=CONVS
    )
    against_precision: str = setting(
        "float32", "The precision of products in the second model.", choices=PRECISIONS
    )
    against_batch: int | None = setting(
        None, "In iw, images at once in the second model; by default --batch.", lower=1
    )
    against_fresh: bool = setting(
        False, "In sample, the second model normalises its weights in each call."
    )
    iw_samples: int = setting(100, "In iw, the K of L_K.", lower=1)
    images: int = setting(4, "In iw, the number of images.", lower=1)
    rounds: int = setting(7, "Rounds; the result is their median.", lower=1)


@dataclasses.dataclass(frozen=True)
class _Subject:
    """A model to measure in one mode.

    Attributes:
      run: does the work once.
      images: the number of images in one run.
      multiply_adds: the work per image, as if all convolutions were direct.
      startup: the seconds of each step up to the first run, by name.
    """

    run: Callable[[], object]
    images: int
    multiply_adds: int
    startup: dict[str, float]


class _Clock:
    """Returns the seconds since its last call."""

    def __init__(self):
        self._last = time.perf_counter()

    def __call__(self) -> float:
        now = time.perf_counter()
        passed, self._last = now - self._last, now
        return passed


def _train(settings: BenchmarkSettings, compute: Compute) -> _Subject:
    clock, startup = _Clock(), {}
    trainer = step_time.make_trainer(
        step_time.make_config(settings.architecture, settings.batch, compute)
    )
    x = step_time.random_images(settings.batch, trainer.model.spec)
    trainer.initialise(x)
    startup["build"] = clock()
    trainer.train_step.get_concrete_function(Batch.unlabelled(tf.constant(x)))
    startup["trace"] = clock()
    run = step_time.one_step(trainer, x)
    run()
    startup["first_run"] = clock()
    # The gradients of the inputs cost as much as the forward pass; so do those of the weights.
    return _Subject(run, settings.batch, 3 * flops.both_passes(trainer.model), startup)


def _eval(settings: BenchmarkSettings, compute: Compute) -> _Subject:
    clock, startup = _Clock(), {}
    trainer = step_time.make_trainer(
        step_time.make_config(settings.architecture, settings.batch, compute)
    )
    startup["build"] = clock()
    number = _BATCHES * settings.batch
    images = Images(
        255 * step_time.random_images(number, trainer.model.spec).astype(np.uint8), "threshold", 0
    )

    def run():
        return trainer.evaluate(images)

    run()
    startup["first_run"] = clock()
    return _Subject(run, number, flops.both_passes(trainer.model), startup)


def _sample(settings: BenchmarkSettings, compute: Compute, *, fresh: bool = False) -> _Subject:
    clock, startup = _Clock(), {}
    kind = Network if fresh else BIVA  # of the two, only BIVA keeps them
    model = kind(architectures.read(settings.architecture), compute)
    startup["build"] = clock()
    number = _BATCHES * settings.batch

    def run():
        return sampling.sample(model, number).numpy()

    run()
    startup["first_run"] = clock()
    return _Subject(run, number, flops.sampling(model), startup)


def _iw(settings: BenchmarkSettings, compute: Compute, *, one_by_one: bool = False) -> _Subject:
    clock, startup = _Clock(), {}
    model = BIVA(architectures.read(settings.architecture), compute)
    images, samples, rows = settings.images, settings.iw_samples, settings.batch
    x = step_time.random_images(images, model.spec)
    if one_by_one:  # K copies of every image, each scored with one sample, in full batches
        rows = settings.against_batch or settings.batch
        x, samples = np.resize(x, (images * samples, *x.shape[1:])), 1
    scorer = Scorer(model, num_importance_samples=samples, max_rows=rows)
    startup["build"] = clock()

    def run():
        return scorer.image_scores(x)

    run()
    startup["first_run"] = clock()
    shared, whole = flops.bottom_up_start(model), flops.both_passes(model)
    work = shared + settings.iw_samples * (whole - shared)
    return _Subject(run, images, work, startup)


def _matrix_gflops() -> float:
    """GFLOP/s of a float32 matrix product; a multiply-add counts as two operations."""
    a = tf.random.normal((_MATRIX, _MATRIX))
    (seconds,) = timing.by_turns([lambda: tf.matmul(a, a).numpy()], rounds=15, warm_up=1)
    return 2e-9 * _MATRIX**3 / float(np.median(seconds))


def _result(subject: _Subject, seconds: list[float], rate: float) -> dict:
    low, median, high = (float(q) for q in np.quantile(seconds, (0.25, 0.5, 0.75)))
    gflop = 2e-9 * subject.multiply_adds
    return {
        "seconds": median,
        "quartiles": [low, high],
        "images_per_second": subject.images / median,
        "startup_seconds": subject.startup,
        "direct_gflop_per_image": gflop,
        "effective_utilisation": gflop * subject.images / median / rate,
    }


def run(settings: BenchmarkSettings) -> dict:
    """Measures a model and returns the values to print, by name."""
    make = {"train": _train, "eval": _eval, "iw": _iw, "sample": _sample}[settings.mode]
    subjects = [make(settings, Compute(settings.conv, settings.precision))]
    if settings.against:
        other = Compute(settings.against, settings.against_precision)
        differences = {
            "iw": {"one_by_one": True},
            "sample": {"fresh": settings.against_fresh},
        }.get(settings.mode, {})
        subjects.append(make(settings, other, **differences))
    rates = [_matrix_gflops()]
    seconds = timing.by_turns([subject.run for subject in subjects], settings.rounds)
    rates.append(_matrix_gflops())
    rate = max(rates)  # a rate measured while the machine is slow would flatter the model
    result, *against = [_result(*pair, rate) for pair in zip(subjects, seconds, strict=True)]
    result["startup_seconds"] = {"import": _IMPORTED - START, **result["startup_seconds"]}
    output = {
        "architecture": settings.architecture,
        "mode": settings.mode,
        "batch": settings.batch,
        "conv": settings.conv,
        "precision": settings.precision,
        **({"iw_samples": settings.iw_samples} if settings.mode == "iw" else {}),
        **result,
        "matrix_product_gflops": rates,
        "peak_memory_gib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20,
    }
    if against:
        (other,) = against
        output["against"] = {
            "conv": settings.against,
            "precision": settings.against_precision,
            **{key: other[key] for key in ("seconds", "quartiles", "effective_utilisation")},
        }
        output["ratio"] = other["seconds"] / result["seconds"]
    return output


if __name__ == "__main__":
    start("benchmark", BenchmarkSettings, lambda settings: print(json.dumps(run(settings))))
