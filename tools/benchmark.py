"""Measures a model on this machine and prints one JSON object.

    python -m tools.benchmark --architecture=mnist_l6 --batch=32 --mode=train --against=direct

Modes: train, a training step; eval, the ELBO of four batches; iw, L_K of --images, K = --samples;
sample, four batches from the prior, as many rows at once as `BIVA.sample` takes. With --against a
model that computes its convolutions that way takes turns with the first, step by step, and `ratio`
says how many times faster the first is; in iw it does K single evaluations instead, of
--against_batch images at once.

`effective_utilisation` is the work per second, counted as direct convolutions, over the rate at
which this process multiplies float32 matrices, measured just before and just after.
"""

import time

_START = time.perf_counter()

import dataclasses  # noqa: E402
import json  # noqa: E402
import resource  # noqa: E402
from collections.abc import Callable  # noqa: E402

import numpy as np  # noqa: E402
import tensorflow as tf  # noqa: E402
from absl import app, flags  # noqa: E402

from biva_tf import architectures, scoring, strategy  # noqa: E402
from biva_tf.compute import CONVS, PRECISIONS, Compute  # noqa: E402
from biva_tf.config import Config  # noqa: E402
from biva_tf.data.images_view import Images  # noqa: E402
from biva_tf.model import BIVA  # noqa: E402
from biva_tf.training import Trainer  # noqa: E402
from tools import flops, timing  # noqa: E402

_IMPORTED = time.perf_counter()

_ARCHITECTURE = flags.DEFINE_string("architecture", "mnist_l6", "The model.")
_MODE = flags.DEFINE_enum("mode", "train", ["train", "eval", "iw", "sample"], "What to measure.")
_BATCH = flags.DEFINE_integer(
    "batch", 32, "Images at once; in iw, pairs of image and sample at once.", lower_bound=1
)
_CONV = flags.DEFINE_enum("conv", "auto", CONVS, "How convolutions are computed.")
_PRECISION = flags.DEFINE_enum("precision", "float32", PRECISIONS, "Of products.")
_AGAINST = flags.DEFINE_enum("against", None, CONVS, "The way of the model to compare with.")
_AGAINST_PRECISION = flags.DEFINE_enum("against_precision", "float32", PRECISIONS, "Its precision.")
_AGAINST_BATCH = flags.DEFINE_integer(
    "against_batch", None, "Images at once of the single evaluations in iw; by default --batch."
)
_SAMPLES = flags.DEFINE_integer("samples", 100, "K of L_K, in iw.", lower_bound=1)
_IMAGES = flags.DEFINE_integer("images", 4, "Images, in iw.", lower_bound=1)
_ROUNDS = flags.DEFINE_integer("rounds", 7, "Of which the median is given.", lower_bound=1)

_BATCHES = 4  # of one evaluation, or one call of `sample`
_MATRIX = 2048


@dataclasses.dataclass(frozen=True)
class _Subject:
    """A model in a mode.

    Attributes:
      run: does the work once.
      images: that one run is for.
      multiply_adds: per image, as direct convolutions.
      startup: seconds by name, up to and including the first run.
    """

    run: Callable[[], object]
    images: int
    multiply_adds: int
    startup: dict[str, float]


class _Clock:
    """Seconds since the last look."""

    def __init__(self):
        self._last = time.perf_counter()

    def __call__(self) -> float:
        now = time.perf_counter()
        passed, self._last = now - self._last, now
        return passed


def _images(number: int, spec) -> np.ndarray:
    shape = (number, *spec.image_shape)
    return np.random.default_rng(0).integers(0, 2, shape).astype(np.float32)


def _train(compute: Compute) -> _Subject:
    clock, startup = _Clock(), {}
    trainer = _trainer(compute)
    x = _images(_BATCH.value, trainer.model.spec)
    trainer.initialise(x)
    startup["build"] = clock()
    batch = tf.constant(x)
    trainer.train_step.get_concrete_function(batch)
    startup["trace"] = clock()

    def run():
        return trainer.train_step(batch)[0].numpy()

    run()
    startup["first_run"] = clock()
    # The gradients of the inputs and of the weights are as much work each as the forward pass.
    return _Subject(run, _BATCH.value, 3 * flops.both_passes(trainer.model), startup)


