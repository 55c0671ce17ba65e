"""The figures of a training, from the lines of its metrics."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from biva_tf.plotting import figures

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def draw(lines: dict[str, list[dict[str, Any]]], latents: list[str]) -> dict[str, Figure]:
    """The figures of a training, by name.

    log_kl is log KL(q||p) of each latent over training (paper, Figure 2); learning_curves, -ELBO of
    every split; metrics, every metric that is one number; kl, the KL of each latent at the last
    validation, or without one at the last training step.

    Args:
      lines: by split, its lines of metrics, as `runs.metrics.read_metrics` gives them.
      latents: the names of the KL terms, in the paper's order.
    """

    def column(split: str, name: str) -> np.ndarray:
        return np.array([values[name] for values in lines[split]])

    def kl(split: str) -> np.ndarray:
        return np.array([[values["kl"][name] for name in latents] for values in lines[split]])

    curves = {split: (column(split, "step"), column(split, "elbo")) for split in lines}
    last = "validation" if "validation" in lines else "train"
    title = f"{last}, step {lines[last][-1]['step']}"
    return {
        "log_kl": figures.log_kl(column("train", "step"), kl("train"), latents),
        "learning_curves": figures.learning_curves(curves),
        "metrics": figures.metrics(_scalar_curves(lines)),
        "kl": figures.kl_bars(kl(last)[-1], latents, title),
    }


def draw_each(lines: dict[str, list[dict[str, Any]]]) -> dict[str, Figure]:
    """Every metric that is one number, over training, in a figure of its own, by name."""
    return {
        name: figures.metrics({name: of_splits})
        for name, of_splits in _scalar_curves(lines).items()
    }


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
