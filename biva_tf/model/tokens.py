"""The ids of tokens that are not words, and the rule for a row of ids that is a sentence.

A sentence is a row of word ids, then END, then PADDING to the end of the row. A sentence that is
longer than a row is cut: then the row has words alone, and its probability is that of all sentences
that begin so.
"""

import numpy as np

PADDING = 0  # also what the decoder reads before the first token
END = 1
UNKNOWN = 2  # a word that is not in the vocabulary
FIRST_WORD = 3  # ids of words start here
MAX_VOCABULARY = 2**24  # ids are float32, which holds every integer up to here


def counts(ids: np.ndarray) -> np.ndarray:
    """The tokens of each sentence, END included: [rows], from ids [rows, length]."""
    return (ids != PADDING).sum(axis=1)


def valid(ids: np.ndarray) -> bool:
    """Whether all rows of ids [rows, length] are sentences."""
    ended = np.cumsum(ids == END, axis=1)
    after_end = ended - (ids == END) > 0
    return bool(np.array_equal(ids == PADDING, after_end) and (ids == np.round(ids)).all())
