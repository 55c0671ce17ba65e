"""Finds which convolutions of a model are faster in the frequency domain, by timing them both ways.

    python -m tools.bench.crossover --architecture=cifar10_l15 --batch=8,32

For each distinct convolution of stride 1, the tool times direct convolution and the frequency
domain in turns, and prints the milliseconds of both and the choice of --conv=auto. `train` is a
forward and a backward pass, as in training. `eval` is a forward pass with a known spectrum of the
weights, as in evaluation. After each model, the tool prints the sums over the model's layers, also
those of the choices that auto would make if its costs of the frequency domain were half as large or
twice as large: how much it matters that these costs differ between machines. At the end, it prints
the constants `product` and `number` of `biva_tf/nn/compute.py` that fit the times best.
"""

import collections
import dataclasses

import numpy as np
import tensorflow as tf

from biva_tf.commands.start import start
from biva_tf.model import architectures
from biva_tf.model.network import Network
from biva_tf.nn import compute, weight_norm
from biva_tf.nn.frequency import FrequencyConvolution
from biva_tf.nn.weight_norm import Conv2D
from biva_tf.settings import Settings, setting
from tools.bench import timing

_COSTS = {"train": compute.TRAINING, "eval": compute.FIXED_WEIGHTS}
_FACTORS = {"auto": 1.0, "auto with half the costs": 0.5, "auto with twice the costs": 2.0}


@dataclasses.dataclass(frozen=True)
class CrossoverSettings(Settings):
    """The settings of `python -m tools.bench.crossover`."""

    architecture: tuple[str, ...] = setting(("mnist_l6",), "The models, comma-separated.")
    batch: tuple[int, ...] = setting((32,), "The batch sizes, comma-separated.", lower=1)
    rounds: int = setting(5, "Rounds; the result is their median.", lower=1)


@dataclasses.dataclass(frozen=True)
class _Case:
    """A convolution with its channels, filters and batch size."""

    convolution: FrequencyConvolution
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
        """How many products, and how many numbers in spectra, as `Compute` counts them."""
        c, f, rows = self.channels, self.filters, self.rows
        numbers = rows * (c + f) + c * f * _COSTS[mode].of_weights
        return self.convolution.places * c * f * rows, self.convolution.places * numbers

    def auto(self, mode: str, factor: float = 1.0) -> str:
        """The choice of auto if its costs of the frequency domain were `factor` times as large."""
        cost = _COSTS[mode]
        cost = cost._replace(product=factor * cost.product, number=factor * cost.number)
        least = compute.least_rows(self.convolution, self.channels, self.filters, cost)
        return "frequency" if self.rows >= least else "direct"


def _cases(name: str, rows: int) -> collections.Counter:
    """A model's convolutions that can be computed in the frequency domain, with their counts."""
    layers = weight_norm.layers_of([Network(architectures.read(name))])
    convs = [x for x in layers if isinstance(x, Conv2D) and x.in_frequency is not None]
    return collections.Counter(_Case(x.in_frequency, *x.v.shape[-2:], rows) for x in convs)


def _milliseconds(case: _Case, rounds: int) -> dict[str, dict[str, float]]:
    """The median milliseconds, by mode and then by way: "direct" or "frequency"."""
    x, weights, dy = case.arrays()
    spectrum = case.convolution.spectrum_of_weights(weights)

    def direct(x, weights):
        return tf.nn.conv2d(x, weights, 1, "SAME")

    def in_frequency(x, weights):
        return case.convolution(x, weights, x.dtype)

    def training(convolve):
        def both_passes(x, weights, dy):
            with tf.GradientTape() as tape:
                tape.watch((x, weights))
                y = convolve(x, weights)
            return y, *tape.gradient(y, (x, weights), dy)

        graph = tf.function(both_passes, autograph=False)
        return lambda: graph(x, weights, dy)

    def evaluation(convolve, operand):
        graph = tf.function(convolve, autograph=False)
        return lambda: graph(x, operand)

    runs = {
        "train": {"direct": training(direct), "frequency": training(in_frequency)},
        "eval": {
            "direct": evaluation(direct, weights),
            "frequency": evaluation(case.convolution.with_spectrum, spectrum),
        },
    }
    return {mode: _medians(ways, rounds) for mode, ways in runs.items()}


def _medians(ways, rounds: int) -> dict[str, float]:
    # The first round traces, the second allocates the memory.
    seconds = timing.by_turns(list(ways.values()), rounds, warm_up=2)
    return {way: 1e3 * float(np.median(s)) for way, s in zip(ways, seconds, strict=True)}


def _constants(measured, mode: str) -> tuple[float, float, float]:
    """Fits the constants to the times by least squares of the relative errors.

    Returns:
      The nanoseconds of a direct multiply-add, and `product` and `number` in multiples of these.
    """
    times = [(case, times_by_mode[mode]) for case, times_by_mode in measured]
    direct = float(np.median([1e6 * t["direct"] / case.direct_work for case, t in times]))
    work = np.array([case.work_in_frequency(mode) for case, _ in times])
    milliseconds = np.array([t["frequency"] for _, t in times])
    solution, *_ = np.linalg.lstsq(work / milliseconds[:, None], np.ones(len(work)), rcond=None)
    return direct, *(1e6 * solution / direct)


def run(settings: CrossoverSettings) -> dict[str, tuple[float, float, float]]:
    """Times the convolutions and prints the times; returns the result of `_constants` by mode."""
    measured = []
    print("map     kernel  channels    rows layers |   train: direct frequency auto      |   eval:")
    for name in settings.architecture:
        for rows in settings.batch:
            sums = collections.Counter()
            for case, count in _cases(name, rows).items():
                times = _milliseconds(case, settings.rounds)
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
                    line += f" | {ways['direct']:>14.1f}{ways['frequency']:>10.1f}"
                    line += f" {case.auto(mode):<9}"
                    chosen = {name: ways[case.auto(mode, f)] for name, f in _FACTORS.items()}
                    for way, value in {**ways, "best": min(ways.values()), **chosen}.items():
                        sums[mode, way] += count * value
                print(line, flush=True)
            for mode in ("train", "eval"):
                columns = ("direct", "frequency", "best", *_FACTORS)
                totals = ", ".join(f"{way} {sums[mode, way]:.0f} ms" for way in columns)
                print(f"{name}, {rows} rows, all layers, {mode}: {totals}", flush=True)
    return {mode: _constants(measured, mode) for mode in ("train", "eval")}


def _print(settings: CrossoverSettings) -> None:
    for mode, (direct, product, number) in run(settings).items():
        print(
            f"{mode}: {1e3 * direct:.1f} ps per direct multiply-add; in these, of a product "
            f"{product:.1f}, of a number {number:.0f}"
        )


if __name__ == "__main__":
    start("crossover", CrossoverSettings, _print)
