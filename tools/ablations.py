"""Trains BIVA, LVAE+ and LVAE side by side and prints a Table 1 of its own:

    python -m tools.ablations --output_dir=runs/ablations --seeds=0,1

Every model is trained by biva_tf.train for the same number of steps on the same batches, with the
settings after `--`, if any. Runs that are there already are not trained again, and one that was
interrupted goes on. Test split, one sample per image, weights selected on the validation split.
"""

import dataclasses
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
from absl import app, flags

from biva_tf import architectures, objectives
from biva_tf.errors import UserError

_OUTPUT_DIR = flags.DEFINE_string("output_dir", None, "The folder of the runs.", required=True)
_ARCHITECTURE = flags.DEFINE_string("architecture", "mnist_sample", "The BIVA.")
_STEPS = flags.DEFINE_integer("steps", 1000, "Training steps of every model.", lower_bound=1)
_SEEDS = flags.DEFINE_list("seeds", ["0", "1"], "Seeds; every model is trained with each.")
_VAE = flags.DEFINE_bool("vae", False, "Train the VAE too.")

# For a short run, as configs/mnist_sample.flags.
_DEFAULTS = (
    "--ema_decay=0.99",
    "--eval_every=250",
    "--checkpoint_every=250",
)


@dataclasses.dataclass(frozen=True)
class Row:
    """A model of the table: its parameters, and for each seed what its run came to."""

    name: str
    parameters: int
    summaries: tuple[dict, ...]


def _train(name: str, seed: str, more: list[str]) -> tuple[int, dict]:
    """The parameters and the summary of a run, trained if need be."""
    folder = Path(_OUTPUT_DIR.value) / f"{name}_seed{seed}"
    command = [sys.executable, "-m", "biva_tf.train", f"--model_dir={folder}"]
    command += [f"--architecture={name}", f"--seed={seed}", f"--steps={_STEPS.value}"]
    print(f"{name}, seed {seed}", file=sys.stderr, flush=True)
    code = subprocess.run([*command, *_DEFAULTS, *more], stdout=subprocess.DEVNULL).returncode
    if code:
        sys.exit(f"ablations: the training of {name} with seed {seed} failed with exit code {code}")
    index = sorted((folder / "weights").glob("*.index"))
    return _parameters(index[-1]), json.loads((folder / "summary.json").read_text())


def _parameters(index: Path) -> int:
    import tensorflow as tf

    shapes = tf.train.load_checkpoint(str(index.with_suffix(""))).get_variable_to_shape_map()
    return sum(int(np.prod(s)) for name, s in shapes.items() if name.startswith("weights/"))


def _table(rows: list[Row]) -> list[str]:
    spec = architectures.get(rows[0].name)
    seeds = len(rows[0].summaries)
    lines = [f"{'':<28}{'parameters':>12}{'-ELBO, nats':>24}{'bits/dim':>20}"]
    for row in rows:
        nats = np.array([-s["elbo_nats"] for s in row.summaries])
        bits = objectives.bits_per_dim(-nats, spec.image_shape)
        each = " ".join(f"{n:.2f}" for n in nats)
        lines.append(
            f"{row.name:<28}{row.parameters:>12,}{each:>24}{' '.join(f'{b:.4f}' for b in bits):>20}"
        )
    lines.append(f"KL(q||p) per latent, nats, mean of {seeds} seeds:")
    for row in rows:
        names = row.summaries[0]["kl_nats"]
        kls = {n: np.mean([s["kl_nats"][n] for s in row.summaries]) for n in names}
        lines.append(f"  {row.name:<26}" + "  ".join(f"{n} {kl:.2f}" for n, kl in kls.items()))
    return lines


def main(argv: list[str]) -> None:
    """The command."""
    base = _ARCHITECTURE.value
    names = [base, f"{base}_lvae_plus", f"{base}_lvae"] + [f"{base}_vae"] * _VAE.value
    try:
        for name in names:
            architectures.get(name)  # before hours of training
    except UserError as e:
        sys.exit(f"ablations: {e}")
    if not _SEEDS.value:
        sys.exit("ablations: --seeds: expected at least one seed, got none")
    rows = []
    for name in names:
        runs = [_train(name, seed, argv[1:]) for seed in _SEEDS.value]
        rows.append(Row(name, runs[0][0], tuple(summary for _, summary in runs)))
    steps = rows[0].summaries[0]["step"]
    print(f"test split after {steps} steps, one number per seed")
    for line in _table(rows):
        print(line)


if __name__ == "__main__":
    app.run(main)
