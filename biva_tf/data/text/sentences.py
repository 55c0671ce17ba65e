"""The sentences of a split as the model reads them: rows of ids, as images of shape (length, 1, 1).

Empty lines are dropped. A line with too many words is cut: its row has words alone, no end, and its
probability is that of all sentences that begin so. Both are counted, and so are unknown words.
"""

import dataclasses
from collections.abc import Mapping

import numpy as np

from biva_tf.data.images import NO_LABEL, Batch
from biva_tf.data.sources import Split
from biva_tf.data.text import tokenizer
from biva_tf.data.text.vocabulary import Vocabulary
from biva_tf.model import tokens
from biva_tf.model.spec import ModelSpec


@dataclasses.dataclass(frozen=True)
class Form:
    """The form in which a model reads sentences.

    Attributes:
      length: tokens in a row.
      size: the number of ids.
      vocabulary: the model's vocabulary; None before its run has made it from the training split.
    """

    length: int
    size: int
    vocabulary: Vocabulary | None = None

    @staticmethod
    def for_spec(spec: ModelSpec, vocabulary: Vocabulary | None = None) -> "Form | None":
        """The form that a model reads; None if it is not of text."""
        ids = spec.likelihood.num_ids
        return None if ids is None else Form(spec.image_shape[0], ids, vocabulary)


@dataclasses.dataclass(frozen=True)
class Counts:
    """What became of the lines of a split.

    Attributes:
      lines: all of them.
      empty: those without a word, which were dropped.
      cut: those with more words than a row has places.
      words, unknown: the words in the rows, and how many of them are not in the vocabulary.
    """

    lines: int
    empty: int
    cut: int
    words: int
    unknown: int

    def __str__(self) -> str:
        share = 100 * self.unknown / max(1, self.words)
        return (
            f"{self.lines:,} lines, {self.empty:,} empty (dropped), {self.cut:,} too long (cut), "
            f"{self.words:,} words, {self.unknown:,} unknown ({share:.2f}%)"
        )


@dataclasses.dataclass(frozen=True)
class Sentences:
    """The sentences of a split; `sentences[indices]` is float32 [n, length, 1, 1].

    Attributes:
      ids: integers [n, length].
      size: the number of ids of the model.
      labels: int64 [n]; None if the split has none.
      counts: the split's counts.
    """

    ids: np.ndarray
    size: int
    labels: np.ndarray | None
    counts: Counts

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, indices) -> np.ndarray:
        return self.ids[indices].astype(np.float32)[..., np.newaxis, np.newaxis]

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(length, 1, 1)."""
        return (self.ids.shape[1], 1, 1)

    @property
    def values(self) -> tuple[float, float]:
        """The least and the greatest id."""
        return (0.0, float(self.size - 1))

    @property
    def tokens(self) -> int:
        """The tokens of all sentences, their ends included."""
        return int(tokens.counts(self.ids).sum())

    def batch(self, examples: np.ndarray, epoch: int = 0) -> Batch:
        """A batch of examples, the same in every epoch."""
        del epoch
        labels = np.full(len(examples), NO_LABEL, np.int64)
        if self.labels is not None:
            labels = np.asarray(self.labels[examples], np.int64)
        return Batch(self[examples], labels)

    def first(self, number: int) -> "Sentences":
        """The first `number` sentences."""
        labels = None if self.labels is None else self.labels[:number]
        return dataclasses.replace(self, ids=self.ids[:number], labels=labels)


def read(splits: Mapping[str, Split], form: Form) -> tuple[dict[str, Sentences], Vocabulary]:
    """The sentences of splits of lines, and the vocabulary.

    Args:
      splits: by name; if the form has no vocabulary yet, with "train", of which it is then made.
      form: the form of the rows.
    """
    vocabulary = form.vocabulary
    if vocabulary is None:
        lines = splits["train"].images
        vocabulary = Vocabulary.from_sentences((tokenizer.words(line) for line in lines), form.size)
    return {name: _encode(split, form, vocabulary) for name, split in splits.items()}, vocabulary


def _encode(split: Split, form: Form, vocabulary: Vocabulary) -> Sentences:
    # Words are not kept from one line to the next: those of half a million lines take 6 GiB.
    number = len(split.images)
    ids = np.zeros((number, form.length), np.uint16 if form.size <= 2**16 else np.int32)
    cut = 0
    for row, line in zip(ids, split.images, strict=True):
        known = vocabulary.ids(tokenizer.words(line, form.length))
        row[: len(known)] = known
        if len(known) == form.length:
            cut += 1
        elif known:
            row[len(known)] = tokens.END
    kept = ids[:, 0] != tokens.PADDING
    ids = ids[kept]
    words = int((ids > tokens.END).sum())
    unknown = int((ids == tokens.UNKNOWN).sum())
    counts = Counts(number, number - len(ids), cut, words, unknown)
    return Sentences(ids, form.size, None if split.labels is None else split.labels[kept], counts)
