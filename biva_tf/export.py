"""Exports a trained model as a SavedModel: python -m biva_tf.export --model_dir=M --export_dir=E

Writes E/N/, a SavedModel that TF Serving loads as it is (its signatures: `serving.signatures`),
with the selected averaged weights, or with --weights=raw those of the newest training checkpoint.
Before E/N/ appears, TensorFlow's C++ loader loads the export, and its results are compared with the
model's. E/N/assets/biva_tf.json says what was exported. --max_samples, --max_rows and
--max_temperature limit what a request can ask for.
"""

import dataclasses
from pathlib import Path

from biva_tf.choices import WEIGHTS
from biva_tf.commands.model import ModelSettings
from biva_tf.commands.outputs import check_folder
from biva_tf.commands.start import start
from biva_tf.errors import Setting, SettingsError
from biva_tf.serving.limits import Limits
from biva_tf.serving.versions import versions
from biva_tf.settings import required, setting


@dataclasses.dataclass(frozen=True, kw_only=True)
class ExportSettings(ModelSettings):
    """The settings of `python -m biva_tf.export`."""

    export_dir: str = required("The folder of the versions.", path=True)
    version: int | None = setting(
        None, "The number N of the version; by default the next.", lower=1
    )
    weights: str = setting(
        "averaged",
        "The selected moving averages, or the newest raw weights.",
        choices=WEIGHTS,
    )
    limits: Limits = dataclasses.field(default_factory=Limits)

    def check_files(self) -> None:
        """Raises UserError if there is no model, or the version exists or cannot be written."""
        super().check_files()
        check_folder("export_dir", self.export_dir)
        if self.version in versions(Path(self.export_dir)):
            folder = Path(self.export_dir, str(self.version))
            raise SettingsError(f"{folder} exists; an exported version is never written over")

    def __post_init__(self):
        super().__post_init__()
        if self.weights == "raw" and self.step is not None:
            raise SettingsError(
                Setting("step", self.step),
                ": expected the default weights, of which a run keeps several steps; got ",
                Setting("weights", self.weights),
            )


@dataclasses.dataclass(frozen=True)
class Export:
    """An exported version: its folder, and the step that its weights are from."""

    folder: Path
    weights_step: int


def run(settings: ExportSettings) -> Export:
    """Exports a trained model.

    Raises:
      UserError: the model cannot be loaded, the version exists, or the export does not compute what
        the model does.
    """
    from biva_tf.serving import exporting

    model = settings.load(settings.weights)
    folder = exporting.export(model, Path(settings.export_dir), settings.version, settings.limits)
    return Export(folder, model.training.weights_step)


def _print(settings: ExportSettings) -> None:
    exported = run(settings)
    print(f"weights of step {exported.weights_step} ({settings.weights})")
    print(exported.folder)


def main() -> None:
    """Runs the command with the flags that it was given."""
    start("export", ExportSettings, _print)


if __name__ == "__main__":
    main()
