"""Prepares a data set in TFDS's format:

    python -m biva_tf.prepare_data --dataset=celeba64 --source=FOLDER --data_dir=D  # from files
    python -m biva_tf.prepare_data --dataset=cifar10 --data_dir=D --download        # by TFDS

The tool verifies each file by its published checksum or, if there is none, by its number of images.
Without --source and --download, it lists the files that it needs and where to get them.
"""

import dataclasses
from pathlib import Path

from biva_tf.commands.start import start
from biva_tf.data import preparation, sources
from biva_tf.data.network import NoNetworkError
from biva_tf.data.preparation import Recipe
from biva_tf.data.reading.notes import ReadingNotes
from biva_tf.data.sources import DataError, Location
from biva_tf.errors import Setting, SettingsError
from biva_tf.model.pixels import BACKGROUND
from biva_tf.settings import Settings, required, setting


@dataclasses.dataclass(frozen=True)
class PrepareSettings(Settings):
    """The settings of `python -m biva_tf.prepare_data`."""

    dataset: str = required("The data set.")
    source: str | None = setting(
        None, "The folder with the files to make the data set from.", path=True
    )
    data_dir: str = setting(sources.default_data_dir(), "The folder of prepared data sets.")
    download: bool = setting(False, "Let TFDS fetch the data set.")
    subset: bool = setting(
        False, "Accept files and numbers of images other than the published ones."
    )
    background: int | None = setting(
        None,
        "Of image_folder, the grey value behind the transparent parts of pictures; by default 255, "
        "white.",
        lower=0,
        upper=255,
    )


@dataclasses.dataclass(frozen=True)
class PreparedDataSet:
    """A prepared data set: its path, image shape, and number of images in each split.

    Of a data set of text the shape is empty.
    """

    path: Path
    image_shape: tuple[int, ...]
    counts: dict[str, int]


def run(settings: PrepareSettings) -> PreparedDataSet:
    """Prepares a data set.

    Raises:
      DataError: a file is missing, damaged or not the published one, or the settings do not say
        what to make the data set from.
    """
    dataset, data_dir = settings.dataset, Location.from_text(settings.data_dir).data_dir
    module = sources.module(dataset)
    recipe, notes = getattr(module, "RECIPE", None), ReadingNotes()
    if hasattr(module, "recipe"):  # of a user's own pictures
        background = BACKGROUND if settings.background is None else settings.background
        recipe = module.recipe(notes, background)
    elif settings.background is not None:
        raise SettingsError(Setting("background"), f": {dataset} has no transparent pictures")
    if settings.source is not None:
        if recipe is None:
            raise DataError(f"--source: {dataset} is not made from files; {_how(recipe)}")
        folder = Path(settings.source)
        if not folder.is_dir():
            raise DataError(f"--source={settings.source}: expected a folder")
        try:
            path = preparation.prepare(
                dataset, module.INFO, recipe, folder, data_dir, subset=settings.subset
            )
        finally:
            notes.say()
        location = Location(data_dir)
    elif settings.download or recipe is None:
        location, path = Location(data_dir, settings.download), data_dir
    else:
        raise DataError(f"{dataset} needs --source=FOLDER with\n{_how(recipe)}")
    try:
        loaded = sources.load(dataset, location)
    except NoNetworkError as e:
        raise NoNetworkError(e, _without_network(dataset, recipe, data_dir)) from e
    splits = {"train": loaded.train, "validation": loaded.validation, "test": loaded.test}
    counts = {name: len(split.images) for name, split in splits.items() if split is not None}
    return PreparedDataSet(path, loaded.train.images.shape[1:], counts)


def _without_network(dataset: str, recipe: Recipe | None, data_dir: Path) -> str:
    """What to do on a machine that cannot download the files."""
    if recipe is None:
        return f". Run the command on another machine, and bring what it writes to {data_dir}"
    command = f"python -m biva_tf.prepare_data --dataset={dataset} --data_dir={data_dir}"
    return (
        f". Bring these files to a folder, and run {command} --source=FOLDER\n"
        f"{recipe.instructions()}"
    )


def _how(recipe: Recipe | None) -> str:
    if recipe is None:
        return "it ships with biva_tf, or --download lets TFDS fetch it"
    return recipe.instructions() + "\nor, where TFDS has it, --download"


def _print(settings: PrepareSettings) -> None:
    made = run(settings)
    counts = ", ".join(f"{number:,} {name}" for name, number in made.counts.items())
    what = f"images of {'x'.join(map(str, made.image_shape))}" if made.image_shape else "lines"
    print(f"{settings.dataset}: {counts} {what} ({made.path})")


def main() -> None:
    """Runs the command with the flags that it was given."""
    start("prepare_data", PrepareSettings, _print)


if __name__ == "__main__":
    main()
