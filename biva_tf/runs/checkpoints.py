"""Checkpoints that survive a kill at any moment, and the weights that a run selects.

A training checkpoint holds the weights, the optimizer (its slots, the moving averages, the step)
and the best validation so far. The position in the data needs no record, since the batch is a
function of the step. TensorFlow's CheckpointManager writes the data first and then, atomically, the
small file that names the newest checkpoint.
"""

import dataclasses
import os
from collections.abc import Iterable
from pathlib import Path

import keras
import tensorflow as tf

from biva_tf.errors import Setting, UserError
from biva_tf.files import naming, remove, temporary_beside
from biva_tf.runs import pointers

# Names of files and folders that are there while TensorFlow, or `_save`, writes a checkpoint.
_TEMPORARY = ("*_temp", "*.tempstate*", "checkpoint.tmp*", ".*.tmp")
_END_OF_INDEX = 0xDB4775248B80FB57.to_bytes(8, "little")  # of a whole one, as LevelDB's tables


class CheckpointError(UserError, RuntimeError):
    """A checkpoint that is missing or unreadable; the message names it."""


class UnreadableError(CheckpointError):
    """A checkpoint whose files are damaged."""


@dataclasses.dataclass(frozen=True)
class Restored:
    """The checkpoint that a run goes on from.

    Attributes:
      path: the checkpoint's path.
      unreadable: the errors of newer ones.
    """

    path: str
    unreadable: tuple[UnreadableError, ...]


class TrainingCheckpoint:
    """The state of a run, saved and restored as a whole.

    Args:
      folder: the folder of the checkpoints.
      model, optimizer: the run's model and optimizer.
      keep: how many checkpoints are kept, the newest ones.

    Attributes:
      best_elbo: the best validation ELBO so far, nats; -inf before the first validation, and where
        there is no validation split or the bounds have no weight.
      best_step: the step of the selected weights; 0 before the first evaluation.
    """

    def __init__(
        self, folder: Path, model: keras.Model, optimizer: keras.optimizers.Optimizer, keep: int = 2
    ):
        self._folder, self._keep = folder, keep
        self.best_elbo = tf.Variable(float("-inf"), dtype=tf.float64)
        self.best_step = tf.Variable(0, dtype=tf.int64)
        self._checkpoint = tf.train.Checkpoint(
            weights=_by_path(model.trainable_variables),
            optimizer=_by_path(optimizer.variables),
            best_elbo=self.best_elbo,
            best_step=self.best_step,
        )
        self._manager: tf.train.CheckpointManager | None = None

    @property
    def latest(self) -> str | None:
        """The path of the newest checkpoint, or None."""
        return pointers.newest(self._folder)

    def save(self, step: int) -> None:
        """Writes a checkpoint. OSError if it cannot be written; those before it stay."""
        if self._manager is None:
            self._manager = _manager(self._checkpoint, self._folder, self._keep)
        _save(self._manager, step)

    def write_to(self, folder: Path) -> None:
        """Writes checkpoints to another folder from now on."""
        self._folder, self._manager = folder, None

    def restore(self, *, repair: bool = True) -> Restored | None:
        """Restores the newest checkpoint that can be read; None if there is none.

        Args:
          repair: whether to strike damaged ones off the list of those that are kept.

        Raises:
          CheckpointError: none of them can be read, or one does not hold this model.
        """
        paths = pointers.listed(self._folder)
        unreadable: list[UnreadableError] = []
        for i in reversed(range(len(paths))):
            try:
                _restore(self._checkpoint, paths[i])
            except UnreadableError as e:
                unreadable.append(e)
                continue
            if repair and paths[i] != self.latest:
                pointers.write(self._folder, paths[: i + 1])
                self._manager = None
            return Restored(paths[i], tuple(unreadable))
        if unreadable:
            raise CheckpointError("; ".join(map(str, unreadable)))
        return None


