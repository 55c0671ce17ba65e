"""Where the frequency domain pays: times the convolutions of a model both ways on this machine.

    python -m tools.crossover --architecture=cifar10_l15 --batch=8,32

For each distinct convolution of stride 1, in milliseconds, both ways by turns: a forward and a
backward pass as in training (`train`), and a forward pass with the spectrum of the weights at hand
as in evaluation (`eval`); and what --conv=auto takes. After each model the sums over its layers; at
the end, the constants `product` and `number` of `biva_tf/compute.py` that fit these times best.
"""

import collections
import dataclasses

import numpy as np
import tensorflow as tf
from absl import app, flags

from biva_tf import architectures, operations, strategy
from biva_tf.compute import Compute
from biva_tf.frequency import Convolution
from biva_tf.layers import Conv2D
from biva_tf.model import BIVA
from tools import timing

_ARCHITECTURE = flags.DEFINE_list("architecture", "mnist_l6", "The models, comma-separated.")
_BATCH = flags.DEFINE_list("batch", "32", "The numbers of rows, comma-separated.")
_ROUNDS = flags.DEFINE_integer("rounds", 5, "Of which the median is taken.", lower_bound=1)


@dataclasses.dataclass(frozen=True)
class _Case:
    """A convolution: its work, its sizes, and how often the model has it."""

    convolution: Convolution
    channels: int
    filters: int
    rows: int

    def arrays(self) -> list[tf.Tensor]:
        h, w = self.convolution.size
        shapes = (
            (self.rows, h, w, self.channels),
            (*self.convolution.kernel, self.channels, self.filters),
            (self.rows, h, w, self.filters),
        )
        return [tf.random.normal(shape) for shape in shapes]

    @property
    def direct_work(self) -> float:
        return self.convolution.direct_products * self.channels * self.filters * self.rows

    def work_in_frequency(self, mode: str) -> tuple[float, float]:
        """Products, and numbers in spectra, as `Compute` counts them."""
        c, f, rows = self.channels, self.filters, self.rows
        numbers = rows * (c + f) + c * f * (1.0 if mode == "train" else 0.1)
        return self.convolution.places * c * f * rows, self.convolution.places * numbers

    def auto(self, mode: str) -> str:
        least = Compute().least_rows_in_frequency(
            self.convolution, self.channels, self.filters, prepared=mode == "eval"
        )
        return "frequency" if self.rows >= least else "direct"


def _convolutions(name: str) -> list[operations.Convolution]:
    """Those of a model's layers that have a way in the frequency domain."""
    model = BIVA(architectures.read(name))
    layers = [layer for layer in model._flatten_layers() if isinstance(layer, Conv2D)]
    convolutions = [layer.operation for layer in layers]
    return [c for c in convolutions if c.in_frequency is not None]


def _milliseconds(case: _Case) -> dict[str, dict[str, float]]:
    """By mode and way."""
    x, weights, of_y = case.arrays()
    spectrum = case.convolution.spectrum(weights)

    def direct(x, weights):
        return tf.nn.conv2d(x, weights, 1, "SAME")

    def in_frequency(x, weights):
        return case.convolution.of_weights(x, weights, x.dtype)

    def training(convolve):
        def both(x, weights, of_y):
            with tf.GradientTape() as tape:
                tape.watch((x, weights))
                y = convolve(x, weights)
            return y, *tape.gradient(y, (x, weights), of_y)

        graph = tf.function(both, autograph=False)
        return lambda: graph(x, weights, of_y)

    def evaluation(convolve, operand):
        graph = tf.function(convolve, autograph=False)
        return lambda: graph(x, operand)

    runs = {
        "train": {"direct": training(direct), "frequency": training(in_frequency)},
        "eval": {
            "direct": evaluation(direct, weights),
            "frequency": evaluation(case.convolution, spectrum),
        },
    }
    return {mode: _medians(ways) for mode, ways in runs.items()}


def _medians(ways) -> dict[str, float]:
    # The first round traces, the second finds the memory.
    seconds = timing.by_turns(list(ways.values()), _ROUNDS.value, warm_up=2)
    return {way: 1e3 * float(np.median(s)) for way, s in zip(ways, seconds, strict=True)}


def _constants(measured, mode: str) -> tuple[float, float, float]:
    """Nanoseconds of a direct multiply-add, and the two constants, by least relative squares."""
    times = [(case, found[mode]) for case, found in measured]
    direct = float(np.median([1e6 * t["direct"] / case.direct_work for case, t in times]))
    work = np.array([case.work_in_frequency(mode) for case, _ in times])
    milliseconds = np.array([t["frequency"] for _, t in times])
    solution, *_ = np.linalg.lstsq(work / milliseconds[:, None], np.ones(len(work)), rcond=None)
    return direct, *(1e6 * solution / direct)


def main(argv: list[str]) -> None:
    """The command."""
    del argv
    strategy.tune()
    measured = []
    print("map     kernel  channels    rows layers |   train: direct frequency auto      |   eval:")
    for name in _ARCHITECTURE.value:
        convolutions = _convolutions(name)
        for rows in map(int, _BATCH.value):
            sums = collections.Counter()
            cases = (_Case(c.in_frequency, c.inputs, c.filters, rows) for c in convolutions)
            for case, count in collections.Counter(cases).items():
                times = _milliseconds(case)
                measured.append((case, times))
                line = "{}x{:<5}{}x{:<6}{:>3} ->{:>4}{:>7}{:>6}  ".format(
                    *case.convolution.size,
                    *case.convolution.kernel,
                    case.channels,
                    case.filters,
                    rows,
                    count,
                )
                for mode, ways in times.items():
                    auto = case.auto(mode)
                    line += f" | {ways['direct']:>14.1f}{ways['frequency']:>10.1f} {auto:<9}"
                    for way, value in {**ways, "auto": ways[auto]}.items():
                        sums[mode, way] += count * value
                    sums[mode, "best"] += count * min(ways.values())
                print(line, flush=True)
            for mode in ("train", "eval"):
                of_mode = {way: sums[mode, way] for way in ("direct", "frequency", "auto", "best")}
                said = ", ".join(f"{way} {value:.0f} ms" for way, value in of_mode.items())
                print(f"{name}, {rows} rows, all layers, {mode}: {said}", flush=True)
    for mode in ("train", "eval"):
        direct, product, number = _constants(measured, mode)
        print(
            f"{mode}: {1e3 * direct:.1f} ps per direct multiply-add; in these, of a product "
            f"{product:.1f}, of a number {number:.0f}"
        )


if __name__ == "__main__":
    app.run(main)
