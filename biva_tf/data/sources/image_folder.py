"""A user's own pictures, in colour, all of one size.

The folder may have folders for the splits, and in these folders for the labels; see
`reading.split_folder`.
"""

from pathlib import Path

from biva_tf.data import prepared
from biva_tf.data.preparation import File, Recipe
from biva_tf.data.reading.notes import ReadingNotes
from biva_tf.data.reading.split_folder import SplitFolder
from biva_tf.data.sources import Info, Location, Source
from biva_tf.model.pixels import BACKGROUND

INFO = Info(None, train=None, test=None)


def recipe(notes: ReadingNotes, background: int = BACKGROUND) -> Recipe:
    """How to make the data set.

    Args:
      notes: gets what is left out, and what is changed.
      background: the grey value behind transparent pixels.
    """

    def labels(folder: Path) -> tuple[str, ...] | None:
        return SplitFolder(folder, ReadingNotes()).labels

    return Recipe(
        files=(
            File("*", "you: pictures of one size, or folders train/ and test/ with such pictures"),
        ),
        examples=lambda folder: SplitFolder(folder, notes, background).splits(),
        counts={},
        labels=labels,
    )


RECIPE = recipe(ReadingNotes())


def load(location: Location) -> Source:
    """The pictures that `biva_tf.prepare_data` stored."""
    return prepared.read("image_folder", location, INFO)
