"""The figures: matplotlib, drawn without a display, written as PNG."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from biva_tf import extras
from biva_tf.files import write_atomically

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_DPI = 120
_MAX_COLUMNS = 5
_IN, _OUT = "tab:blue", "tab:orange"


def require() -> None:
    """Raises MissingPackageError if a package that draws figures is not installed."""
    extras.require("plotting", "matplotlib", "scipy")


def new_figure(width: float, height: float) -> Figure:
    """An empty figure; its size is in inches."""
    require()
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def png(figure: Figure) -> bytes:
    """A figure as the content of a PNG file."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    content = io.BytesIO()
    FigureCanvasAgg(figure)
    figure.savefig(content, format="png", dpi=_DPI)
    return content.getvalue()


def write(path: Path, figure: Figure) -> None:
    """Writes a figure as a PNG file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, png(figure))


def pixels(figure: Figure) -> np.ndarray:
    """A figure as a picture, uint8 [height, width, 3]."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    figure.set_dpi(_DPI)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()


def scatter(points: np.ndarray) -> Figure:
    """Points of several kinds, a panel each, [kinds, points, coordinates]; the first two are shown.

    The panels have the same limits, which leave out a thousandth of the points on each side.
    """
    figure, panels = _panels(len(points), height=4.2)
    flat = points[..., :2].reshape(-1, 2)
    low, high = np.quantile(flat, (0.001, 0.999), axis=0)
    margin = 0.05 * (high - low) + 1e-3
    for panel, kind in zip(panels, points, strict=True):
        panel.scatter(kind[:, 0], kind[:, 1], s=3, linewidths=0, alpha=0.6)
        panel.set_xlim(low[0] - margin[0], high[0] + margin[0])
        panel.set_ylim(low[1] - margin[1], high[1] + margin[1])
        panel.set_aspect("equal")
    return figure


def histograms(
    scores: dict[int, tuple[np.ndarray, np.ndarray]], names: tuple[str, str], unit: str
) -> Figure:
    """Histograms and kernel density estimates of -L^{>k} of two data sets, one panel per k.

    In the form of Figure 4 of the paper. Scores that are not finite count in the outermost bin.

    Args:
      scores: for each k, those of the first and of the second data set.
      names: the data sets' names.
      unit: the unit of the scores.
    """
    figure, panels = _panels(len(scores), height=3.4)
    from scipy import stats

    for panel, (k, pair) in zip(panels, scores.items(), strict=True):
        both = np.concatenate(pair)
        both = both[np.isfinite(both)] if np.isfinite(both).any() else np.zeros(1)
        low, high = np.quantile(both, (0.002, 0.998))
        margin = 0.0 if high > low else 0.5
        edges = np.linspace(low - margin, high + margin, 50)
        at = np.linspace(edges[0], edges[-1], 400)
        for values, name, colour in zip(pair, names, (_IN, _OUT), strict=True):
            # The outermost bins count the values outside.
            inside = np.clip(values, edges[0], edges[-1])
            panel.hist(inside, edges, density=True, color=colour, alpha=0.35, label=name)
            values = values[np.isfinite(values)]
            if len(values) > 2 and values.std() > 0:
                panel.plot(at, stats.gaussian_kde(values)(at), color=colour)
        panel.set_title(rf"$\mathcal{{L}}^{{>{k}}}$")
        panel.set_xlabel(rf"$-\mathcal{{L}}^{{>{k}}}$ ({unit})")
    panels[0].set_ylabel("density")
    panels[0].legend(frameon=False)
    return figure


