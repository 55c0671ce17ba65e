"""Converts a checkpoint of the original TensorFlow 1 program to a model_dir, and back.

    python -m tools.tf1.convert --checkpoint=PATH/model --architecture=mnist_l6 --model_dir=D
    python -m tools.tf1.convert --reverse --checkpoint=PATH/model --model_dir=D   # or --pretrained

The first command makes a model_dir that every command of this project accepts: `train` continues
from it, the others read it. It takes every flag of `train` for the settings of the run, such as
--flagfile=configs/cifar10.flags instead of --architecture. The original evaluates with the moving
averages of the checkpoint, so they become the selected weights. If there are none, the weights
become the selected weights. The original saves neither the state of its optimiser nor the step, so
both start anew.

The second command writes a checkpoint that the original's `Saver` can restore. It has every weight
of the newest training checkpoint under the scope BIVA. If the run kept moving averages, it also has
the selected weights as moving averages, under the same names followed by /ExponentialMovingAverage.
"""

import dataclasses
from pathlib import Path

import numpy as np

from biva_tf.commands.model import ModelSettings
from biva_tf.commands.start import start
from biva_tf.errors import UserError
from biva_tf.model import architectures
from biva_tf.model.network import Network
from biva_tf.model.spec import SpecError
from biva_tf.runs import weights_file
from biva_tf.runs.checkpoints import SelectedWeights, TrainingCheckpoint, restore_raw
from biva_tf.runs.config import RunConfig
from biva_tf.runs.run_dir import RunDir
from biva_tf.runs.selected import restore_selected
from biva_tf.settings import required, setting
from biva_tf.training.devices import make_strategy
from biva_tf.training.trainer import Trainer
from tools.tf1 import checkpoint as tf1_checkpoint
from tools.tf1.names import (
    ReferenceFileError,
    config_from_spec,
    load_variables,
    variables_by_tf1_name,
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class ConvertSettings(ModelSettings):
    """The settings of `python -m tools.tf1.convert`."""

    checkpoint: str = required("The checkpoint, as the original's Saver names it.")
    reverse: bool = setting(False, "Convert the model_dir to the checkpoint.")
    config: RunConfig = dataclasses.field(default_factory=RunConfig)

    def check_files(self) -> None:
        """Raises RunDirError if the model to convert is not there."""
        if self.reverse:
            super().check_files()


@dataclasses.dataclass(frozen=True)
class Conversion:
    """The number of weights and of moving averages that were converted."""

    weights: int
    averages: int


class ConversionError(UserError, RuntimeError):
    """A checkpoint that does not fit the architecture, or a folder that would be overwritten."""


def run(settings: ConvertSettings) -> Conversion:
    """Converts a checkpoint to a model_dir, or back.

    Raises:
      UserError: the input cannot be converted, or the output would be overwritten; the message says
        why.
    """
    checkpoint = Path(settings.checkpoint)
    if settings.reverse:
        return to_checkpoint(settings.run_dir, checkpoint)
    if settings.pretrained:
        raise ConversionError("--pretrained: expected --reverse with it, got --noreverse")
    return to_model_dir(checkpoint, settings.config, Path(settings.model_dir))


def to_model_dir(checkpoint: Path, config: RunConfig, model_dir: Path) -> Conversion:
    """Makes a model_dir from a checkpoint.

    Raises:
      ConversionError: the checkpoint cannot be read or does not fit the architecture (every
        variable that is missing, unknown or misshapen is named), or the model_dir holds a run.
    """
    run_dir = RunDir(model_dir)
    if run_dir.config.exists():
        raise ConversionError(f"--model_dir={model_dir} holds a run; give another folder")
    weights, averages = tf1_checkpoint.read(checkpoint)
    spec = architectures.read(config.architecture)
    trainer = Trainer(spec, config, make_strategy("one_device"))
    model, optimizer = trainer.model, trainer.optimizer
    # The averages are loaded first, since the model must hold the weights in the end.
    try:
        load_variables(model, averages or weights, f"{checkpoint}{' (averages)' * bool(averages)}")
        optimizer.reset_averages()
        SelectedWeights(run_dir.weights, model).save(0)
        load_variables(model, weights, str(checkpoint))
    except ReferenceFileError as e:
        raise ConversionError(str(e)) from e
    TrainingCheckpoint(run_dir.checkpoints, model, optimizer).save(0)
    # The averages of a trained model would be lost if their decay warmed up from step 0.
    config = dataclasses.replace(config, ema_warmup=False)
    run_dir.write_config(spec, config)  # last: this file marks the folder as a run
    return Conversion(len(weights), len(averages))


def to_checkpoint(run_dir: RunDir, checkpoint: Path) -> Conversion:
    """Writes a checkpoint from a model_dir. A pretrained model's weights are its averages.

    Raises:
      UserError: the model_dir does not hold a run, the original cannot build its model, or the
        checkpoint exists.
    """
    spec, settings = run_dir.read()
    try:
        config_from_spec(spec)
    except SpecError as e:
        raise ConversionError(f"{run_dir.path}: {e}") from e
    model = Network(spec)

    def arrays() -> dict[str, np.ndarray]:
        return {name: v.numpy() for name, v in variables_by_tf1_name(model).items()}

    shipped = weights_file.path(run_dir.path).exists()
    if shipped or settings["ema_decay"]:
        restore_selected(run_dir, model)
    averages = arrays() if settings["ema_decay"] else {}
    if not shipped:
        restore_raw(run_dir.checkpoints, model)
    weights = arrays()
    tf1_checkpoint.write(checkpoint, weights, averages)
    return Conversion(len(weights), len(averages))


def _print(settings: ConvertSettings) -> None:
    converted = run(settings)
    print(settings.checkpoint if settings.reverse else settings.model_dir)
    print(f"{converted.weights} weights, {converted.averages} moving averages")


if __name__ == "__main__":
    start("convert_tf1", ConvertSettings, _print)
