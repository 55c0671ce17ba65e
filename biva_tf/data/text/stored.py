"""Lines of text from data sets in TFDS's format."""

from collections.abc import Callable

import numpy as np

from biva_tf.data import prepared
from biva_tf.data.prepared import Prepared
from biva_tf.data.sources import DataError, Location, Source, Split


def read(
    name: str, location: Location, dataset: str, text: str, unescape: Callable[[str], str]
) -> Source:
    """Reads a source of lines.

    Args:
      name: the source's name.
      location: the folder of the data sets, and whether TFDS may download a missing one.
      dataset: its name in TFDS. It has the splits "train" and "test".
      text: the feature with the text of an example.
      unescape: gives the text itself, one of `escapes`.

    Raises:
      DataError: the data set was not found (the message says what to do), or it is damaged.
    """
    in_tfds = Prepared(dataset, {"train": "train", "test": "test"})
    _, folder = prepared.locate(name, location, None, in_tfds)
    builder = prepared.open_builder(folder)
    for split in in_tfds.splits:
        prepared.check_split(builder, split)
    if text not in builder.info.features:
        features = ", ".join(builder.info.features)
        raise DataError(f"{folder}: expected a feature {text!r}, it has {features}")
    train, test = (_lines(builder, split, text, unescape) for split in ("train", "test"))
    return Source(train=train, test=test)


def _lines(builder, split: str, text: str, unescape: Callable[[str], str]) -> Split:
    lines, labels = [], []
    for example in prepared.examples(builder, split):
        lines.append(unescape(example[text].decode("utf-8", errors="replace")))
        labels.append(example["label"])
    return Split(np.array(lines, object), np.array(labels, np.int64))
