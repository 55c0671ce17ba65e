"""The figure that compares models of densities over the plane with the true densities."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import numpy as np

from biva_tf.plotting.figures import new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_SIDE = 2.1  # of a panel, inches


@dataclasses.dataclass(frozen=True)
class Drawn:
    """A density as the figure shows it.

    Attributes:
      box: ((x low, x high), (y low, y high)).
      true: the density on a grid of the box, [rows of y, x].
      maps: by model, its density on the same grid.
      samples: by model, [samples, 2].
    """

    box: tuple[tuple[float, float], tuple[float, float]]
    true: np.ndarray
    maps: dict[str, np.ndarray]
    samples: dict[str, np.ndarray]


def comparison(drawn: dict[str, Drawn]) -> Figure:
    """A row for each density, by name: the true one, then of each model its density and samples.

    All densities of a row have the colours of the true one's range.
    """
    models = list(next(iter(drawn.values())).maps)
    columns = 1 + 2 * len(models)
    figure = new_figure(_SIDE * columns, _SIDE * len(drawn) + 0.3)
    panels = figure.subplots(len(drawn), columns, squeeze=False)
    titles = ["p(x)"]
    for model in models:
        titles += [rf"{model}: $\exp(\mathcal{{L}}_K)$", f"{model}: samples"]
    for panel, title in zip(panels[0], titles, strict=True):
        panel.set_title(title, fontsize="medium")
    for row, (name, density) in zip(panels, drawn.items(), strict=True):
        images = {row[0]: density.true}
        for i, model in enumerate(models):
            images[row[1 + 2 * i]] = density.maps[model]
            row[2 + 2 * i].scatter(*density.samples[model].T, s=1, linewidths=0, color="tab:blue")
        for panel, values in images.items():
            extent, top = np.ravel(density.box), 1.1 * density.true.max()
            panel.imshow(values, extent=extent, origin="lower", vmin=0, vmax=top, aspect="auto")
        for panel in row:
            panel.set_xlim(density.box[0])
            panel.set_ylim(density.box[1])
            panel.set_xticks([])
            panel.set_yticks([])
            panel.set_box_aspect(1)
        row[0].set_ylabel(name)
    return figure