class SelectedWeights:
    """The weights that a run selects: the evaluated moving averages that are best in validation.

    Args:
      folder: the folder of the weights.
      model: the run's model.
      keep: as in `TrainingCheckpoint`.
    """

    def __init__(self, folder: Path, model: keras.Model, keep: int = 2):
        self._folder = self._written = folder
        self._checkpoint = tf.train.Checkpoint(weights=_by_path(model.trainable_variables))
        # One more than training checkpoints: each of those can have selected other weights, and a
        # run can be killed between writing these weights and the checkpoint that selects them.
        self._keep = keep + 1
        self._manager: tf.train.CheckpointManager | None = None

    def write_to(self, folder: Path) -> None:
        """Writes weights to another folder from now on; they are still read from the first."""
        self._written, self._keep, self._manager = folder, 1, None

    def save(self, step: int) -> None:
        """Writes the weights that the model has now. OSError if they cannot be written."""
        if self._manager is None:
            self._manager = _manager(self._checkpoint, self._written, self._keep)
        _save(self._manager, step)

    def restore(self, step: int | None = None) -> int:
        """Gives the model the selected weights, and returns the step that they are from.

        Args:
          step: the step of other weights that are kept.

        Raises:
          CheckpointError: there are none, or they cannot be read or are not of this model.
        """
        path = pointers.newest(self._folder)
        if path is None:
            raise CheckpointError(
                f"{self._folder}: no weights; a run writes them at its first evaluation"
            )
        if step is not None:
            path = str(self._folder / f"ckpt-{step}")
            if path not in pointers.checkpoints_in(self._folder):
                kept = f"; those of these steps are there: {self._others(path) or 'none'}"
                raise CheckpointError(
                    f"{self._folder}: no weights of ", Setting("step", step), kept
                )
        try:
            _restore(self._checkpoint, path)
        except UnreadableError as e:
            if not (others := self._others(path)):
                raise
            raise UnreadableError(e, "; to read others, give ", Setting("step", others)) from e
        return _step(path)

    def _others(self, path: str) -> str:
        others = [p for p in pointers.checkpoints_in(self._folder) if p != path]
        return ", ".join(str(_step(p)) for p in others)

    def can_be_read(self, step: int) -> bool:
        """Whether the files of the weights that were selected at a step are whole."""
        try:
            reader = tf.train.load_checkpoint(str(self._folder / f"ckpt-{step}"))
            for name in reader.get_variable_to_shape_map():
                reader.get_tensor(name)
        except (tf.errors.OpError, IndexError, ValueError):
            return False
        return True

    def restore_step(self, step: int) -> None:
        """Gives the model the weights selected at a step, and makes them the newest.

        Newer ones exist if a run was killed just after it wrote them and then took another course.

        Raises:
          CheckpointError: there are none of that step, or they cannot be read.
        """
        path = str(self._folder / f"ckpt-{step}")
        _restore(self._checkpoint, path)
        if pointers.newest(self._written) != path:
            self.save(step)


def restore_raw(folder: Path, model: keras.Model) -> int:
    """Gives the model the raw weights of the newest training checkpoint; returns its step.

    Raises:
      CheckpointError: there is none, or it cannot be read or is not of this model.
    """
    path = pointers.newest(folder)
    if path is None:
        raise CheckpointError(f"{folder}: no training checkpoint, so there are no raw weights")
    _restore(tf.train.Checkpoint(weights=_by_path(model.trainable_variables)), path)
    return _step(path)


def remove_remains(folder: Path) -> None:
    """Removes what a process that failed or was killed has left of checkpoints it was writing."""
    remove(path for name in _TEMPORARY for path in list(folder.glob(name)))
    first = not (folder / "checkpoint").exists()  # none was written whole before
    for index in folder.glob("ckpt-*.index"):
        if first and not index.read_bytes().endswith(_END_OF_INDEX):
            index.unlink()
    for data in folder.glob("ckpt-*.data-*"):  # TensorFlow writes the index last
        if not Path(f"{str(data).rpartition('.data-')[0]}.index").exists():
            data.unlink()


def _manager(
    checkpoint: tf.train.Checkpoint, folder: Path, keep: int
) -> tf.train.CheckpointManager:
    # TensorFlow reads the file that names the checkpoints, and cannot go on from a damaged one.
    pointers.repair(folder)
    return tf.train.CheckpointManager(checkpoint, str(folder), keep)


def _save(manager: tf.train.CheckpointManager, step: int) -> None:
    """Writes a checkpoint. If that fails, one of the same step that was there is there again."""
    folder = Path(manager.directory)
    before = list(folder.glob(f"ckpt-{step}.*"))
    links = _linked(before)
    try:
        with naming(folder / f"ckpt-{step}"):
            manager.save(checkpoint_number=step)
    except BaseException:
        if links or not before:
            remove(list(folder.glob(f"ckpt-{step}.*")))
        for link, path in links.items():
            os.replace(link, path)
        remove_remains(folder)
        raise
    remove(links)


def _linked(paths: Iterable[Path]) -> dict[Path, Path]:
    """Second names of files, each with its first one; none on a file system that has no links."""
    links = {temporary_beside(path): path for path in paths}
    try:
        for link, path in links.items():
            os.link(path, link)
    except OSError:
        remove(links)
        return {}
    return links


def _by_path(variables) -> dict[str, tf.Variable]:
    # tf.train.Checkpoint does not look into the lists of a Keras 3 model.
    return {v.path: v.value for v in variables}


def _step(path: str) -> int:
    return int(path.rpartition("-")[2])


def _restore(checkpoint: tf.train.Checkpoint, path: str) -> None:
    try:
        checkpoint.read(path).assert_existing_objects_matched().expect_partial()
    except AssertionError as e:
        raise CheckpointError(f"{path}: it holds another model than the one built: {e}") from e
    except (tf.errors.OpError, IndexError, ValueError) as e:
        raise UnreadableError(f"{path}: the checkpoint cannot be read: {e}") from e
