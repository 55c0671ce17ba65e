"""What a training run tells: a progress bar or lines, metrics.jsonl and TensorBoard."""

import math
import sys
import time
from typing import Any

import numpy as np
import tensorflow as tf
from tqdm import tqdm

from biva_tf import images, objectives
from biva_tf.run_dir import RunDir
from biva_tf.spec import ModelSpec
from biva_tf.training import Evaluation, StepMetrics


class Reporter:
    """Writes the metrics of a run.

    Args:
      run_dir: where to.
      spec: of the model, for the names of the latents and the dimensions of an image.
      first_step, last_step: of this part of the run.
      batch_size: the global batch, for images per second.
    """

    def __init__(
        self, run_dir: RunDir, spec: ModelSpec, first_step: int, last_step: int, batch_size: int
    ):
        self._run_dir = run_dir
        self._spec = spec
        self._latents = [latent.name for latent in spec.latents]
        self._writer = tf.summary.create_file_writer(str(run_dir.tensorboard))
        self._last_step = last_step
        self._batch_size = batch_size
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

    def train(self, step: int, interval: list[StepMetrics]) -> None:
        """Reports the mean of the metrics of the steps since the last report."""
        means = {
            name: np.mean([getattr(m, name) for m in interval], axis=0, dtype=np.float64)
            for name in ("loss", "elbo", "reconstruction", "kl", "gradient_norm")
        }
        kl = means.pop("kl")
        values = {name: float(value) for name, value in means.items()}
        values["bits_per_dim"] = self._bits(values["elbo"])
        values["learning_rate"] = float(interval[-1].learning_rate)
        values["kl_weight"] = float(interval[-1].kl_weight)
        self._write("train", step, values, kl)
        self._show(step, values)

    def evaluation(self, split: str, step: int, result: Evaluation) -> None:
        """Reports the evaluation of a split."""
        values = {"elbo": float(result.elbo), "reconstruction": float(result.reconstruction)}
        values["bits_per_dim"] = self._bits(values["elbo"])
        self._write(split, step, values, result.kl)
        self.say(
            f"step {step}: {split} ELBO {values['elbo']:.3f} nats, "
            f"{values['bits_per_dim']:.4f} bits/dim"
        )

    def samples(self, name: str, step: int, sampled: np.ndarray) -> None:
        """Writes a grid of samples [n, h, w, c] in [0, 1]."""
        picture = images.grid(sampled)
        images.write_png(self._run_dir.samples / f"{name}.png", picture)
        with self._writer.as_default(step=step):
            tf.summary.image("samples", picture[np.newaxis])

    def flush(self) -> None:
        """Writes what is still in memory: before a checkpoint, since no later run writes it."""
        self._writer.flush()

    def close(self) -> None:
        """Ends the bar and flushes the files."""
        self._writer.close()
        if self._bar is not None:
            self._bar.close()

    def _bits(self, elbo: float) -> float:
        return objectives.bits_per_dim(elbo, self._spec.image_shape)

    def _write(self, split: str, step: int, values: dict[str, Any], kl: np.ndarray) -> None:
        by_latent = {name: float(value) for name, value in zip(self._latents, kl, strict=True)}
        self._run_dir.append_metrics({"step": step, "split": split, **values, "kl": by_latent})
        with self._writer.as_default(step=step):
            for name, value in values.items():
                tf.summary.scalar(f"{split}/{name}", value)
            for name, value in by_latent.items():
                tf.summary.scalar(f"{split}_kl/{name}", value)

    def _show(self, step: int, values: dict[str, float]) -> None:
        now = time.monotonic()
        rate = (step - self._since[1]) / (now - self._since[0])
        self._since = (now, step)
        parts = (
            f"loss {values['loss']:.2f}  ELBO {values['elbo']:.2f} nats "
            f"{values['bits_per_dim']:.4f} bits/dim"
        )
        speed = f"{rate * self._batch_size:.0f} images/s"
        if self._bar is not None:
            self._bar.set_postfix_str(f"{speed}  {parts}", refresh=False)
        else:
            left = _duration((self._last_step - step) / rate)
            self.say(
                f"step {step}/{self._last_step}  {parts}  {rate:.2f} steps/s  {speed}  left {left}"
            )


def _duration(seconds: float) -> str:
    minutes, seconds = divmod(math.ceil(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}"
