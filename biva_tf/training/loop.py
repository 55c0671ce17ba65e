"""The steps of a run, with metrics, validations, sample grids and checkpoints on the way."""

import dataclasses
import math
import signal
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from biva_tf.data.pipeline import Data
from biva_tf.files import read_json, write_json
from biva_tf.inference import sampling
from biva_tf.plotting.drawers import drawer
from biva_tf.runs.checkpoints import SelectedWeights, TrainingCheckpoint
from biva_tf.runs.config import RunConfig
from biva_tf.runs.run_dir import RunDir
from biva_tf.training.divergence import DivergedError, Watch, good
from biva_tf.training.interruption import Interruption, InterruptionError
from biva_tf.training.preemption import Preemption
from biva_tf.training.reporting import Reporter
from biva_tf.training.trainer import Metrics, Trainer


@dataclasses.dataclass(frozen=True)
class Unfinished:
    """What a run had still to do at the step of its checkpoint when a signal stopped it.

    Attributes:
      step: the checkpoint's step.
      interval: the metrics of the steps since the last line of metrics.
      evaluate: whether the evaluation that is due at the step is to be done.
    """

    step: int
    interval: list[Metrics] = dataclasses.field(default_factory=list)
    evaluate: bool = False

    @classmethod
    def read(cls, path: Path, step: int) -> "Unfinished":
        """That of a step; nothing, if the file is not there or of another step.

        Raises:
          ValueError: the file cannot be read; the message does not name it.
        """
        try:
            plain = read_json(path)
        except FileNotFoundError:
            return cls(step)
        fields = [field.name for field in dataclasses.fields(cls)]
        if not isinstance(plain, dict) or sorted(plain) != sorted(fields):
            raise ValueError(f"expected an object with {', '.join(fields)}, got {plain!r:.60}")
        unfinished = cls(**plain)
        if type(unfinished.step) is not int or not isinstance(unfinished.evaluate, bool):
            got = f"{unfinished.step!r:.60} and {unfinished.evaluate!r:.60}"
            raise ValueError(f"expected a step, and whether to evaluate, got {got}")
        interval = unfinished.interval
        if not isinstance(interval, list) or not all(map(_are_metrics, interval)):
            raise ValueError(f"interval: expected metrics of steps, got {interval!r:.60}")
        return unfinished if unfinished.step == step else cls(step)

    def write(self, path: Path) -> None:
        """Writes the file; `float` keeps every float32 exactly."""
        interval = [{name: float(value) for name, value in m.items()} for m in self.interval]
        write_json(path, {**dataclasses.asdict(self), "interval": interval})


@dataclasses.dataclass
class Loop:
    """Trains from the step of the trainer up to config.steps."""

    run_dir: RunDir
    config: RunConfig
    data: Data
    trainer: Trainer
    checkpoint: TrainingCheckpoint
    selected: SelectedWeights
    reporter: Reporter
    interruption: Interruption | Preemption

    def run(self, unfinished: Unfinished) -> None:
        """Trains; under `Interruption.held`.

        Args:
          unfinished: what a stopped run has left to do at the step of the trainer.

        Raises:
          DivergedError: naming the step and the last good checkpoint.
          InterruptionError: a signal came; a checkpoint of the step is written.
        """
        config, first = self.config, self.trainer.step
        watch = Watch(config)
        interval: list[dict[str, tf.Tensor]] = list(unfinished.interval)
        if unfinished.evaluate:
            if first == config.steps and interval:  # the run was to go on when it was stopped
                self._report(first, _to_numpy(interval), watch)
                interval = []
            self._finish(first, interval)
        batches = self.trainer.distribute(self.data.train, first, config.steps)
        for step in range(first + 1, config.steps + 1):
            interval.append(self.trainer.train_step(next(batches))[1])
            self.reporter.tick()
            if step == config.steps or config.is_reported(step):
                # Reading the metrics here, and not after every step, keeps a device busy.
                self._report(step, _to_numpy(interval), watch)
                interval = []
            self._finish(step, interval)

    def _report(self, last_step: int, interval: list[Metrics], watch: Watch) -> None:
        first_step, done = last_step - len(interval) + 1, watch.good_steps(interval)
        if done:
            self.reporter.train(first_step + done - 1, interval[:done])
        if done < len(interval):
            raise watch.error(first_step + done, interval[done], self.checkpoint.latest)

    def _finish(self, step: int, interval: list[dict[str, tf.Tensor]]) -> None:
        """Evaluates and writes a checkpoint where they are due, and stops if a signal came."""
        config, last, improved = self.config, step == self.config.steps, False
        if last or step % config.eval_every == 0:
            try:
                improved = self._evaluate(step)
            except InterruptionError:
                left = Unfinished(step, _to_numpy(interval), evaluate=True)
                self._stop(self.interruption.asked() or signal.SIGTERM, left)
        if asked := self.interruption.asked():
            self._stop(asked, Unfinished(step, _to_numpy(interval)))
        # A checkpoint that knows of the selected weights follows them at once.
        if last or improved or step % config.checkpoint_every == 0:
            self._save(step)

    def _evaluate(self, step: int) -> bool:
        """Whether the weights are selected so far; then they are saved."""
        trainer, improved = self.trainer, True  # without a validation split, the last ones are
        with trainer.averaged_weights():
            with self.interruption.at_once():
                sampled = sample(trainer, self.config)
                if self.data.validation is not None:
                    metrics = trainer.evaluate(self.data.validation)
            if self.data.validation is not None:
                improved = self._validated(step, metrics)
            if improved:
                self.selected.save(step)
                self.checkpoint.best_step.assign(step)
        self.reporter.samples(f"step_{step:07}", step, sampled, trainer.model.spec)
        return improved

    def _validated(self, step: int, metrics: Metrics) -> bool:
        """Reports the metrics of the validation split; whether they select the weights."""
        elbo, best = metrics["elbo"], self.checkpoint.best_elbo
        if not math.isfinite(elbo):
            latest = good(self.checkpoint.latest)
            raise DivergedError(f"step {step}: the validation ELBO is {elbo}. {latest}")
        self.reporter.evaluation("validation", step, metrics)
        if self.config.bound_weight == 0:
            return True  # a bound that is not trained does not say which weights are good
        improved = elbo > best.numpy()
        if improved:
            best.assign(elbo)
        return improved

    def _save(self, step: int) -> None:
        self.reporter.flush()
        self.checkpoint.save(step)
        self.run_dir.unfinished.unlink(missing_ok=True)

    def _stop(self, number: int, unfinished: Unfinished) -> None:
        """Writes a checkpoint and what is not finished. Raises InterruptionError."""
        unfinished.write(self.run_dir.unfinished)
        self.reporter.flush()
        self.checkpoint.save(unfinished.step)
        raise InterruptionError(
            number,
            f"stopped after step {unfinished.step}. The same command goes on from there "
            f"({self.checkpoint.latest})",
        ) from None


def sample(trainer: Trainer, config: RunConfig) -> np.ndarray:
    """Samples for a picture, with the weights that the model has now."""
    number = drawer(trainer.model.spec).samples
    return sampling.sample(trainer.model, number, seed=config.seed).numpy()


def _are_metrics(plain: Any) -> bool:
    """Whether what a file has are the metrics of a step."""
    return (
        isinstance(plain, dict)
        and plain.keys() >= {"loss", "elbo", "gradient_norm"}
        and all(type(value) in (int, float) for value in plain.values())
    )


def _to_numpy(interval: list[dict[str, tf.Tensor]]) -> list[dict[str, Any]]:
    return [{name: np.asarray(value) for name, value in m.items()} for m in interval]
