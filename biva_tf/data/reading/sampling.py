"""Looks at the values of an input before they are read: all numbers, and some of many pictures."""

from collections.abc import Iterable, Iterator

from biva_tf.data.reading.arrays import ArrayRows
from biva_tf.data.reading.notes import ReadingNotes
from biva_tf.data.reading.picture_rows import PictureRows
from biva_tf.data.reading.rows import Rows
from biva_tf.data.reading.tables import TableRows
from biva_tf.data.reading.values import Survey, Unreadable, layout_note

_PIECES = 16  # of so many pictures each


def sample(rows: Rows) -> Iterator[Rows]:
    """The images whose values are looked at: all, or of pictures pieces from all over them."""
    number = len(rows)
    of_numbers = isinstance(rows, ArrayRows) or (isinstance(rows, TableRows) and rows.of_lists)
    if of_numbers or number <= _PIECES**2:
        yield rows
        return
    for piece in range(_PIECES):
        start = piece * (number - _PIECES) // (_PIECES - 1)
        yield rows.part(start, start + _PIECES)


def survey(parts: Iterable[Rows], shape: tuple[int, ...], notes: ReadingNotes) -> Survey:
    """Looks at the images of some parts of one file of many images, or of pictures.

    Args:
      parts: the parts.
      shape: the shape of the model's images.
      notes: gets what decoding changes.
    """
    result = Survey()
    layouts: set[tuple[int, ...]] = set()
    for part in parts:
        gaps = isinstance(part, TableRows) and part.has_gaps()
        stored = part.stored(shape, notes)
        for (source, row), values in zip(part.places(), stored, strict=True):
            if isinstance(values, Unreadable):
                continue
            if values.shape not in layouts:
                layouts.add(values.shape)
                if note := layout_note(values.shape, shape):
                    notes.add(note, source)
            name = source if isinstance(part, PictureRows) else f"{source}, row {row}"
            result.add(values, name, gaps=gaps)
    return result
