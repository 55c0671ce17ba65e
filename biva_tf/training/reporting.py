"""Reports of a training run: a progress bar or lines, metrics.jsonl and TensorBoard."""

import math
import sys
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from tqdm import tqdm

from biva_tf.data.text.vocabulary import Vocabulary
from biva_tf.files import write_atomically
from biva_tf.model.spec import ModelSpec
from biva_tf.plotting import grid
from biva_tf.plotting.drawers import drawer
from biva_tf.runs.run_dir import RunDir
from biva_tf.training.trainer import Metrics


class Reporter:
    """Writes the metrics of a run.

    A "/" in the name of a metric makes groups: "kl/z1_bu" is {"kl": {"z1_bu": ...}} in
    metrics.jsonl and SPLIT_kl/z1_bu in TensorBoard.

    Args:
      run_dir: the run.
      first_step, last_step: the steps of this part of the run.
      batch_size: the global batch, for images per second.
      vocabulary: a text model's vocabulary.
    """

    def __init__(
        self,
        run_dir: RunDir,
        first_step: int,
        last_step: int,
        batch_size: int,
        vocabulary: Vocabulary | None = None,
    ):
        self._run_dir = run_dir
        self._writer = tf.summary.create_file_writer(str(run_dir.tensorboard))
        self._last_step = last_step
        self._batch_size = batch_size
        self._vocabulary = vocabulary
        self._since = (time.monotonic(), first_step)
        self._bar = None
        if sys.stderr.isatty():
            self._bar = tqdm(
                total=last_step, initial=first_step, unit="step", dynamic_ncols=True, leave=True
            )

    def tick(self) -> None:
        """Counts a step."""
        if self._bar is not None:
            self._bar.update()

    def say(self, text: str) -> None:
        """Prints a line without breaking the bar."""
        if self._bar is not None:
            self._bar.write(text, file=sys.stderr)
        else:
            print(text, file=sys.stderr, flush=True)

    def train(self, step: int, interval: Sequence[Metrics]) -> None:
        """Reports the means of the metrics of the steps since the last report.

        Skipped steps are counted, and left out of the means, which they might make infinite.
        """
        taken = [metrics for metrics in interval if not metrics.get("skipped")]
        names = taken[0] if taken else ()
        means = {
            name: float(np.mean([metrics[name] for metrics in taken], dtype=np.float64))
            for name in names
            if all(name in metrics for metrics in taken)  # settings may differ since a stop
        }
        if any("skipped" in metrics for metrics in interval):
            means["skipped"] = len(interval) - len(taken)
        self._write("train", step, means)
        self._show(step, means)

    def evaluation(self, split: str, step: int, metrics: Metrics) -> None:
        """Reports the evaluation of a split."""
        self._write(split, step, metrics)
        self.say(f"step {step}: {split} ELBO {metrics['elbo']:.3f} nats, {_unit(metrics)}")

    def samples(self, name: str, step: int, sampled: np.ndarray, spec: ModelSpec) -> None:
        """Writes a picture, or the text, of samples [n, *spec.image_shape]."""
        shown = drawer(spec).show(sampled, self._vocabulary)
        with self._writer.as_default(step=step):
            if shown.text is not None:
                write_atomically(self._run_dir.samples / f"{name}.txt", shown.text.encode())
                text = shown.text.replace("\n", "  \n")  # Markdown's line breaks
                tf.summary.text("samples", text)
            if shown.picture is not None:
                grid.write_png(self._run_dir.samples / f"{name}.png", shown.picture)
                tf.summary.image("samples", shown.picture[np.newaxis])

    def flush(self) -> None:
        """Writes what is still in memory. A resumed run does not write what came before it."""
        self._writer.flush()

    def close(self) -> None:
        """Ends the bar and flushes the files."""
        self._writer.close()
        if self._bar is not None:
            self._bar.close()

    def _write(self, split: str, step: int, metrics: Metrics) -> None:
        line: dict[str, Any] = {"step": step, "split": split}
        with self._writer.as_default(step=step):
            for name, value in metrics.items():
                *groups, leaf = name.split("/")
                nested = line
                for group in groups:
                    nested = nested.setdefault(group, {})
                nested[leaf] = value
                tf.summary.scalar("/".join(["_".join([split, *groups]), leaf]), value)
        self._run_dir.append_metrics(line)

    def _show(self, step: int, values: dict[str, float]) -> None:
        now = time.monotonic()
        steps, seconds = step - self._since[1], now - self._since[0]
        self._since = (now, step)
        parts = []
        if "loss" in values:
            parts.append(f"loss {values['loss']:.2f}  ELBO {values['elbo']:.2f} nats")
        if unit := _unit(values):
            parts[-1] += f" {unit}"
        if skipped := values.get("skipped"):
            parts.append(f"{skipped} steps skipped")
        said = "  ".join(parts)
        rate = steps / seconds if steps > 0 and seconds > 0 else None
        if rate is None:  # all of the steps were done by an earlier process
            speed = left = ""
        else:
            speed = f"{rate * self._batch_size:.0f} images/s"
            left = f"{rate:.2f} steps/s  {speed}  left {_duration((self._last_step - step) / rate)}"
        if self._bar is not None:
            self._bar.set_postfix_str(f"{speed}  {said}".strip(), refresh=False)
        else:
            self.say(f"step {step}/{self._last_step}  {said}  {left}".rstrip())


def _unit(metrics: Metrics) -> str:
    """The bound in its other unit, if the metrics have one."""
    if "perplexity" in metrics:
        return f"perplexity {metrics['perplexity']:.2f}"
    return f"{metrics['bits_per_dim']:.4f} bits/dim" if "bits_per_dim" in metrics else ""


def _duration(seconds: float) -> str:
    minutes, seconds = divmod(math.ceil(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}"
