"""Watches for training that diverges."""

from collections.abc import Sequence

import numpy as np

from biva_tf.errors import Setting, UserError
from biva_tf.runs.config import RunConfig
from biva_tf.training.trainer import Metrics


class DivergedError(UserError, RuntimeError):
    """Training met a loss or a gradient that is not finite, or skipped too many steps."""


class Watch:
    """Looks at the metrics of every step.

    Args:
      config: the run's settings: whether it skips steps, and how many in a row end it.
    """

    def __init__(self, config: RunConfig):
        self._config = config
        self._norm: float | None = None  # the median over the last interval
        self._in_a_row = 0

    def good_steps(self, interval: Sequence[Metrics]) -> int:
        """How many steps come before the one at which the run has diverged; all, if it has not."""
        for i, metrics in enumerate(interval):
            if metrics.get("skipped"):
                self._in_a_row += 1
                if self._in_a_row == self._config.max_skipped:
                    return i
            else:
                self._in_a_row = 0
                if not (np.isfinite(metrics["loss"]) and np.isfinite(metrics["gradient_norm"])):
                    return i
        norms = [m["gradient_norm"] for m in interval if not m.get("skipped")]
        if norms:
            self._norm = float(np.median(norms))
        return len(interval)

    def error(self, step: int, metrics: Metrics, checkpoint: str | None) -> DivergedError:
        """The error of a step that `good_steps` found.

        Args:
          step: its number.
          metrics: the step's metrics.
          checkpoint: the path of the newest checkpoint, if there is one.
        """
        loss, norm = metrics["loss"], metrics["gradient_norm"]
        said: list[str | Setting] = [
            f"step {step}: the loss is {loss}, the norm of its gradient {norm}"
        ]
        if metrics.get("skipped"):
            most = Setting("max_skipped", self._config.max_skipped)
            said += [", and ", most, " steps in a row were skipped"]
        return DivergedError(*said, ". ", *self._advice(), f" {good(checkpoint)}")

    def _advice(self) -> tuple[str | Setting, ...]:
        norm = self._norm
        usual = "" if norm is None else f" (the norm was {norm:.3g} before, as a median)"
        return (
            "The same command with other settings goes on from the last good checkpoint: a lower ",
            Setting("learning_rate"),
            ", ",
            Setting("clip_norm"),
            ", or ",
            Setting("skip_gradient_norm"),
            f"{usual}.",
        )


def good(checkpoint: str | None) -> str:
    """Names the checkpoint that a diverged run can go on from."""
    latest = checkpoint or "none yet: the run starts anew"
    return f"Nothing was overwritten; the last good checkpoint: {latest}"