def _panels(number: int, height: float) -> tuple[Figure, list]:
    """A figure with a number of panels, in rows, and the panels. The height of one is in inches."""
    columns = min(number, _MAX_COLUMNS)
    rows = -(-number // columns)
    figure = new_figure(4.2 * columns, height * rows)
    panels = figure.subplots(rows, columns, squeeze=False).ravel()
    for panel in panels[number:]:
        panel.set_visible(False)
    return figure, list(panels[:number])


def log_kl(steps: np.ndarray, kl: np.ndarray, latents: list[str]) -> Figure:
    """log KL(q||p) of each latent over training, in the form of Figure 2 of the paper.

    Args:
      steps: [times], training steps.
      kl: [times, latents], nats. Negative one-sample estimates have no logarithm and are left out.
      latents: their names, in the paper's order.
    """
    figure = new_figure(8, 4.6)
    panel = figure.subplots()
    for values, name, style in zip(kl.T, latents, _styles(latents), strict=True):
        positive = np.where(values > 0, values, np.nan)
        panel.plot(steps, positive, label=name, linewidth=1.2, **style)
    panel.set_yscale("log")
    panel.set_xlabel("training step")
    panel.set_ylabel("KL(q||p) (nats, logarithmic)")
    panel.grid(alpha=0.3)
    columns = 1 + (len(latents) - 1) // 16
    figure.legend(loc="outside right upper", ncols=columns, fontsize="small", frameon=False)
    return figure


def _styles(latents: list[str]) -> list[dict]:
    """A colour by depth; bottom-up latents solid, the others dashed."""
    from matplotlib import colormaps

    colours = colormaps["viridis"](np.linspace(0, 0.95, len(latents)))
    dashed = any(name.endswith("_td") for name in latents)
    return [
        {"color": colour, "linestyle": "--" if dashed and name.endswith("_td") else "-"}
        for name, colour in zip(latents, colours, strict=True)
    ]


def learning_curves(curves: dict[str, tuple[np.ndarray, np.ndarray]]) -> Figure:
    """-ELBO over training.

    Args:
      curves: for each split, steps and ELBOs in nats.
    """
    figure = new_figure(7, 4.2)
    panel = figure.subplots()
    for split, (steps, elbo) in curves.items():
        marker = "o" if split != "train" else None
        panel.plot(steps, -elbo, label=split, marker=marker, markersize=3, linewidth=1.2)
    late = np.concatenate([-elbo[len(elbo) // 10 :] for _, elbo in curves.values()])
    low, high = late.min(), late.max()
    margin = 0.05 * (high - low) or 1.0  # early steps are far off
    panel.set_ylim(low - margin, high + margin)
    panel.set_xlabel("training step")
    panel.set_ylabel("-ELBO (nats)")
    panel.grid(alpha=0.3)
    panel.legend(frameon=False)
    return figure


def metrics(curves: dict[str, dict[str, tuple[np.ndarray, np.ndarray]]]) -> Figure:
    """Every scalar metric over training, a panel each.

    Args:
      curves: for each metric and each split that has it, steps and values.
    """
    figure, panels = _panels(len(curves), height=3.0)
    for panel, (name, splits) in zip(panels, curves.items(), strict=True):
        for split, (steps, values) in splits.items():
            panel.plot(steps, values, label=split, linewidth=1.2)
        late = np.concatenate([values[len(values) // 10 :] for _, values in splits.values()])
        low, high = late.min(), late.max()
        margin = 0.05 * (high - low) or max(0.05 * abs(high), 1e-8)  # early steps are far off
        panel.set_ylim(low - margin, high + margin)
        panel.set_title(name, fontsize="medium")
        panel.grid(alpha=0.3)
        if len(splits) > 1:
            panel.legend(frameon=False, fontsize="small")
        panel.set_xlabel("training step")
    return figure


def kl_bars(kl: np.ndarray, latents: list[str], title: str) -> Figure:
    """KL(q||p) of each latent, [latents], nats, as bars in the paper's order."""
    figure = new_figure(max(4.5, 0.32 * len(latents) + 1.5), 3.8)
    panel = figure.subplots()
    colours = [style["color"] for style in _styles(latents)]
    panel.bar(range(len(latents)), kl, color=colours)
    panel.set_xticks(range(len(latents)), latents, rotation=90 if len(latents) > 8 else 0)
    panel.set_ylabel("KL(q||p) (nats)")
    panel.set_title(title, fontsize="medium")
    panel.grid(axis="y", alpha=0.3)
    return figure


def confusion(matrix: np.ndarray) -> Figure:
    """A confusion matrix, [classes, classes]: examples by label (rows) and prediction (columns)."""
    classes = len(matrix)
    side = 1.6 + 0.42 * classes
    figure = new_figure(side, side)
    panel = figure.subplots()
    share = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    panel.imshow(share, cmap="Blues", vmin=0, vmax=1)
    for label, predicted in np.argwhere(matrix):
        colour = "white" if share[label, predicted] > 0.5 else "black"
        panel.text(
            predicted,
            label,
            matrix[label, predicted],
            ha="center",
            va="center",
            color=colour,
            fontsize="small",
        )
    panel.set_xticks(range(classes))
    panel.set_yticks(range(classes))
    panel.set_xlabel("prediction")
    panel.set_ylabel("label")
    return figure
