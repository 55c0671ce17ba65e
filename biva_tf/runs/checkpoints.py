"""Checkpoints that survive a kill at any moment, and the weights that a run selects.

A training checkpoint holds the weights, the optimizer (its slots, the moving averages, the step)
and the best validation so far. The position in the data needs no record, since the batch is a
function of the step. TensorFlow's CheckpointManager writes the data first and then, atomically, the
small file that names the newest checkpoint.
"""

from pathlib import Path

import keras
import tensorflow as tf

from biva_tf.errors import UserError


class CheckpointError(UserError, RuntimeError):
    """A checkpoint that is missing or unreadable; the message names it."""


class TrainingCheckpoint:
    """The state of a run, saved and restored as a whole.

    Attributes:
      best_elbo: the best validation ELBO so far, nats; -inf before the first validation and where
        there is no validation split.
      best_step: the step of the selected weights; 0 before the first evaluation.
    """

    def __init__(self, folder: Path, model: keras.Model, optimizer: keras.optimizers.Optimizer):
        self.best_elbo = tf.Variable(float("-inf"), dtype=tf.float64)
        self.best_step = tf.Variable(0, dtype=tf.int64)
        self._checkpoint = tf.train.Checkpoint(
            weights=_by_path(model.trainable_variables),
            optimizer=_by_path(optimizer.variables),
            best_elbo=self.best_elbo,
            best_step=self.best_step,
        )
        self._manager = tf.train.CheckpointManager(self._checkpoint, str(folder), max_to_keep=2)

    @property
    def latest(self) -> str | None:
        """The path of the newest checkpoint, or None."""
        return self._manager.latest_checkpoint

    def save(self, step: int) -> None:
        """Writes a checkpoint."""
        self._manager.save(checkpoint_number=step)

    def restore(self) -> bool:
        """Restores the newest checkpoint; False if there is none.

        Raises:
          CheckpointError: it cannot be read or does not hold this model.
        """
        if self.latest is None:
            return False
        _restore(self._checkpoint, self.latest)
        return True


class SelectedWeights:
    """The weights that a run selects: of all evaluated moving averages, the best in validation."""

    def __init__(self, folder: Path, model: keras.Model):
        self._folder = folder
        self._checkpoint = tf.train.Checkpoint(weights=_by_path(model.trainable_variables))
        # Two are kept: a run that is killed between writing these weights and the training
        # checkpoint that selects them goes on with the weights selected before.
        self._manager = tf.train.CheckpointManager(self._checkpoint, str(folder), max_to_keep=2)

    def save(self, step: int) -> None:
        """Writes the weights that the model has now."""
        self._manager.save(checkpoint_number=step)

    def restore(self) -> int:
        """Gives the model the selected weights, and returns the step that they are from.

        Raises:
          CheckpointError: there are none, or they cannot be read or are not of this model.
        """
        if self._manager.latest_checkpoint is None:
            raise CheckpointError(
                f"{self._folder}: no weights; a run writes them at its first evaluation"
            )
        path = self._manager.latest_checkpoint
        _restore(self._checkpoint, path)
        return int(path.rpartition("-")[2])

    def restore_step(self, step: int) -> None:
        """Gives the model the weights selected at a step, and makes them the newest.

        Newer ones exist if a run was killed just after it wrote them and then took another course.

        Raises:
          CheckpointError: there are none of that step, or they cannot be read.
        """
        path = str(self._folder / f"ckpt-{step}")
        _restore(self._checkpoint, path)
        if self._manager.latest_checkpoint != path:
            self.save(step)


def restore_raw(folder: Path, model: keras.Model) -> int:
    """Gives the model the raw weights of the newest training checkpoint; returns its step.

    Raises:
      CheckpointError: there is none, or it cannot be read or is not of this model.
    """
    path = tf.train.latest_checkpoint(str(folder))
    if path is None:
        raise CheckpointError(f"{folder}: no training checkpoint, so there are no raw weights")
    _restore(tf.train.Checkpoint(weights=_by_path(model.trainable_variables)), path)
    return int(path.rpartition("-")[2])


def _by_path(variables) -> dict[str, tf.Variable]:
    # tf.train.Checkpoint does not look into the lists of a Keras 3 model.
    return {v.path: v.value for v in variables}


def _restore(checkpoint: tf.train.Checkpoint, path: str) -> None:
    try:
        checkpoint.read(path).assert_existing_objects_matched().expect_partial()
    except AssertionError as e:
        raise CheckpointError(f"{path}: it holds another model than the one built: {e}") from e
    except (tf.errors.OpError, IndexError, ValueError) as e:
        raise CheckpointError(f"{path}: the checkpoint cannot be read: {e}") from e
