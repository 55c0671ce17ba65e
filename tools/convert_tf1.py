"""Turns a checkpoint of the original TensorFlow 1 program into a model_dir, and back.

    python -m tools.convert_tf1 --checkpoint=PATH/model --architecture=mnist_l6 --model_dir=D
    python -m tools.convert_tf1 --reverse --checkpoint=PATH/model --model_dir=D

The first makes a model_dir that every command here accepts: `train` goes on from it, the others
read it. It takes every flag of `train` for the settings of the run, such as
--flagfile=configs/cifar10.flags instead of --architecture. The moving averages of the checkpoint,
with which the original evaluates, become the selected weights; without them, the weights themselves
do. The original saves neither the state of its optimiser nor the step, so both start anew.

The second writes what the original's `Saver` restores: every weight (of the newest training
checkpoint) under scope BIVA, and, unless the run kept none, its moving average (the selected
weights) under the same name and /ExponentialMovingAverage.
"""

from pathlib import Path

import numpy as np
from absl import flags

from biva_tf import architectures, command, config, strategy
from biva_tf.checkpoint import SelectedWeights, TrainingCheckpoint, restore_raw
from biva_tf.errors import UserError
from biva_tf.model import BIVA
from biva_tf.run_dir import RunDir
from biva_tf.spec import SpecError
from biva_tf.training import Trainer
from tools import tf1_checkpoint
from tools.tf1 import (
    ReferenceError,
    config_from_spec,
    load_variables,
    variables_by_tf1_name,
)

_CHECKPOINT = flags.DEFINE_string(
    "checkpoint", None, "The checkpoint, as the original's Saver names it.", required=True
)
_REVERSE = flags.DEFINE_bool("reverse", False, "From the model_dir to the checkpoint.")


class ConversionError(UserError, RuntimeError):
    """A checkpoint that does not fit the architecture, or a folder that would be written over."""


def to_model_dir(checkpoint: Path, settings: config.Config, model_dir: Path) -> tuple[int, int]:
    """Makes the model_dir of a checkpoint; how many weights it has, and how many averages.

    Raises:
      ConversionError: the checkpoint cannot be read or does not fit the architecture (every
        variable that is missing, unknown or misshapen is named), or the model_dir holds a run.
    """
    run_dir = RunDir(model_dir)
    if run_dir.config.exists():
        raise ConversionError(f"--model_dir={model_dir} holds a run; give another folder")
    weights, averages = tf1_checkpoint.read(checkpoint)
    spec = architectures.read(settings.architecture)
    trainer = Trainer(spec, settings, strategy.make("one_device"))
    model, optimizer = trainer.model, trainer.optimizer
    # The averages first: what the model and the optimiser's checkpoint hold in the end are both.
    try:
        load_variables(model, averages or weights, f"{checkpoint}{' (averages)' * bool(averages)}")
        optimizer.reset_averages()
        SelectedWeights(run_dir.weights, model).save(0)
        load_variables(model, weights, str(checkpoint))
    except ReferenceError as e:
        raise ConversionError(str(e)) from e
    TrainingCheckpoint(run_dir.checkpoints, model, optimizer).save(0)
    run_dir.write_config(spec, settings)  # last: it makes the folder that of a run
    return len(weights), len(averages)


def to_checkpoint(model_dir: Path, checkpoint: Path) -> tuple[int, int]:
    """Writes the checkpoint of a model_dir; how many weights it has, and how many averages.

    Raises:
      UserError: the model_dir is not of a run, the original has no such model, or the checkpoint
        exists.
    """

    run_dir = RunDir(model_dir)
    spec, settings = run_dir.read()
    try:
        config_from_spec(spec)
    except SpecError as e:
        raise ConversionError(f"{model_dir}: {e}") from e
    model = BIVA(spec)

    def arrays() -> dict[str, np.ndarray]:
        return {name: v.numpy() for name, v in variables_by_tf1_name(model).items()}

    restore_raw(run_dir.checkpoints, model)
    weights, averages = arrays(), {}
    if settings["ema_decay"]:
        SelectedWeights(run_dir.weights, model).restore()
        averages = arrays()
    tf1_checkpoint.write(checkpoint, weights, averages)
    return len(weights), len(averages)


def _main() -> None:
    checkpoint = Path(_CHECKPOINT.value)
    if _REVERSE.value:
        weights, averages = to_checkpoint(command.model_dir(), checkpoint)
        print(checkpoint)
    else:
        weights, averages = to_model_dir(checkpoint, config.from_flags(), command.model_dir())
        print(command.model_dir())
    print(f"{weights} weights, {averages} moving averages")


if __name__ == "__main__":
    config.define_flags()
    command.start("convert_tf1", _main)
