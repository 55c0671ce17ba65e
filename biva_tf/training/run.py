"""A training run from its start, or from its last checkpoint, to its result.

The order: settings and spec; the model_dir; data; devices, model and optimizer; the last checkpoint
or data-dependent initialisation; steps, with metrics, validations, sample grids and checkpoints on
the way; at the end, once, the test split with the selected weights.
"""

import dataclasses
import math
import sys
from pathlib import Path

import numpy as np
import tensorflow as tf

from biva_tf import pretrained
from biva_tf.data import pipeline
from biva_tf.data.sources import DataError
from biva_tf.data.text.sentences import Counts, Form
from biva_tf.data.text.vocabulary import Vocabulary
from biva_tf.errors import SettingsError, UserError
from biva_tf.inference import sampling
from biva_tf.model import architectures
from biva_tf.model.spec import ModelSpec
from biva_tf.plotting import pictures
from biva_tf.runs.checkpoints import SelectedWeights, TrainingCheckpoint
from biva_tf.runs.config import RunConfig
from biva_tf.runs.run_dir import RunDir
from biva_tf.runs.selected import restore_selected
from biva_tf.training import devices
from biva_tf.training.reporting import Reporter
from biva_tf.training.trainer import Metrics, Trainer

_VALIDATION_SETTINGS = {
    "dataset",
    "binarize",
    "threshold",
    "validation_size",
    "train_on_validation",
    "labels",
    "label_seed",
    "seed",
}


class DivergedError(UserError, RuntimeError):
    """Training met a loss or a gradient that is not finite."""


@dataclasses.dataclass(frozen=True)
class Summary:
    """The result of a run, which summary.json keeps: the test split, one sample per image.

    Attributes:
      step: the steps done.
      elbo_nats, reconstruction_nats: means over the images.
      bits_per_dim: the mean over the images; of text None.
      perplexity: of text, exp(-ELBO per token), ends of sentences included; else None.
      split: "test".
      selected_step: the step that the weights are from.
      kl_nats: of each latent, by name.
    """

    step: int
    elbo_nats: float
    bits_per_dim: float | None
    split: str
    selected_step: int
    reconstruction_nats: float
    kl_nats: dict[str, float]
    perplexity: float | None = None


def train(config: RunConfig, model_dir: Path) -> Summary:
    """Trains, or resumes training, up to config.steps.

    Raises:
      DivergedError: naming the step and the last good checkpoint.
      UserError: the run cannot start; the message says why.
    """
    spec = architectures.read(config.architecture)
    run_dir = RunDir(model_dir)
    changes = _changes(run_dir, spec, config)
    form = Form.of(spec, _vocabulary(run_dir, config) if spec.of_text else None)
    data = pipeline.load(config.data, config.seed, spec.num_classes, form)
    _check_data(spec, config, data)
    _note(_describe(config.dataset, data))
    for name, counts in _counts(data).items():
        _note(f"{config.dataset} {name}: {counts}")
    for name, (old, new) in changes.items():
        _note(f"note: a setting differs from the earlier run: --{name}: was {old!r}, is {new!r}")
    strategy = devices.make_strategy(config.strategy, config.logical_devices)
    trainer = Trainer(spec, config, strategy, _alpha(config, data))
    checkpoint = TrainingCheckpoint(run_dir.checkpoints, trainer.model, trainer.optimizer)
    selected = SelectedWeights(run_dir.weights, trainer.model)
    if checkpoint.restore():
        _note(f"going on from step {trainer.step} ({checkpoint.latest})")
        if trainer.step > config.steps:
            raise SettingsError(
                f"--steps: expected at least {trainer.step}, where the run in {model_dir} is, "
                f"got {config.steps}"
            )
        if changes.keys() & _VALIDATION_SETTINGS:
            checkpoint.best_elbo.assign(-math.inf)  # the coming ones cannot be compared with it
    elif config.init_from:
        _start_from(config, spec, trainer)
    else:
        trainer.initialise(data.train.batch(0, config.batch_size).images)
    run_dir.write_config(spec, config)
    if data.vocabulary is not None:
        data.vocabulary.write(run_dir.vocabulary)
    run_dir.drop_metrics_after(trainer.step)
    reporter = Reporter(run_dir, trainer.step, config.steps, config.batch_size, data.vocabulary)
    try:
        _train(config, data, trainer, checkpoint, selected, reporter)
        selected_step = int(checkpoint.best_step.numpy())
        selected.restore_step(selected_step)
        metrics = trainer.evaluate(data.test)
        if not math.isfinite(metrics["elbo"]):
            raise DivergedError(f"step {selected_step}: the test ELBO is {metrics['elbo']}")
        reporter.samples("final", config.steps, _sample(trainer, config), spec)
    finally:
        reporter.close()
    summary = Summary(
        step=config.steps,
        elbo_nats=metrics["elbo"],
        bits_per_dim=metrics.get("bits_per_dim"),
        split="test",
        selected_step=selected_step,
        reconstruction_nats=metrics["reconstruction"],
        kl_nats={name: metrics[f"kl/{name}"] for name in spec.kl_names},
        perplexity=metrics.get("perplexity"),
    )
    run_dir.write_summary(dataclasses.asdict(summary))
    return summary


