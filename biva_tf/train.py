"""Trains a model: python -m biva_tf.train --flagfile=configs/mnist_sample.flags

Starts a run in --model_dir, or goes on with the one that is there. The order of things: settings
and spec; the model_dir; data; devices, model and optimizer; the last checkpoint or data-dependent
initialisation; steps, with metrics, validations, sample grids and checkpoints on the way; at the
end the test split, once, with the selected weights. The last line on standard output is one JSON
object with step, elbo_nats and bits_per_dim.
"""

import dataclasses
import json
import math
import sys
from pathlib import Path

import numpy as np
from absl import flags

from biva_tf import architectures, command, config, dry_run, objectives, strategy
from biva_tf.checkpoint import SelectedWeights, TrainingCheckpoint
from biva_tf.data import pipeline
from biva_tf.data.sources import DataError
from biva_tf.errors import SettingsError, UserError
from biva_tf.reporting import Reporter
from biva_tf.run_dir import RunDir
from biva_tf.spec import ModelSpec
from biva_tf.training import Evaluation, StepMetrics, Trainer

_GRID = 64  # samples in a grid
_VALIDATION_SETTINGS = {
    "dataset",
    "binarize",
    "validation_size",
    "train_on_validation",
    "seed",
}

config.define_flags()
flags.adopt_module_key_flags(config)  # so that --help lists them


_DRY_RUN = flags.DEFINE_bool(
    "dry_run",
    False,
    "Print settings, model, memory estimate and steps per epoch, without data, and stop.",
)


class DivergedError(UserError, RuntimeError):
    """Training met a loss or a gradient that is not finite."""


def run(settings: config.Config, model_dir: Path) -> dict:
    """Trains, or goes on training, to settings.steps.

    Returns:
      The summary: step, elbo_nats and bits_per_dim of the test split, and more.

    Raises:
      DivergedError: naming the step and the last good checkpoint.
      UserError: the run cannot start; the message says why.
    """
    spec = architectures.read(settings.architecture)
    run_dir = RunDir(model_dir)
    data = pipeline.load(settings.data, settings.seed)
    _check_data(spec, settings, data)
    print(_describe(settings.dataset, data), file=sys.stderr)
    changes = _changes(run_dir, spec, settings)
    trainer = Trainer(spec, settings, strategy.make(settings.strategy, settings.logical_devices))
    checkpoint = TrainingCheckpoint(run_dir.checkpoints, trainer.model, trainer.optimizer)
    selected = SelectedWeights(run_dir.weights, trainer.model)
    if checkpoint.restore():
        print(f"going on from step {trainer.step} ({checkpoint.latest})", file=sys.stderr)
        if trainer.step > settings.steps:
            raise SettingsError(
                f"--steps: expected at least {trainer.step}, where the run in {model_dir} is, "
                f"got {settings.steps}"
            )
        if changes.keys() & _VALIDATION_SETTINGS:
            checkpoint.best_elbo.assign(-math.inf)  # not to be compared with what comes
    elif settings.init_from:
        _start_from(settings, spec, trainer)
    else:
        trainer.initialise(data.train.batch(0, settings.batch_size))
    run_dir.write_config(spec, settings)
    run_dir.drop_metrics_after(trainer.step)
    reporter = Reporter(run_dir, spec, trainer.step, settings.steps, settings.batch_size)
    try:
        _train(settings, data, trainer, checkpoint, selected, reporter)
        selected_step = int(checkpoint.best_step.numpy())
        selected.restore_step(selected_step)
        result = trainer.evaluate(data.test)
        if not math.isfinite(result.elbo):
            raise DivergedError(f"step {selected_step}: the test ELBO is {result.elbo}")
        reporter.samples("final", settings.steps, _sample(trainer, settings))
    finally:
        reporter.close()
    summary = _summary(spec, settings, selected_step, result)
    run_dir.write_summary(summary)
    return summary


def _start_from(settings: config.Config, spec: ModelSpec, trainer: Trainer) -> None:
    """Gives a new run the selected weights of the run that --init_from names.

    Raises:
      SettingsError: they are of another model.
    """
    start = RunDir(Path(settings.init_from))
    old_spec, old = start.read()
    dropout = {name: getattr(spec, name) for name in ("dropout_inference", "dropout_generative")}
    if dataclasses.replace(old_spec, **dropout) != spec:
        raise SettingsError(
            f"--init_from={start.path} has weights of --architecture={old['architecture']}, which "
            f"is another model than --architecture={settings.architecture}"
        )
    step = SelectedWeights(start.weights, trainer.model).restore()
    trainer.optimizer.reset_averages()
    print(f"starting from the weights of step {step} of {start.path}", file=sys.stderr)


def _changes(run_dir: RunDir, spec: ModelSpec, settings: config.Config) -> dict:
    """The settings that differ from the earlier run's, said; SettingsError if they may not."""
    changes = run_dir.check(spec, settings)
    for name, (old, new) in changes.items():
        print(
            f"note: a setting differs from the earlier run: --{name}: was {old!r}, is {new!r}",
            file=sys.stderr,
        )
    old, new = changes.get("ema_decay", (1, 1))
    if not old or not new:
        raise SettingsError(
            f"--ema_decay: the run in {run_dir.path} was made with {old}; a run cannot go on with "
            f"averages where it had none, or without, got {new}"
        )
    return changes


