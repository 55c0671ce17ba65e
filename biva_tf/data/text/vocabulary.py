"""The words that a model knows, each with its id; a run keeps them in vocabulary.txt."""

import collections
import dataclasses
import functools
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from biva_tf.data.sources import DataError
from biva_tf.data.text import tokenizer
from biva_tf.files import write_atomically
from biva_tf.model import tokens

UNKNOWN = "<unknown>"  # a word that is not in the vocabulary, in texts


@dataclasses.dataclass(frozen=True)
class Vocabulary:
    """The known words; the first has the id `tokens.FIRST_WORD`, the next the id after it, ..."""

    words: tuple[str, ...]

    @staticmethod
    def from_sentences(sentences: Iterable[Sequence[str]], size: int) -> "Vocabulary":
        """The most frequent words of sentences, the most frequent first; equals by the alphabet.

        Args:
          sentences: lists of words. They are counted one by one, so a generator saves memory.
          size: the number of ids, those of `tokens` included.
        """
        count: collections.Counter[str] = collections.Counter()
        for words in sentences:
            count.update(words)
        ordered = sorted(count, key=lambda word: (-count[word], word))
        return Vocabulary(tuple(ordered[: size - tokens.FIRST_WORD]))

    @staticmethod
    def read(path: Path) -> "Vocabulary":
        """Reads a vocabulary from a file, a word in each line. DataError if it cannot be read."""
        try:
            words = tuple(path.read_text(encoding="utf-8").splitlines())
        except (OSError, UnicodeDecodeError) as e:
            raise DataError(f"{path}: expected the vocabulary of a model of text ({e})") from e
        if not words or len(set(words)) < len(words):
            raise DataError(f"{path}: expected words, each once, in a line each")
        return Vocabulary(words)

    def write(self, path: Path) -> None:
        """Writes the file that `read` reads."""
        write_atomically(path, "".join(f"{word}\n" for word in self.words).encode())

    def ids(self, words: Sequence[str]) -> list[int]:
        """The ids of words; UNKNOWN for those that are not known."""
        return [self._ids.get(word, tokens.UNKNOWN) for word in words]

    def texts(self, ids: np.ndarray) -> np.ndarray:
        """Ids [..., length, 1, 1] as lines of text, an array of strings [...]."""
        rows = ids.reshape(-1, ids.shape[-3]).astype(np.int64)
        return np.array([self._text(row) for row in rows]).reshape(ids.shape[:-3])

    def _text(self, ids: np.ndarray) -> str:
        words = [self._word(id_) for id_ in ids if id_ not in (tokens.PADDING, tokens.END)]
        return tokenizer.join(words)

    def _word(self, id_: int) -> str:
        place = id_ - tokens.FIRST_WORD
        # A small data set has fewer words than the model has ids.
        return self.words[place] if 0 <= place < len(self.words) else UNKNOWN

    @functools.cached_property
    def _ids(self) -> dict[str, int]:
        return {word: id_ for id_, word in enumerate(self.words, start=tokens.FIRST_WORD)}
