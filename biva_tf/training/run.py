"""A training run from its start, or from its last checkpoint, to its result.

The order: settings and spec; the model_dir; data; devices, model and optimizer; the last checkpoint
or data-dependent initialisation; steps, with metrics, validations, sample grids and checkpoints on
the way; at the end, once, the test split with the selected weights.
"""

import contextlib
import dataclasses
import math
import sys
import tempfile
from pathlib import Path
from typing import Any

from biva_tf import pretrained
from biva_tf.data import pipeline
from biva_tf.data.sources import DataError
from biva_tf.data.text.sentences import Counts, Form
from biva_tf.data.text.vocabulary import Vocabulary
from biva_tf.errors import Setting, SettingsError
from biva_tf.locks import only_one
from biva_tf.model import architectures
from biva_tf.model.spec import ModelSpec
from biva_tf.runs.checkpoints import (
    Restored,
    SelectedWeights,
    TrainingCheckpoint,
    remove_remains,
)
from biva_tf.runs.config import RunConfig
from biva_tf.runs.run_dir import RunDir
from biva_tf.runs.selected import restore_selected
from biva_tf.training import devices, size
from biva_tf.training.divergence import DivergedError
from biva_tf.training.hosts import Hosts, lost_hosts_named
from biva_tf.training.interruption import Interruption
from biva_tf.training.loop import Loop, Unfinished, sample
from biva_tf.training.preemption import Preemption
from biva_tf.training.reporting import Reporter
from biva_tf.training.summary import RunSummary
from biva_tf.training.trainer import Trainer

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


def train(config: RunConfig, model_dir: Path) -> RunSummary:
    """Trains, or resumes training, up to config.steps.

    SIGTERM and SIGINT let the step finish and write a checkpoint; from there, the run goes on bit
    for bit as if it had not stopped.

    Raises:
      DivergedError: naming the step and the last good checkpoint.
      InterruptionError: a signal stopped the run.
      LockedError: another training writes the folder.
      UserError: the run cannot start; the message says why.
      OSError: the folder cannot be written. Once it can, the run goes on from its last checkpoint.
    """
    hosts = Hosts.for_strategy(config.strategy)
    # The chief alone writes the folder of the run, which all hosts read.
    alone: contextlib.AbstractContextManager[None] = contextlib.nullcontext()
    if hosts is None or hosts.is_chief:
        alone = only_one(model_dir, Setting("model_dir", model_dir), "training")
    with (
        Interruption() as interruption,
        alone,
        lost_hosts_named(hosts),
        tempfile.TemporaryDirectory(prefix="biva_tf_") as temporary,
    ):
        return _run(config, model_dir, interruption, hosts, Path(temporary))


