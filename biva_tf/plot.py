"""Draws the log of a run: python -m biva_tf.plot --model_dir=runs/mnist_sample

Writes to MODEL_DIR/pictures/: log_kl.png, log KL(q||p) of each latent over training (paper, Figure
2); learning_curves.png, -ELBO of every split; kl.png, the KL of each latent at the end.
"""

import json

import numpy as np

from biva_tf import command, figures
from biva_tf.run_dir import RunDir, RunDirError


def read_metrics(run_dir: RunDir) -> dict[str, list[dict]]:
    """The lines of metrics by split, in the order of the steps.

    Raises:
      RunDirError: there are none, or they cannot be read.
    """
    lines: dict[str, list[dict]] = {}
    try:
        for line in run_dir.metrics.read_text().splitlines(keepends=True):
            if line.endswith("\n"):  # a running training may be in the middle of the last
                values = json.loads(line)
                lines.setdefault(values["split"], []).append(values)
    except FileNotFoundError as e:
        raise RunDirError(f"{run_dir.metrics}: no such file; has the run begun?") from e
    except (OSError, ValueError, KeyError) as e:
        raise RunDirError(f"{run_dir.metrics}: expected lines of metrics ({e})") from e
    if "train" not in lines:
        raise RunDirError(f"{run_dir.metrics}: expected lines of metrics, found none")
    return lines


def _main() -> None:
    run_dir = RunDir(command.model_dir())
    spec, _ = run_dir.read()
    lines = read_metrics(run_dir)
    latents = [latent.name for latent in spec.latents]

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
        "kl": figures.kl_bars(kl(last)[-1], latents, title),
    }
    for name, figure in drawn.items():
        path = run_dir.pictures / f"{name}.png"
        figures.write(path, figure)
        print(path)


if __name__ == "__main__":
    command.start("plot", _main)
