"""The selected weights of a run, or of a trained model that ships with the project."""

import keras

from biva_tf.runs import weights_file
from biva_tf.runs.checkpoints import SelectedWeights
from biva_tf.runs.run_dir import RunDir


def restore_selected(run_dir: RunDir, model: keras.Model) -> int:
    """Gives a model the selected weights in a folder, and returns the step that they are from.

    Raises:
      CheckpointError: there are none, or they cannot be read or are not of this model.
    """
    if weights_file.path(run_dir.path).exists():
        return weights_file.restore(run_dir.path, model)
    return SelectedWeights(run_dir.weights, model).restore()
