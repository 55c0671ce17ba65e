"""Draws the log of a run: python -m biva_tf.plot --model_dir=runs/mnist_sample

Writes to MODEL_DIR/pictures/: log_kl.png, log KL(q||p) of each latent over training (paper, Figure
2); learning_curves.png, -ELBO of every split; metrics.png, every metric that is one number; kl.png,
the KL of each latent at the end.
"""

import dataclasses
import json
from pathlib import Path

import numpy as np

from biva_tf.commands.model import ModelSettings
from biva_tf.commands.start import start
from biva_tf.plotting import figures
from biva_tf.runs.run_dir import RunDir, RunDirError


@dataclasses.dataclass(frozen=True, kw_only=True)
class PlotSettings(ModelSettings):
    """The settings of `python -m biva_tf.plot`."""


def run(settings: PlotSettings) -> tuple[Path, ...]:
    """Draws the figures of a run; their paths.

    Raises:
      RunDirError: it is not the model_dir of a run, or it has no metrics that can be read.
    """
    run_dir = settings.run_dir
    spec, _ = run_dir.read()
    lines = read_metrics(run_dir)
    latents = list(spec.kl_names)

    def column(split: str, name: str) -> np.ndarray:
        return np.array([values[name] for values in lines[split]])

    def kl(split: str) -> np.ndarray:
        return np.array([[values["kl"][name] for name in latents] for values in lines[split]])

    curves = {split: (column(split, "step"), column(split, "elbo")) for split in lines}
    last = "validation" if "validation" in lines else "train"
    title = f"{last}, step {lines[last][-1]['step']}"
    drawn = {
        "log_kl": figures.log_kl(column("train", "step"), kl("train"), latents),
        "learning_curves": figures.learning_curves(curves),
        "metrics": figures.metrics(_scalar_curves(lines)),
        "kl": figures.kl_bars(kl(last)[-1], latents, title),
    }
    paths = []
    for name, figure in drawn.items():
        paths.append(settings.results_dir.pictures / f"{name}.png")
        figures.write(paths[-1], figure)
    return tuple(paths)


def _scalar_curves(lines: dict[str, list[dict]]) -> dict:
    """The steps and values of all metrics that are numbers, by metric and split."""
    curves: dict[str, dict] = {}
    for split, of_split in lines.items():
        names = dict.fromkeys(name for line in of_split for name in line)  # in order
        for name in names:
            having = [line for line in of_split if isinstance(line.get(name), int | float)]
            if name != "step" and having:
                steps = np.array([line["step"] for line in having])
                values = np.array([line[name] for line in having])
                curves.setdefault(name, {})[split] = (steps, values)
    return curves


def read_metrics(run_dir: RunDir) -> dict[str, list[dict]]:
    """The lines of metrics by split, in the order of the steps.

    A line without a bound, of training steps that were all skipped, is left out.

    Raises:
      RunDirError: there are none, or they cannot be read.
    """
    lines: dict[str, list[dict]] = {}
    try:
        for line in run_dir.metrics.read_text().splitlines(keepends=True):
            if line.endswith("\n"):  # a training that runs now may have written half of the last
                values = json.loads(line)
                if "elbo" not in values:
                    continue
                lines.setdefault(values["split"], []).append(values)
    except FileNotFoundError as e:
        raise RunDirError(f"{run_dir.metrics}: no such file; has the run begun?") from e
    except (OSError, ValueError, KeyError) as e:
        raise RunDirError(f"{run_dir.metrics}: expected lines of metrics ({e})") from e
    if "train" not in lines:
        raise RunDirError(f"{run_dir.metrics}: expected lines of metrics, found none")
    return lines


def _print(settings: PlotSettings) -> None:
    for path in run(settings):
        print(path)


if __name__ == "__main__":
    start("plot", PlotSettings, _print)
