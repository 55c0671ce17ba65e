"""Measures a model on this machine and prints one JSON object.

    python -m tools.benchmark --architecture=mnist_l6 --batch=32 --mode=train --against=direct

Modes: train, a training step; eval, the ELBO of four batches; iw, L_K of --images with K =
--iw_samples; sample, four batches from the prior, as many rows at once as `BIVA.sample` takes. With
--against, a model that computes its convolutions that way takes turns with the first one, step by
step, and `ratio` says how many times faster the first one is. In iw, the other one does K single
evaluations, of --against_batch images at once.

`effective_utilisation` is the work per second, counted as direct convolutions, over the rate at
which this process multiplies float32 matrices, measured just before and just after.
"""

import dataclasses
import json
import resource
import time
from collections.abc import Callable

import numpy as np
import tensorflow as tf

from biva_tf.api import BIVA
from biva_tf.commands.start import start
from biva_tf.data.images import NO_LABEL, Batch, Images
from biva_tf.inference.scoring import Scorer
from biva_tf.model import architectures
from biva_tf.nn.compute import CONVS, PRECISIONS, Compute
from biva_tf.runs.config import RunConfig
from biva_tf.settings import setting
from biva_tf.training.devices import make_strategy
from biva_tf.training.trainer import Trainer
from tools import START
from tools.bench import flops, timing

_IMPORTED = time.perf_counter()

_BATCHES = 4  # of one evaluation, or one call of `sample`
_MATRIX = 2048


@dataclasses.dataclass(frozen=True)
class BenchmarkSettings:
    """The settings of `python -m tools.benchmark`."""

    architecture: str = setting("mnist_l6", "The model.")
    mode: str = setting("train", "What to measure.", choices=("train", "eval", "iw", "sample"))
    batch: int = setting(32, "Images at once; in iw, pairs of image and sample at once.", lower=1)
    conv: str = setting("auto", "How convolutions are computed.", choices=CONVS)
    precision: str = setting("float32", "The precision of products.", choices=PRECISIONS)
    against: str | None = setting(
        None, "How the model to compare with computes convolutions.", choices=CONVS
    )
    against_precision: str = setting("float32", "Its precision.", choices=PRECISIONS)
    against_batch: int | None = setting(
        None, "Images at once of the single evaluations in iw; by default --batch.", lower=1
    )
    iw_samples: int = setting(100, "K of L_K, in iw.", lower=1)
    images: int = setting(4, "Images, in iw.", lower=1)
    rounds: int = setting(7, "Rounds, of which the median is given.", lower=1)


@dataclasses.dataclass(frozen=True)
class _Subject:
    """A model in a mode.

    Attributes:
      run: does the work once.
      images: the images of one run.
      multiply_adds: per image, as direct convolutions.
      startup: seconds by name, up to and including the first run.
    """

    run: Callable[[], object]
    images: int
    multiply_adds: int
    startup: dict[str, float]


class _Clock:
    """Seconds since the last call."""

    def __init__(self):
        self._last = time.perf_counter()

    def __call__(self) -> float:
        now = time.perf_counter()
        passed, self._last = now - self._last, now
        return passed


def _images(number: int, spec) -> np.ndarray:
    shape = (number, *spec.image_shape)
    return np.random.default_rng(0).integers(0, 2, shape).astype(np.float32)


def _train(settings: BenchmarkSettings, compute: Compute) -> _Subject:
    clock, startup = _Clock(), {}
    trainer = _trainer(settings, compute)
    x = _images(settings.batch, trainer.model.spec)
    trainer.initialise(x)
    startup["build"] = clock()
    batch = Batch(tf.constant(x), tf.fill([len(x)], tf.constant(NO_LABEL, tf.int64)))
    trainer.train_step.get_concrete_function(batch)
    startup["trace"] = clock()

    def run():
        return trainer.train_step(batch)[0].numpy()

    run()
    startup["first_run"] = clock()
    # The gradients of the inputs and of the weights are as much work each as the forward pass.
    return _Subject(run, settings.batch, 3 * flops.both_passes(trainer.model), startup)


def _eval(settings: BenchmarkSettings, compute: Compute) -> _Subject:
    clock, startup = _Clock(), {}
    trainer = _trainer(settings, compute)
    startup["build"] = clock()
    number = _BATCHES * settings.batch
    images = Images(255 * _images(number, trainer.model.spec).astype(np.uint8), "threshold", 0)

    def run():
        return trainer.evaluate(images)

    run()
    startup["first_run"] = clock()
    return _Subject(run, number, flops.both_passes(trainer.model), startup)


def _trainer(settings: BenchmarkSettings, compute: Compute) -> Trainer:
    config = RunConfig(
        architecture=settings.architecture,
        batch_size=settings.batch,
        conv=compute.conv,
        precision=compute.precision,
        ema_decay=0.999,
    )
    spec = architectures.read(settings.architecture)
    return Trainer(spec, config, make_strategy("one_device"))


def _sample(settings: BenchmarkSettings, compute: Compute) -> _Subject:
    clock, startup = _Clock(), {}
    model = BIVA(architectures.read(settings.architecture), compute)
    startup["build"] = clock()
    number = _BATCHES * settings.batch

    def run():
        return model.sample(number).numpy()

    run()
    startup["first_run"] = clock()
    return _Subject(run, number, flops.sampling(model), startup)


def _iw(settings: BenchmarkSettings, compute: Compute, *, one_by_one: bool = False) -> _Subject:
    clock, startup = _Clock(), {}
    model = BIVA(architectures.read(settings.architecture), compute)
    images, samples, rows = settings.images, settings.iw_samples, settings.batch
    x = _images(images, model.spec)
    if one_by_one:  # K passes over full batches, each image of which is another sample
        rows = settings.against_batch or settings.batch
        x, samples = np.resize(x, (images * samples, *x.shape[1:])), 1
    scorer = Scorer(model, num_importance_samples=samples, max_rows=rows)
    startup["build"] = clock()

    def run():
        return scorer.image_scores(x)

    run()
    startup["first_run"] = clock()
    start, whole = flops.bottom_up_start(model), flops.both_passes(model)
    work = start + settings.iw_samples * (whole - start)
    return _Subject(run, images, work, startup)


def _matrix_gflops() -> float:
    """The rate of a float32 matrix product; a multiply-add counts as two operations."""
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
    """Measures a model; what is printed, by name."""
    make = {"train": _train, "eval": _eval, "iw": _iw, "sample": _sample}[settings.mode]
    subjects = [make(settings, Compute(settings.conv, settings.precision))]
    if settings.against:
        other = Compute(settings.against, settings.against_precision)
        one_by_one = {"one_by_one": True} if settings.mode == "iw" else {}
        subjects.append(make(settings, other, **one_by_one))
    rates = [_matrix_gflops()]
    seconds = timing.by_turns([subject.run for subject in subjects], settings.rounds)
    rates.append(_matrix_gflops())
    rate = max(rates)  # a dip of the machine while it is measured would favour the model
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
