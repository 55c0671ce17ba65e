"""Compares this port with arrays that the original TensorFlow 1 program computed.

    python -m tools.compare_tf1 --reference=tests/data/bernoulli_dense.npz

builds the model that the file describes, loads its variables, feeds its inputs and its noise, and
prints for every quantity the worst error relative to the quantity's largest magnitude. It exits
with 0 only if every quantity of the format is there and within --rtol. The optimiser steps are
compared in the order of updates that the arrays show; see `tools.tf1_replay`.

    python -m tools.compare_tf1 --checkpoint=PATH/model --dataset=mnist_static

reads a checkpoint of the original (its moving averages, if it has them) and prints L_K of a test
split under the original's tied noise and under independent noise; see `tools.tf1_noise`.
"""

import sys
from pathlib import Path

from absl import app, flags

from biva_tf import architectures, config, evaluation, strategy
from biva_tf.compute import CONVS, Compute
from biva_tf.data import pipeline, sources
from biva_tf.errors import UserError
from biva_tf.model import BIVA
from tools import tf1_checkpoint, tf1_noise, tf1_parity
from tools.tf1 import ReferenceError, load_variables, read_reference

_REFERENCE = flags.DEFINE_string("reference", None, "The npz file to compare with.")
_RTOL = flags.DEFINE_float("rtol", 1e-4, "The largest relative error that passes.", lower_bound=0)
_CONV = flags.DEFINE_enum("conv", "auto", CONVS, "How convolutions are computed.")

_CHECKPOINT = flags.DEFINE_string("checkpoint", None, "The checkpoint to find the bounds of.")
_ARCHITECTURE = flags.DEFINE_string("architecture", "mnist_l6", "Of the checkpoint.")
_DATASET = flags.DEFINE_enum("dataset", "mnist_10k", sources.names(), "Whose test split is scored.")
_DATA_DIR = flags.DEFINE_string("data_dir", sources.default_data_dir(), "Where it is prepared.")
_IW_SAMPLES = flags.DEFINE_integer("iw_samples", 1, "K of L_K.", lower_bound=1)
_NUM_EXAMPLES = flags.DEFINE_integer(
    "num_examples", 100, "The first so many images.", lower_bound=1
)
flags.mark_flags_as_mutual_exclusive(("reference", "checkpoint"), required=True)


def _compare_reference() -> int:
    """Prints the errors; the exit code."""
    reference = read_reference(_REFERENCE.value)
    errors = {}
    for key, error in tf1_parity.compare(reference, _RTOL.value, Compute(_CONV.value)):
        errors[key] = error
        print(f"{key:<72} {error:.2e}{'' if error <= _RTOL.value else '  FAILS'}")
    inputs = ("x", "var/", "noise/", "gen/noise/", "iw")
    for key in reference.arrays:
        if key not in errors and not key.startswith(inputs):
            print(f"not compared: {key} is no part of the format")
    worst = max(errors, key=errors.get)
    print(f"parity: max relative error {errors[worst]:.2e} ({worst})")
    return 0 if errors[worst] <= _RTOL.value else 1


def _compare_noise() -> int:
    """Prints the bounds of the checkpoint under both kinds of noise; the exit code."""
    path, dataset = Path(_CHECKPOINT.value), _DATASET.value
    settings = config.data_settings(
        {**config.defaults(), "dataset": dataset, "data_dir": _DATA_DIR.value}
    )
    images = pipeline.evaluation_images(settings, "test")
    weights, averages = tf1_checkpoint.read(path)
    model = BIVA(architectures.read(_ARCHITECTURE.value))
    pipeline.check_fits(model.spec, images, dataset)
    load_variables(model, averages or weights, str(path))
    images = images.first(min(_NUM_EXAMPLES.value, len(images)))
    bounds = tf1_noise.bounds(model, images[:], _IW_SAMPLES.value)
    which = "moving averages" if averages else "weights"
    print(f"{path} ({which}), the first {len(images)} images of {dataset} test:")
    for name, values in (("tied, no bound", bounds.tied), ("independent", bounds.independent)):
        mean = evaluation.mean_of(values, model.spec)
        error = "" if mean.nats_standard_error is None else f" ± {mean.nats_standard_error:.3f}"
        print(
            f"  L_{_IW_SAMPLES.value}, noise {name:<16}{mean.nats:>12.3f}{error} nats"
            f"{mean.bits_per_dim:>12.4f} bits/dim"
        )
    return 0


def main(_) -> int:
    """The command; the exit code."""
    strategy.tune()
    try:
        return _compare_reference() if _REFERENCE.value else _compare_noise()
    except (ReferenceError, UserError) as e:
        print(f"compare_tf1: {e}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    app.run(main)
