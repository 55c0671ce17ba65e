"""How a model was trained: by which run, to which step, on what."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from biva_tf.data import pipeline
from biva_tf.data.text.vocabulary import Vocabulary
from biva_tf.errors import SettingsError
from biva_tf.runs import config


@dataclasses.dataclass(frozen=True)
class Training:
    """How a model was trained.

    Attributes:
      weights: "averaged": the moving averages (EMA) that a run selected; "raw": the weights of its
        newest training checkpoint; "own": those of a model that was built here, and may have been
        trained with `fit`.
      weights_step: the step that they are from.
      settings: the run's settings, by name; empty without a run.
      vocabulary: the vocabulary of a model of text; else None.
    """

    weights: str = "own"
    weights_step: int = 0
    settings: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    vocabulary: Vocabulary | None = None

    @property
    def dataset(self) -> str:
        """The name of the data set that the run trained on.

        Raises:
          SettingsError: no run trained the model.
        """
        if not self.settings:
            raise SettingsError("no run trained this model: expected the name of a data set")
        return self.settings["dataset"]

    def data_config(
        self, dataset: str | None = None, data_dir: str | None = None
    ) -> pipeline.DataConfig:
        """How the model's data set, or another one, is read to evaluate the model.

        Args:
          dataset: by default the one that the model was trained on.
          data_dir: the folder of prepared data sets; by default where the run looked.

        Raises:
          SettingsError: no dataset is given, and no run trained the model.
        """
        dataset = dataset or self.dataset
        settings = self.settings or {**config.defaults(), "dataset": dataset}
        return config.evaluation_data(settings, dataset, data_dir)
