"""Finds the images that `input` means. The id of an image is its place among all of them."""

from pathlib import Path

from biva_tf.batch_scoring import splits
from biva_tf.batch_scoring.splits import SplitRows, TfdsRows
from biva_tf.data import pipeline
from biva_tf.data.pipeline import DataConfig
from biva_tf.data.reading import inputs
from biva_tf.data.reading.inputs import Reading
from biva_tf.data.reading.notes import ReadingNotes
from biva_tf.data.reading.rows import Rows
from biva_tf.errors import Setting, SettingsError
from biva_tf.model.spec import ModelSpec

_TFDS = "tfds:"


def find(
    text: str, reading: Reading, config: DataConfig, spec: ModelSpec, notes: ReadingNotes
) -> tuple[Rows, ...]:
    """The images of `input`, in the order of their ids.

    Args:
      text: a path or a pattern of files and folders; NAME or NAME/SPLIT of a data set that the
        project knows; or tfds:NAME/SPLIT of one in TFDS's format.
      reading: how files are read.
      config: how data sets are read; its `dataset` is that of `split_of`, if there is one.
      spec: the model's spec.
      notes: gets what was left out, changed or guessed.

    Raises:
      SettingsError: nothing is there.
      DataError: a file is of another kind or damaged, images are of several ranges, or there are
        none that the model reads.
    """
    if text.startswith(_TFDS):
        name, _, split = text.removeprefix(_TFDS).rpartition("/")
        if not name:
            raise SettingsError(Setting("input", text), f": expected {_TFDS}NAME/SPLIT")
        rows = TfdsRows.from_split(name, split, config.location.data_dir)
        found, _ = inputs.surveyed([rows], text, spec.image_shape, notes)
        return found
    if known := split_of(text):
        dataset, split = known
        pipeline.check_fits(spec, splits.images(config, split), dataset)
        return (SplitRows.from_split(config, split),)
    found, _ = inputs.find(text, reading, spec.image_shape, notes)
    return found


def split_of(text: str) -> tuple[str, str] | None:
    """The name and the split if `input` is a data set that the project knows, and no file."""
    name, _, split = text.partition("/")
    if name not in pipeline.names() or Path(text).exists():
        return None
    split = split or "test"
    if split not in pipeline.SPLITS:
        expected = ", ".join(f"{name}/{each}" for each in pipeline.SPLITS)
        raise SettingsError(Setting("input", text), f": expected one of {expected}")
    return name, split