def _eval(compute: Compute) -> _Subject:
    clock, startup = _Clock(), {}
    trainer = _trainer(compute)
    startup["build"] = clock()
    number = _BATCHES * _BATCH.value
    images = Images(255 * _images(number, trainer.model.spec).astype(np.uint8), "threshold", 0)

    def run():
        return trainer.evaluate(images)

    run()
    startup["first_run"] = clock()
    return _Subject(run, number, flops.both_passes(trainer.model), startup)


def _trainer(compute: Compute) -> Trainer:
    name = _ARCHITECTURE.value
    config = Config(
        architecture=name,
        batch_size=_BATCH.value,
        conv=compute.conv,
        precision=compute.precision,
        ema_decay=0.999,
    )
    return Trainer(architectures.read(name), config, strategy.make("one_device"))


def _sample(compute: Compute) -> _Subject:
    clock, startup = _Clock(), {}
    model = BIVA(architectures.read(_ARCHITECTURE.value), compute)
    startup["build"] = clock()
    number = _BATCHES * _BATCH.value

    def run():
        return model.sample(number).numpy()

    run()
    startup["first_run"] = clock()
    return _Subject(run, number, flops.sampling(model), startup)


def _iw(compute: Compute, *, one_by_one: bool = False) -> _Subject:
    clock, startup = _Clock(), {}
    model = BIVA(architectures.read(_ARCHITECTURE.value), compute)
    images, samples = _IMAGES.value, _SAMPLES.value
    x = _images(images, model.spec)
    if one_by_one:  # K passes over full batches, each image of which is another sample
        per_batch = rows = _AGAINST_BATCH.value or _BATCH.value
        x, samples = np.resize(x, (images * samples, *x.shape[1:])), 1
    else:
        per_batch, rows = images, _BATCH.value
    chunks = scoring.Chunks(model, (0,), samples, "sample", 0, rows)
    startup["build"] = clock()

    def run():
        for start in range(0, len(x), per_batch):
            (sums,), _ = chunks.sums(x[start : start + per_batch], start)
            sums.bound.numpy()

    run()
    startup["first_run"] = clock()
    start, whole = flops.bottom_up_start(model), flops.both_passes(model)
    return _Subject(run, images, start + _SAMPLES.value * (whole - start), startup)


def _matrix_gflops() -> float:
    """The rate of a float32 matrix product, multiply and add counted apart."""
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


def main(argv: list[str]) -> None:
    """The command."""
    del argv
    strategy.tune()
    make = {"train": _train, "eval": _eval, "iw": _iw, "sample": _sample}[_MODE.value]
    subjects = [make(Compute(_CONV.value, _PRECISION.value))]
    if _AGAINST.value:
        other = Compute(_AGAINST.value, _AGAINST_PRECISION.value)
        one_by_one = {"one_by_one": True} if _MODE.value == "iw" else {}
        subjects.append(make(other, **one_by_one))
    rates = [_matrix_gflops()]
    seconds = timing.by_turns([subject.run for subject in subjects], _ROUNDS.value)
    rates.append(_matrix_gflops())
    rate = max(rates)  # a dip while it is measured would count in the model's favour
    result, *against = [_result(*pair, rate) for pair in zip(subjects, seconds, strict=True)]
    result["startup_seconds"] = {"import": _IMPORTED - _START, **result["startup_seconds"]}
    output = {
        "architecture": _ARCHITECTURE.value,
        "mode": _MODE.value,
        "batch": _BATCH.value,
        "conv": _CONV.value,
        "precision": _PRECISION.value,
        **({"samples": _SAMPLES.value} if _MODE.value == "iw" else {}),
        **result,
        "matrix_product_gflops": rates,
        "peak_memory_gib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20,
    }
    if against:
        (other,) = against
        output["against"] = {
            "conv": _AGAINST.value,
            "precision": _AGAINST_PRECISION.value,
            **{key: other[key] for key in ("seconds", "quartiles", "effective_utilisation")},
        }
        output["ratio"] = other["seconds"] / result["seconds"]
    print(json.dumps(output))


if __name__ == "__main__":
    app.run(main)
