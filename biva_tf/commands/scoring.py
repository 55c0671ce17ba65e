"""What the commands that read or score the examples of data sets share."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from biva_tf.choices import BELOW
from biva_tf.commands.model import ModelSettings
from biva_tf.data.pipeline import Examples
from biva_tf.errors import SettingsError
from biva_tf.evaluation.scoring_config import ScoringConfig
from biva_tf.runs.config import LOCAL_STRATEGIES
from biva_tf.settings import setting

if TYPE_CHECKING:
    from biva_tf import api


@dataclasses.dataclass(frozen=True, kw_only=True)
class DataSetSettings(ModelSettings):
    """The settings of a command that reads examples of data sets as a trained model does."""

    num_examples: int = setting(0, "Take the first N images of a split; 0 for all.", lower=0)
    data_dir: str | None = setting(
        None, "The folder of prepared data sets; by default the one that the run used."
    )

    def first_examples(self, images: Examples, name: str) -> Examples:
        """The first `num_examples` of a split. Raises SettingsError if it has fewer."""
        number = self.num_examples
        if number > len(images):
            raise SettingsError(
                f"--num_examples: expected at most the {len(images)} images of {name}, got {number}"
            )
        return images.first(number) if number else images


@dataclasses.dataclass(frozen=True, kw_only=True)
class ExamplesSettings(DataSetSettings):
    """The settings of a command that gives the examples of data sets to a trained model."""

    seed: int = setting(0, "Seed of the samples.", lower=0)
    max_rows: int = setting(
        256, "At most this many pairs of image and sample are in a device's memory.", lower=1
    )

    def check_files(self) -> None:
        """Raises UserError if there is no model, or its evaluations cannot be written."""
        super().check_files()
        self.check_results()


@dataclasses.dataclass(frozen=True, kw_only=True)
class ScoringSettings(ExamplesSettings):
    """The settings of a command that scores data sets with a trained model."""

    k: tuple[int, ...] | None = setting(
        None, "The k of the scores L^{>k} (paper, eq. 2): 0,2,4.", lower=0
    )
    iw_samples: int = setting(
        10, "Samples per image: K of L_K and L_K^{>k}, and those whose mean is L^{>k}.", lower=1
    )
    below: str = setting(
        "sample",
        "Latents of levels <= k in L^{>k} are a sample of their prior, or its mode.",
        choices=BELOW,
    )
    strategy: str = setting(
        "auto",
        "auto (mirrored if there are several devices), one_device, or mirrored.",
        choices=LOCAL_STRATEGIES,
    )
    logical_devices: int = setting(
        1, "Split the CPU into this many logical devices, to try --strategy=mirrored.", lower=1
    )

    def load(self, weights: str = "averaged") -> api.BIVA:
        """The trained model on all devices of the strategy; see `api.load`."""
        from biva_tf.training import devices

        with devices.make_strategy(self.strategy, self.logical_devices).scope():
            return super().load(weights)

    def scoring_config(self, ks: tuple[int, ...], *, bounds: bool) -> ScoringConfig:
        """Which scores to compute: L^{>k} for ks, and with `bounds` L_1 and L_K."""
        return ScoringConfig(self.iw_samples, ks, bounds, self.below, self.seed)
