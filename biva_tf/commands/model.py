"""What the commands that read a trained model share."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING

from biva_tf import pretrained
from biva_tf.commands.outputs import check_folder
from biva_tf.errors import SettingsError
from biva_tf.runs.run_dir import RunDir
from biva_tf.settings import Settings, setting

if TYPE_CHECKING:
    from biva_tf import api


@dataclasses.dataclass(frozen=True, kw_only=True)
class RunSettings(Settings):
    """The settings that say which run, or shipped model, a command reads.

    Raises:
      SettingsError: a setting is out of its range; or neither a model_dir nor a pretrained model is
        given, or both are.
    """

    model_dir: str | None = setting(None, "The folder of the run.", path=True)
    pretrained: str | None = setting(
        None,
        "In place of --model_dir, a trained model that ships with the project; its evaluations and "
        "pictures are then written under runs/pretrained/.",
        choices=pretrained.names(),
    )

    def __post_init__(self):
        super().__post_init__()
        given = [name for name in ("model_dir", "pretrained") if getattr(self, name)]
        if len(given) != 1:
            got = "both" if given else "neither"
            raise SettingsError(f"--model_dir, --pretrained: expected one of them, got {got}")

    def check_files(self) -> None:
        """Raises RunDirError if no model is there."""
        pretrained.existing(str(self.run_dir.path))

    @property
    def run_dir(self) -> RunDir:
        """The folder that the model is read from."""
        return pretrained.run_dir(self.pretrained) if self.pretrained else RunDir(self._own)

    def check_results(self) -> None:
        """Raises SettingsError if evaluations and pictures cannot be written."""
        check_folder("pretrained" if self.pretrained else "model_dir", self.results_dir.path)

    @property
    def results_dir(self) -> RunDir:
        """The folder that evaluations and pictures are written to."""
        return RunDir(Path("runs/pretrained") / self.pretrained if self.pretrained else self._own)

    @property
    def _own(self) -> Path:
        return Path(self.model_dir or "")


@dataclasses.dataclass(frozen=True, kw_only=True)
class ModelSettings(RunSettings):
    """The settings of a command that reads the weights of a trained model."""

    step: int | None = setting(
        None,
        "Read the weights of this step in MODEL_DIR/weights, not those selected last.",
        lower=0,
    )

    def load(self, weights: str = "averaged") -> api.BIVA:
        """The trained model, with the weights of `step`; see `api.load`."""
        from biva_tf import api

        return api.load(self.run_dir.path, weights, self.step)