def _note(text: str) -> None:
    print(text, file=sys.stderr)


def _changes(run_dir: RunDir, spec: ModelSpec, config: RunConfig) -> dict:
    """The settings that differ from the earlier run's. SettingsError if one must not differ."""
    changes = run_dir.check(spec, config)
    old, new = changes.get("ema_decay", (1, 1))
    if not old or not new:
        raise SettingsError(
            f"--ema_decay: the run in {run_dir.path} was made with {old}; a run cannot go on with "
            f"averages where it had none, or without, got {new}"
        )
    return changes


def _check_data(spec: ModelSpec, config: RunConfig, data: pipeline.Data) -> None:
    """Raises DataError if the images do not fit the model, or are too few for a batch."""
    pipeline.check_fits(spec, data.test, config.dataset)
    if spec.classes is None:
        for name in ("labels", "alpha"):
            if getattr(config, name) is not None:
                raise SettingsError(
                    f"--{name}: expected an architecture with classes, got "
                    f"--architecture={config.architecture}"
                )
    elif data.train.labelled is None:
        raise DataError(f"--dataset={config.dataset}: expected labels, for a model with classes")
    number = data.train.number
    if number is not None and config.batch_size > number:
        expected = f"at most the {number} training images"
        raise DataError(f"--batch_size: expected {expected}, got {config.batch_size}")


def _alpha(config: RunConfig, data: pipeline.Data) -> float:
    """The weight of the labels, for a model with classes."""
    if config.alpha is not None or data.train.labelled is None:
        return config.alpha or 0.0
    return 0.1 * data.train.number / len(data.train.labelled)


def _describe(dataset: str, data: pipeline.Data) -> str:
    """The data set and its splits, in a line."""
    validation = 0 if data.validation is None else len(data.validation)
    train = "without end" if data.train.number is None else f"{data.train.number:,}"
    counts = f"{train} to train, {validation:,} to validate, {len(data.test):,}"
    version = f" ({data.version})" if data.version else ""
    labelled = "" if data.train.labelled is None else f", {len(data.train.labelled):,} labelled"
    return f"{dataset}{version}: {counts} to test{labelled}"


def _vocabulary(run_dir: RunDir, config: RunConfig) -> Vocabulary | None:
    """The vocabulary of the earlier run here, or of the run to start from; None without one."""
    for earlier in (run_dir, *([pretrained.find(config.init_from)] if config.init_from else [])):
        if earlier.vocabulary.exists():
            return Vocabulary.read(earlier.vocabulary)
    return None


