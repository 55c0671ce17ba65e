"""Draws the log of a run: python -m biva_tf.plot --model_dir=runs/mnist_sample

Writes to MODEL_DIR/pictures/: log_kl.png, log KL(q||p) of each latent over training (paper, Figure
2); learning_curves.png, -ELBO of every split; metrics.png, every metric that is one number; kl.png,
the KL of each latent at the end.
"""

import dataclasses
from pathlib import Path

from biva_tf.commands.model import RunSettings
from biva_tf.commands.start import start
from biva_tf.runs.metrics import read_metrics


@dataclasses.dataclass(frozen=True, kw_only=True)
class PlotSettings(RunSettings):
    """The settings of `python -m biva_tf.plot`."""

    def check_files(self) -> None:
        """Raises UserError if there is no run, or its pictures cannot be written."""
        super().check_files()
        self.check_results()


def run(settings: PlotSettings) -> tuple[Path, ...]:
    """Draws the figures of a run; their paths.

    Raises:
      RunDirError: it is not the model_dir of a run, or it has no metrics that can be read.
    """
    from biva_tf.plotting import curves, figures

    spec, _ = settings.run_dir.read()
    drawn = curves.draw(read_metrics(settings.run_dir), list(spec.kl_names))
    paths = []
    for name, figure in drawn.items():
        paths.append(settings.results_dir.pictures / f"{name}.png")
        figures.write(paths[-1], figure)
    return tuple(paths)


def _print(settings: PlotSettings) -> None:
    for path in run(settings):
        print(path)


def main() -> None:
    """Runs the command with the flags that it was given."""
    start("plot", PlotSettings, _print)


if __name__ == "__main__":
    main()