def _check_data(spec: ModelSpec, settings: config.Config, data: pipeline.Data) -> None:
    """Raises DataError if the images do not fit the model, or are too few for a batch."""
    images = data.train.images
    pipeline.check_fits(spec, images, settings.dataset)
    if settings.batch_size > len(images):
        expected = f"at most the {len(images)} training images"
        raise DataError(f"--batch_size: expected {expected}, got {settings.batch_size}")


def _describe(dataset: str, data: pipeline.Data) -> str:
    """The data set and its splits, in a line."""
    validation = 0 if data.validation is None else len(data.validation)
    counts = f"{len(data.train.images):,} to train, {validation:,} to validate, {len(data.test):,}"
    version = f" ({data.version})" if data.version else ""
    return f"{dataset}{version}: {counts} to test"


def _train(settings, data, trainer, checkpoint, selected, reporter) -> None:
    first = trainer.step
    batches = trainer.distribute(data.train, first, settings.steps)
    interval: list[StepMetrics] = []
    for step in range(first + 1, settings.steps + 1):
        interval.append(StepMetrics(*trainer.train_step(next(batches))))
        reporter.tick()
        last = step == settings.steps
        if last or step % settings.log_every == 0:
            # Reading the metrics here, and not at every step, keeps a device busy.
            _report(step, [_to_numpy(m) for m in interval], checkpoint, reporter)
            interval = []
        improved = False
        if last or step % settings.eval_every == 0:
            with trainer.averaged_weights():
                improved = _evaluate(step, settings, data, trainer, checkpoint, selected, reporter)
        # Selected weights go with a checkpoint that knows of them.
        if last or improved or step % settings.checkpoint_every == 0:
            reporter.flush()
            checkpoint.save(step)


def _report(last_step: int, interval: list[StepMetrics], checkpoint, reporter) -> None:
    first_step = last_step - len(interval) + 1
    for i, m in enumerate(interval):
        if not (np.isfinite(m.loss) and np.isfinite(m.gradient_norm)):
            if i:
                reporter.train(first_step + i - 1, interval[:i])
            raise DivergedError(
                f"step {first_step + i}: the loss is {m.loss}, the norm of its gradient "
                f"{m.gradient_norm}. {_good(checkpoint)}"
            )
    reporter.train(last_step, interval)


def _evaluate(step, settings, data, trainer, checkpoint, selected, reporter) -> bool:
    """Whether the weights are the best so far; then they are saved."""
    improved = True  # without a validation split, the last weights are the best
    if data.validation is not None:
        result = trainer.evaluate(data.validation)
        if not math.isfinite(result.elbo):
            raise DivergedError(
                f"step {step}: the validation ELBO is {result.elbo}. {_good(checkpoint)}"
            )
        reporter.evaluation("validation", step, result)
        improved = result.elbo > checkpoint.best_elbo.numpy()
        if improved:
            checkpoint.best_elbo.assign(result.elbo)
    if improved:
        selected.save(step)
        checkpoint.best_step.assign(step)
    reporter.samples(f"step_{step:07}", step, _sample(trainer, settings))
    return improved


def _sample(trainer: Trainer, settings: config.Config) -> np.ndarray:
    return trainer.model.sample(_GRID, seed=settings.seed).numpy()


def _to_numpy(metrics: StepMetrics) -> StepMetrics:
    return StepMetrics(*(f.numpy() for f in dataclasses.astuple(metrics)))


def _good(checkpoint: TrainingCheckpoint) -> str:
    latest = checkpoint.latest or "none yet: the run starts anew"
    return f"Nothing was overwritten; the last good checkpoint: {latest}"


def _summary(spec: ModelSpec, settings: config.Config, selected_step: int, r: Evaluation) -> dict:
    return {
        "step": settings.steps,
        "elbo_nats": r.elbo,
        "bits_per_dim": objectives.bits_per_dim(r.elbo, spec.image_shape),
        "split": "test",
        "selected_step": selected_step,
        "reconstruction_nats": r.reconstruction,
        "kl_nats": {z.name: float(kl) for z, kl in zip(spec.latents, r.kl, strict=True)},
    }


def _print_summary(summary: dict) -> None:
    rows = [
        ("ELBO", f"{summary['elbo_nats']:.3f} nats"),
        ("", f"{summary['bits_per_dim']:.4f} bits/dim"),
        ("reconstruction", f"{summary['reconstruction_nats']:.3f} nats"),
        *((f"KL {name}", f"{kl:.3f} nats") for name, kl in summary["kl_nats"].items()),
    ]
    print(f"\nTest split, weights selected at step {summary['selected_step']}, one sample:")
    for name, value in rows:
        print(f"  {name:<16}{value:>20}")
    print(json.dumps({key: summary[key] for key in ("step", "elbo_nats", "bits_per_dim")}))


def _settings() -> config.Config:
    """The settings of the flags.

    With --init_from, what no flag gives is as in the run there, but for the warm-up of the KL
    weight, which a trained model has behind it; as in this run itself, once it has begun.
    """
    init_from = flags.FLAGS.init_from
    if not init_from:
        return config.from_flags()
    this_run = RunDir(command.model_dir())
    if this_run.config.exists():
        return config.from_flags(this_run.read()[1])
    return config.from_flags({**RunDir(Path(init_from)).read()[1], "kl_warmup_steps": 0})


def _main() -> None:
    settings = _settings()
    if _DRY_RUN.value:
        devices = strategy.make(settings.strategy, settings.logical_devices)
        spec = architectures.read(settings.architecture)
        print(dry_run.describe(spec, settings, devices.num_replicas_in_sync))
        return
    _print_summary(run(settings, command.model_dir()))


if __name__ == "__main__":
    command.start("train", _main)