def _run(
    config: RunConfig,
    model_dir: Path,
    interruption: Interruption,
    hosts: Hosts | None,
    temporary: Path,
) -> RunSummary:
    spec = architectures.read(config.architecture)
    run_dir = RunDir(model_dir)
    is_chief = hosts is None or hosts.is_chief
    written = run_dir if is_chief else RunDir(temporary / "run")
    if is_chief:
        _remove_remains(run_dir)
    spec, config = run_dir.as_begun(spec, config)
    changes = _changes(run_dir, spec, config)
    if hosts is not None:
        hosts.wait(config.host_timeout)
    strategy = devices.make_strategy(config.strategy, config.logical_devices, hosts)
    size.check(spec, config.architecture)
    form = Form.for_spec(spec, _vocabulary(run_dir, config))
    data = pipeline.load(config.data, config.seed, spec.num_classes, form)
    _check_data(spec, config, data)
    _note(_describe(config, data))
    if data.validation_size is not None:
        config = dataclasses.replace(config, validation_size=data.validation_size)
    for name, counts in _counts(data).items():
        _note(f"{config.dataset} {name}: {counts}")
    for name, (old, new) in changes.items():
        _note(f"note: a setting differs from the earlier run: {name}: was {old!r}, is {new!r}")
    trainer = Trainer(spec, config, strategy, _alpha(config, data))
    keep = config.keep_checkpoints
    checkpoint = TrainingCheckpoint(run_dir.checkpoints, trainer.model, trainer.optimizer, keep)
    selected = SelectedWeights(run_dir.weights, trainer.model, keep)
    if restored := checkpoint.restore(repair=is_chief):
        _go_on(config, run_dir, trainer.step, restored)
        if changes.keys() & _VALIDATION_SETTINGS:
            checkpoint.best_elbo.assign(-math.inf)  # the coming ones cannot be compared with it
    elif config.init_from:
        _start_from(config, spec, trainer)
    else:
        trainer.initialise(data.train.initial_images(config.init_images or config.batch_size))
    unfinished = _unfinished(config, run_dir, checkpoint, trainer.step)
    for kept in written.write_config(spec, config):
        _note(f"note: code of the model has changed since the earlier run; {kept} keeps its text")
    if data.vocabulary is not None:
        data.vocabulary.write(written.vocabulary)
    stops: Interruption | Preemption = interruption
    if hosts is not None:
        _check_shared(run_dir, trainer)
        stops = Preemption(interruption, strategy, temporary / "preemption")
    if not is_chief:
        checkpoint.write_to(written.checkpoints)
        selected.write_to(written.weights)
    if restored:
        _select_again(selected, checkpoint, trainer)
    if broken := written.drop_metrics_after(trainer.step):
        _note(f"note: {broken}")
    reporter = Reporter(written, trainer.step, config.steps, config.batch_size, data.vocabulary)
    try:
        with interruption.held():
            loop = Loop(written, config, data, trainer, checkpoint, selected, reporter, stops)
            loop.run(unfinished)
        trainer.of_all_hosts(trainer.step)  # which waits until the chief has written its files
        selected_step = int(checkpoint.best_step.numpy())
        selected.restore_step(selected_step)
        metrics = trainer.evaluate(data.test)
        if not math.isfinite(metrics["elbo"]):
            raise DivergedError(f"step {selected_step}: the test ELBO is {metrics['elbo']}")
        reporter.samples("final", config.steps, sample(trainer, config), spec)
    finally:
        reporter.close()
    summary = RunSummary(
        step=config.steps,
        elbo_nats=metrics["elbo"],
        bits_per_dim=metrics.get("bits_per_dim"),
        split="test",
        selected_step=selected_step,
        reconstruction_nats=metrics["reconstruction"],
        kl_nats={name: metrics[f"kl/{name}"] for name in spec.kl_names},
        perplexity=metrics.get("perplexity"),
    )
    written.write_summary(dataclasses.asdict(summary))
    return summary


def _select_again(
    selected: SelectedWeights, checkpoint: TrainingCheckpoint, trainer: Trainer
) -> None:
    """Writes selected weights where those that a run had selected cannot be read.

    They are the moving averages at the step that the run goes on from. All hosts write them if one
    cannot read those before.
    """
    best, step = int(checkpoint.best_step.numpy()), trainer.step
    if not best or all(trainer.of_all_hosts(int(selected.can_be_read(best)))):
        return
    with trainer.averaged_weights():
        selected.save(step)
    if best != step:
        checkpoint.best_step.assign(step)
        checkpoint.best_elbo.assign(-math.inf)  # of weights that are lost
    _note(f"note: the weights selected at step {best} cannot be read; those of {step} are taken")


def _unfinished(
    config: RunConfig, run_dir: RunDir, checkpoint: TrainingCheckpoint, step: int
) -> Unfinished:
    """What is still to be done at the step that a run goes on from."""
    unfinished, due = Unfinished(step), step == config.steps
    try:
        unfinished = Unfinished.read(run_dir.unfinished, step)
    except ValueError as e:
        lost = "the metrics of the steps since the last line of metrics are lost"
        _note(f"note: {run_dir.unfinished}: {e}; {lost}")
        due = due or step % config.eval_every == 0
    if step and due and not _is_evaluated(run_dir, checkpoint, step):
        unfinished = dataclasses.replace(unfinished, evaluate=True)
    return unfinished


def _is_evaluated(run_dir: RunDir, checkpoint: TrainingCheckpoint, step: int) -> bool:
    """Whether the run was evaluated at a step.

    It was not if it was stopped there and should have gone on then.
    """
    if int(checkpoint.best_step.numpy()) == step:
        return True
    try:
        lines = run_dir.metric_lines()
    except FileNotFoundError:
        return False
    return any(line["step"] == step and line["split"] == "validation" for line in lines)


def _remove_remains(run_dir: RunDir) -> None:
    """Removes what a killed run has left half written."""
    run_dir.remove_remains()
    for folder in (run_dir.checkpoints, run_dir.weights):
        remove_remains(folder)


