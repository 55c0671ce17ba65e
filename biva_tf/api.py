"""The Python API: an untrained model from a name or a spec, a trained one from its model_dir."""

import dataclasses
from pathlib import Path
from typing import Any

from biva_tf import architectures, config
from biva_tf.checkpoint import SelectedWeights, restore_raw
from biva_tf.data import pipeline
from biva_tf.data.images_view import Images
from biva_tf.model import BIVA
from biva_tf.run_dir import RunDir
from biva_tf.spec import ModelSpec

WEIGHTS = ("averaged", "raw")


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


@dataclasses.dataclass(frozen=True)
class Trained:
    """A trained model.

    Attributes:
      model: with its weights.
      weights: "averaged": those that its run selected, moving averages (EMA); "raw": those of its
        newest training checkpoint.
      weights_step: the step they are of.
      settings: of the run, by name.
    """

    model: BIVA
    weights: str
    weights_step: int
    settings: dict[str, Any]

    def images(
        self, dataset: str | None = None, split: str = "test", data_dir: str | None = None
    ) -> Images:
        """A split of a data set as this model reads it, binarised as it was trained.

        Args:
          dataset: the name of a source; by default the one that the model was trained on.
          split: "train", "validation" or "test", the first two as the run cut them.
          data_dir: where prepared data sets are; by default where the run looked.

        Raises:
          DataError: there is no such data set, or its images do not fit the model.
        """
        changes: dict[str, Any] = {} if data_dir is None else {"data_dir": data_dir}
        if dataset is not None and dataset != self.settings["dataset"]:
            # What the run cut to validate on is of its own data.
            changes |= {"dataset": dataset, "validation_size": 0}
        settings = config.data_settings(self.settings, **changes)
        images = pipeline.evaluation_images(settings, split)
        pipeline.check_fits(self.model.spec, images, settings.dataset)
        return images


def load_trained(model_dir: str | Path, weights: str = "averaged") -> Trained:
    """The trained model of a run, and how it was trained. See `load` and `Trained`.

    Raises:
      ValueError: weights is neither "averaged" nor "raw".
    """
    if weights not in WEIGHTS:
        raise ValueError(f"weights: expected one of {', '.join(WEIGHTS)}, got {weights!r}")
    run_dir = RunDir(Path(model_dir))
    spec, settings = run_dir.read()
    model = BIVA(spec)
    if weights == "raw":
        step = restore_raw(run_dir.checkpoints, model)
    else:
        step = SelectedWeights(run_dir.weights, model).restore()
    return Trained(model, weights, step, settings)


def load(model_dir: str | Path) -> BIVA:
    """The trained model of a run, with the weights it selected: moving averages (EMA).

    Args:
      model_dir: of a run of `biva_tf.train`.

    Raises:
      RunDirError: it is not the model_dir of a run.
      CheckpointError: the run has not written weights yet, or they cannot be read.
    """
    return load_trained(model_dir).model