def _counts(data: pipeline.Data) -> dict[str, Counts]:
    """What became of the lines of each split of text."""
    if data.vocabulary is None:
        return {}
    splits = {"train": data.train.images, "validation": data.validation, "test": data.test}
    return {name: split.counts for name, split in splits.items() if split is not None}


def _start_from(config: RunConfig, spec: ModelSpec, trainer: Trainer) -> None:
    """Gives a new run the selected weights of the run that --init_from names.

    Raises:
      SettingsError: they are of another model.
    """
    start = pretrained.find(config.init_from)
    old_spec, old = start.read()
    dropout = {name: getattr(spec, name) for name in ("dropout_inference", "dropout_generative")}
    if dataclasses.replace(old_spec, **dropout) != spec:
        raise SettingsError(
            f"--init_from={start.path} has weights of --architecture={old['architecture']}, which "
            f"is another model than --architecture={config.architecture}"
        )
    step = restore_selected(start, trainer.model)
    trainer.optimizer.reset_averages()
    _note(f"starting from the weights of step {step} of {start.path}")


def _train(config, data, trainer, checkpoint, selected, reporter) -> None:
    first = trainer.step
    batches = trainer.distribute(data.train, first, config.steps)
    interval: list[dict[str, tf.Tensor]] = []
    for step in range(first + 1, config.steps + 1):
        interval.append(trainer.train_step(next(batches))[1])
        reporter.tick()
        last = step == config.steps
        if last or step % config.log_every == 0:
            # Reading the metrics here, and not after every step, keeps a device busy.
            _report(step, [_to_numpy(metrics) for metrics in interval], checkpoint, reporter)
            interval = []
        improved = False
        if last or step % config.eval_every == 0:
            with trainer.averaged_weights():
                improved = _evaluate(step, config, data, trainer, checkpoint, selected, reporter)
        # A checkpoint that knows of the selected weights follows them at once.
        if last or improved or step % config.checkpoint_every == 0:
            reporter.flush()
            checkpoint.save(step)


def _report(last_step: int, interval: list[Metrics], checkpoint, reporter) -> None:
    first_step = last_step - len(interval) + 1
    for i, metrics in enumerate(interval):
        loss, norm = metrics["loss"], metrics["gradient_norm"]
        if not (np.isfinite(loss) and np.isfinite(norm)):
            if i:
                reporter.train(first_step + i - 1, interval[:i])
            raise DivergedError(
                f"step {first_step + i}: the loss is {loss}, the norm of its gradient {norm}. "
                f"{_good(checkpoint)}"
            )
    reporter.train(last_step, interval)


def _evaluate(step, config, data, trainer, checkpoint, selected, reporter) -> bool:
    """Whether the weights are the best so far; then they are saved."""
    improved = True  # without a validation split, the last weights are the best
    if data.validation is not None:
        metrics = trainer.evaluate(data.validation)
        if not math.isfinite(metrics["elbo"]):
            raise DivergedError(
                f"step {step}: the validation ELBO is {metrics['elbo']}. {_good(checkpoint)}"
            )
        reporter.evaluation("validation", step, metrics)
        improved = metrics["elbo"] > checkpoint.best_elbo.numpy()
        if improved:
            checkpoint.best_elbo.assign(metrics["elbo"])
    if improved:
        selected.save(step)
        checkpoint.best_step.assign(step)
    reporter.samples(f"step_{step:07}", step, _sample(trainer, config), trainer.model.spec)
    return improved


def _sample(trainer: Trainer, config: RunConfig) -> np.ndarray:
    number = pictures.number(trainer.model.spec)
    return sampling.sample(trainer.model, number, seed=config.seed).numpy()


def _to_numpy(metrics: dict[str, tf.Tensor]) -> Metrics:
    return {name: value.numpy() for name, value in metrics.items()}


def _good(checkpoint: TrainingCheckpoint) -> str:
    latest = checkpoint.latest or "none yet: the run starts anew"
    return f"Nothing was overwritten; the last good checkpoint: {latest}"