def _check_shared(run_dir: RunDir, trainer: Trainer) -> None:
    """Raises SettingsError if the hosts do not go on from the same checkpoint in one folder."""
    steps = trainer.of_all_hosts(trainer.step)
    expected = (Setting("model_dir", run_dir.path), ": expected one folder that all hosts share; ")
    if len(set(steps)) > 1:
        raise SettingsError(*expected, f"their checkpoints are of the steps {steps}")
    if not run_dir.config.exists():
        raise SettingsError(*expected, "the chief's config.json is not there")


def _note(text: str) -> None:
    print(text, file=sys.stderr)


def _changes(run_dir: RunDir, spec: ModelSpec, config: RunConfig) -> dict:
    """The settings that differ from the earlier run's. SettingsError if one must not differ."""
    changes = run_dir.check(spec, config)
    old, new = changes.get("ema_decay", (1, 1))
    if not old or not new:
        raise SettingsError(
            Setting("ema_decay"),
            f": the run in {run_dir.path} was made with {old}; a run cannot go on with averages "
            f"where it had none, or without, got {new}",
        )
    return changes


def _check_data(spec: ModelSpec, config: RunConfig, data: pipeline.Data) -> None:
    """Raises DataError if the images do not fit the model, or are too few for a batch."""
    pipeline.check_fits(spec, data.test, config.dataset)
    if spec.classes is None:
        for name in ("labels", "alpha"):
            if getattr(config, name) is not None:
                raise SettingsError(
                    Setting(name),
                    ": expected an architecture with classes, got ",
                    Setting("architecture", config.architecture),
                )
    elif data.train.labelled is None:
        dataset = Setting("dataset", config.dataset)
        raise DataError(dataset, ": expected labels, for a model with classes")
    number = data.train.number
    if number is not None and config.batch_size > number:
        expected = f"at most the {number} training images"
        raise DataError(Setting("batch_size"), f": expected {expected}, got {config.batch_size}")


def _alpha(config: RunConfig, data: pipeline.Data) -> float:
    """The weight of the labels, for a model with classes."""
    labelled, number = data.train.labelled, data.train.number
    if config.alpha is not None or labelled is None or number is None:
        return config.alpha or 0.0
    return 0.1 * number / len(labelled)


def _describe(config: RunConfig, data: pipeline.Data) -> str:
    """The data set and its splits, in a line."""
    dataset = config.dataset
    validation = 0 if data.validation is None else len(data.validation)
    train = "without end" if data.train.number is None else f"{data.train.number:,}"
    chosen = ""
    if config.validation_size is None and validation == data.validation_size and validation < 1000:
        chosen = " (a fifth of the images: validation_size)"
    counts = f"{train} to train, {validation:,} to validate{chosen}, {len(data.test):,}"
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
    train, validation, test = data.train, data.validation, data.test
    if data.vocabulary is None or not isinstance(train, pipeline.TrainingData):
        return {}
    splits: dict[str, Any] = {"train": train.images, "validation": validation, "test": test}
    return {name: split.counts for name, split in splits.items() if split is not None}


def _go_on(config: RunConfig, run_dir: RunDir, step: int, restored: Restored) -> None:
    """Says where the run goes on. SettingsError if it is past its end."""
    for error in restored.unreadable:
        _note(f"note: {error}; the one before it is taken")
    _note(f"going on from step {step} ({restored.path})")
    if step > config.steps:
        raise SettingsError(
            Setting("steps"),
            f": expected at least {step}, where the run in {run_dir.path} is, got {config.steps}",
        )


def _start_from(config: RunConfig, spec: ModelSpec, trainer: Trainer) -> None:
    """Gives a new run the selected weights of the run that init_from names.

    Raises:
      SettingsError: they are of another model.
    """
    start = pretrained.find(config.init_from)
    old_spec, old = start.read()
    without_weights = (
        "dropout_inference",
        "dropout_generative",
        "log_variance_ceiling",
        "log_variance_floor",
    )
    if dataclasses.replace(old_spec, **{f: getattr(spec, f) for f in without_weights}) != spec:
        raise SettingsError(
            Setting("init_from", start.path),
            " has weights of ",
            Setting("architecture", old.get("architecture", "its own")),
            ", which is another model than ",
            Setting("architecture", config.architecture),
        )
    step = restore_selected(start, trainer.model)
    trainer.optimizer.reset_averages()
    _note(f"starting from the weights of step {step} of {start.path}")
