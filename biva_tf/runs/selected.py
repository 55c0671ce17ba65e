"""The selected weights of a run, or of a trained model that ships with the project."""

import keras

from biva_tf.errors import Setting, SettingsError
from biva_tf.runs import weights_file
from biva_tf.runs.checkpoints import SelectedWeights
from biva_tf.runs.run_dir import RunDir


def restore_selected(run_dir: RunDir, model: keras.Model, step: int | None = None) -> int:
    """Gives a model the selected weights in a folder, and returns the step that they are from.

    Args:
      run_dir: the folder.
      model: the model.
      step: the step of other weights that a run keeps.

    Raises:
      SettingsError: a step is given, and the folder is not that of a run.
      CheckpointError: there are none, or they cannot be read or are not of this model.
    """
    if weights_file.path(run_dir.path).exists():
        if step is not None:
            got = f": expected the folder of a run, which {run_dir.path} is not"
            raise SettingsError(Setting("step", step), got)
        return weights_file.restore(run_dir.path, model)
    return SelectedWeights(run_dir.weights, model).restore(step)
