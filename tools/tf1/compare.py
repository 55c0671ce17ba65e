"""Compares this port with the original TensorFlow 1 program.

    python -m tools.tf1.compare --reference=tests/data/bernoulli_dense.npz

This compares the port with a file of arrays that the original computed. It builds the model that
the file describes, loads the file's variables, and feeds the file's images and noise. For every
quantity, it prints the worst error relative to the quantity's largest magnitude. The exit code is 0
only if the file has every quantity of the format and all errors are within --rtol. The optimiser
steps are compared in the order of updates that the arrays show; see `tools.tf1.replay`.

    python -m tools.tf1.compare --checkpoint=PATH/model --dataset=mnist_static

This reads a checkpoint of the original (its moving averages, if it has them) and prints L_K of the
test split, under the original's tied noise and under independent noise; see `tools.tf1.noise`.
"""

import dataclasses
import sys
from pathlib import Path

from biva_tf.choices import CONVS
from biva_tf.commands.start import start
from biva_tf.data import pipeline, sources
from biva_tf.errors import SettingsError, UserError
from biva_tf.evaluation.summary import mean_of
from biva_tf.model import architectures
from biva_tf.model.network import Network
from biva_tf.model.spec import ModelSpec
from biva_tf.nn.compute import Compute
from biva_tf.runs import config
from biva_tf.settings import Settings, setting
from tools.tf1 import checkpoint as tf1_checkpoint
from tools.tf1 import parity
from tools.tf1.names import load_variables, read_reference
from tools.tf1.noise import Bounds, bounds


@dataclasses.dataclass(frozen=True)
class CompareSettings(Settings):
    """The settings of `python -m tools.tf1.compare`."""

    reference: str | None = setting(None, "The npz file to compare with.")
    rtol: float = setting(1e-4, "The largest relative error that passes.", lower=0.0)
    conv: str = setting("auto", "How convolutions are computed.", choices=CONVS)
    checkpoint: str | None = setting(None, "The checkpoint whose bounds are computed.")
    architecture: str = setting("mnist_l6", "The model of the checkpoint.")
    dataset: str = setting(
        "mnist_10k", "The data set whose test split is scored.", choices=sources.names()
    )
    data_dir: str = setting(sources.default_data_dir(), "The folder of prepared data sets.")
    iw_samples: int = setting(1, "K of L_K.", lower=1)
    num_examples: int = setting(100, "How many images to score, from the first on.", lower=1)

    def __post_init__(self):
        super().__post_init__()
        if (self.reference is None) == (self.checkpoint is None):
            raise SettingsError("expected either --reference or --checkpoint")


@dataclasses.dataclass(frozen=True)
class Parity:
    """The result of a comparison with a reference file.

    Attributes:
      errors: the relative error of each quantity.
      not_compared: the keys of the file that are not part of the format.
    """

    errors: dict[str, float]
    not_compared: tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class CheckpointBounds:
    """The bounds of a checkpoint of the original.

    Attributes:
      bounds: the bounds of each image, under both kinds of noise.
      averaged: whether the checkpoint has moving averages; if so, they were used.
      spec: the spec of the model.
    """

    bounds: Bounds
    averaged: bool
    spec: ModelSpec


def run(settings: CompareSettings) -> Parity | CheckpointBounds:
    """Compares with a reference file, or computes the bounds of a checkpoint.

    Raises:
      UserError: a file cannot be read or does not fit; the message names it.
    """
    if settings.reference is not None:
        return _compare_reference(settings)
    return _compare_noise(settings)


def _compare_reference(settings: CompareSettings) -> Parity:
    reference = read_reference(settings.reference)
    errors = dict(parity.compare(reference, settings.rtol, Compute(settings.conv)))
    inputs = ("x", "var/", "noise/", "gen/noise/", "iw")
    rest = (key for key in reference.arrays if key not in errors and not key.startswith(inputs))
    return Parity(errors, tuple(rest))


def _compare_noise(settings: CompareSettings) -> CheckpointBounds:
    path, dataset = Path(settings.checkpoint), settings.dataset
    data = config.data_config(
        {**config.defaults(), "dataset": dataset, "data_dir": settings.data_dir}
    )
    images = pipeline.evaluation_images(data, "test")
    weights, averages = tf1_checkpoint.read(path)
    model = Network(architectures.read(settings.architecture))
    pipeline.check_fits(model.spec, images, dataset)
    load_variables(model, averages or weights, str(path))
    images = images[: settings.num_examples]
    result = bounds(model, images, settings.iw_samples)
    return CheckpointBounds(result, bool(averages), model.spec)


def _print_parity(result: Parity, rtol: float) -> int:
    for key, error in result.errors.items():
        print(f"{key:<72} {error:.2e}{'' if error <= rtol else '  FAILS'}")
    for key in result.not_compared:
        print(f"not compared: {key} is not part of the format")
    worst = max(result.errors, key=result.errors.get)
    print(f"parity: max relative error {result.errors[worst]:.2e} ({worst})")
    return 0 if result.errors[worst] <= rtol else 1


def _print_bounds(result: CheckpointBounds, settings: CompareSettings) -> int:
    which = "moving averages" if result.averaged else "weights"
    number = len(result.bounds.tied)
    print(f"{settings.checkpoint} ({which}), the first {number} images of {settings.dataset} test:")
    for name, values in (
        ("tied, no bound", result.bounds.tied),
        ("independent", result.bounds.independent),
    ):
        mean = mean_of(values, result.spec)
        error = "" if mean.nats_standard_error is None else f" ± {mean.nats_standard_error:.3f}"
        print(
            f"  L_{settings.iw_samples}, noise {name:<16}{mean.nats:>12.3f}{error} nats"
            f"{mean.bits_per_dim:>12.4f} bits/dim"
        )
    return 0


def _print(settings: CompareSettings) -> int:
    try:
        result = run(settings)
    except UserError as e:
        print(f"compare_tf1: {e.with_flags()}", file=sys.stderr)
        return 2  # not 1, which means that an error is too large
    if isinstance(result, Parity):
        return _print_parity(result, settings.rtol)
    return _print_bounds(result, settings)


if __name__ == "__main__":
    start("compare_tf1", CompareSettings, _print)
