"""Trained models that ship with the project, each in a folder of its name.

README.md       the model card: data, commands, results, licence
samples.png     samples of its prior
config.json, metrics.jsonl     as in a model_dir
weights.npz, weights.json      the selected weights (`runs.weights_file`)
evaluation.json                what `biva_tf.evaluate` gave on the test split
examples.npz                   the first test images, uint8 `images`, and their `labels`

`python -m tools.release.ship` makes such a folder from a model_dir.
"""

from pathlib import Path

from biva_tf.data import pipeline, sources
from biva_tf.data.images import Images
from biva_tf.errors import SettingsError
from biva_tf.runs import config
from biva_tf.runs.run_dir import RunDir, RunDirError

FOLDER = Path(__file__).parent


def names() -> list[str]:
    """The names of all shipped models."""
    return sorted(path.parent.name for path in FOLDER.glob("*/config.json"))


def run_dir(name: str) -> RunDir:
    """The folder of a shipped model, to be read as a model_dir.

    Raises:
      SettingsError: there is no model of that name; the message lists them.
    """
    if name not in names():
        raise SettingsError(f"pretrained: expected one of {', '.join(names())}, got {name!r}")
    return RunDir(FOLDER / name)


def find(folder_or_name: str) -> RunDir:
    """The model_dir at a path; where there is none, the shipped model of that name, if any."""
    folder = RunDir(Path(folder_or_name).expanduser())
    if not folder.config.exists() and folder_or_name in names():
        folder = run_dir(folder_or_name)
    return folder


def existing(folder_or_name: str) -> RunDir:
    """What `find` gives, if a model is there.

    Raises:
      RunDirError: there is none; the message lists the models that ship.
    """
    folder = find(folder_or_name)
    if not folder.config.exists():
        raise RunDirError(
            f"{folder.config}: no such file; is it the model_dir of a run? The models that ship "
            f"are {', '.join(names())}"
        )
    return folder


def examples(run_dir: RunDir) -> Images | None:
    """The first test images of a shipped model's data set, as the model reads them.

    Returns:
      None if the model ships without.

    Raises:
      RunDirError: it is not the folder of a model.
      DataError: the file is damaged.
    """
    path = run_dir.examples
    if not path.exists():
        return None
    data = config.evaluation_data(run_dir.read()[1])
    return pipeline.fixed_images(sources.shipped_split(path), "test", data)
