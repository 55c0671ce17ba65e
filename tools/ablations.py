"""Trains BIVA, LVAE+ and LVAE, and prints their results in the form of the paper's Table 1:

    python -m tools.ablations --output_dir=runs/ablations --seeds=0,1

biva_tf.train trains every model for the same number of steps on the same batches. It also gets any
flags that follow `--`. Finished runs are not trained again, and interrupted ones are resumed. The
results are for the test split, with one sample per image and the weights that were selected on the
validation split.
"""

import dataclasses
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import tensorflow as tf

from biva_tf.commands.start import start
from biva_tf.errors import SettingsError, UserError
from biva_tf.inference import objectives
from biva_tf.model import architectures
from biva_tf.settings import required, setting

# Flags for a short run, as in configs/mnist_sample.flags.
_DEFAULTS = (
    "--ema_decay=0.99",
    "--eval_every=250",
    "--checkpoint_every=250",
)


@dataclasses.dataclass(frozen=True)
class AblationsSettings:
    """The settings of `python -m tools.ablations`."""

    output_dir: str = required("The folder of the runs.")
    architecture: str = setting("mnist_sample", "The BIVA to compare with its ablations.")
    steps: int = setting(1000, "Training steps of every model.", lower=1)
    seeds: tuple[int, ...] = setting((0, 1), "Seeds; every model is trained once with each.")
    vae: bool = setting(False, "Train the VAE too.")


class TrainingError(UserError, RuntimeError):
    """A training run that failed."""


@dataclasses.dataclass(frozen=True)
class Row:
    """A row of the table: a model's name, number of parameters, and run summary for each seed."""

    name: str
    parameters: int
    summaries: tuple[dict, ...]


def run(settings: AblationsSettings, training_flags: list[str]) -> list[Row]:
    """Trains the models that are not trained yet, and returns the rows of the table.

    Args:
      settings: the models, seeds and steps.
      training_flags: more flags for biva_tf.train.

    Raises:
      SpecError: there is no such BIVA.
      SettingsError: no seed is given.
      TrainingError: a training run failed.
    """
    base = settings.architecture
    names = [base, f"{base}_lvae_plus", f"{base}_lvae"] + [f"{base}_vae"] * settings.vae
    for name in names:
        architectures.get(name)  # an unknown name raises an error now, not after hours of training
    if not settings.seeds:
        raise SettingsError("--seeds: expected at least one seed, got none")
    rows = []
    for name in names:
        runs = [_train(settings, name, seed, training_flags) for seed in settings.seeds]
        rows.append(Row(name, runs[0][0], tuple(summary for _, summary in runs)))
    return rows


def _train(
    settings: AblationsSettings, name: str, seed: int, training_flags: list[str]
) -> tuple[int, dict]:
    """Trains a model if needed; returns its number of parameters and its run summary."""
    folder = Path(settings.output_dir) / f"{name}_seed{seed}"
    command = [sys.executable, "-m", "biva_tf.train", f"--model_dir={folder}"]
    command += [f"--architecture={name}", f"--seed={seed}", f"--steps={settings.steps}"]
    print(f"{name}, seed {seed}", file=sys.stderr, flush=True)
    command = [*command, *_DEFAULTS, *training_flags]
    code = subprocess.run(command, stdout=subprocess.DEVNULL).returncode
    if code:
        raise TrainingError(f"the training of {name} with seed {seed} failed with exit code {code}")
    index = sorted((folder / "weights").glob("*.index"))
    return _parameters(index[-1]), json.loads((folder / "summary.json").read_text())


def _parameters(index: Path) -> int:
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


def _print(settings: AblationsSettings, training_flags: list[str]) -> None:
    rows = run(settings, training_flags)
    print(f"test split after {rows[0].summaries[0]['step']} steps, one number per seed")
    for line in _table(rows):
        print(line)


if __name__ == "__main__":
    start("ablations", AblationsSettings, _print, passes_arguments=True)
