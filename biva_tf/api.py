"""The Python API: an untrained model from a name or a spec, a trained one from its model_dir."""

from pathlib import Path

from biva_tf import architectures
from biva_tf.checkpoint import SelectedWeights
from biva_tf.model import BIVA
from biva_tf.run_dir import RunDir
from biva_tf.spec import ModelSpec


def build(name_or_spec: str | ModelSpec) -> BIVA:
    """An untrained model.

    Args:
      name_or_spec: the name of an architecture (`architectures.ARCHITECTURES`) or a spec.

    Raises:
      SpecError: there is no architecture of that name.
    """
    if isinstance(name_or_spec, str):
        name_or_spec = architectures.get(name_or_spec)
    return BIVA(name_or_spec)


def load(model_dir: str | Path) -> BIVA:
    """The trained model of a run, with the weights it selected: moving averages (EMA).

    Args:
      model_dir: of a run of `biva_tf.train`.

    Raises:
      RunDirError: it is not the model_dir of a run.
      CheckpointError: the run has not written weights yet, or they cannot be read.
    """
    run_dir = RunDir(Path(model_dir))
    spec, _ = run_dir.read()
    model = BIVA(spec)
    SelectedWeights(run_dir.weights, model).restore()
    return model
