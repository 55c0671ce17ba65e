"""A stack of bits: symbols are pushed and popped under probability models, by ANS.

The asymmetric numeral system (Duda 2009) is that of the package `constriction`. Popping under a
model draws a symbol from it, with the bits of the stack as randomness; pushing the symbol under the
same model gives the same bits back. Bits-back coding (Townsend et al. 2019) is made of that.
"""

import types

import numpy as np

from biva_tf import extras
from biva_tf.compression.errors import MismatchError

_MOST_BITS = 24  # that a symbol takes: the coder's probabilities are multiples of 2**-24
_STATE = 2  # words that the coder's state holds
_CHUNK = 4096

WORD_BITS = 32


def ans_package() -> types.ModuleType:
    """The package `constriction`; raises MissingPackageError if it is not installed."""
    extras.require("compression", "constriction")
    import constriction

    return constriction


class RandomWords:
    """An endless sequence of random words, the same for the same seed."""

    def __init__(self, seed: int):
        self._seed = seed

    def last_to_first(self, start: int, stop: int) -> np.ndarray:
        """The words stop - 1, ..., start, uint32."""
        first, last = start // _CHUNK, -(-stop // _CHUNK)
        words = np.concatenate([self._chunk(i) for i in range(first, max(last, first + 1))])
        return words[start - first * _CHUNK : stop - first * _CHUNK][::-1]

    def _chunk(self, index: int) -> np.ndarray:
        # No word is 0: the highest word of a stack must not be.
        rng = np.random.Generator(np.random.Philox(key=[self._seed, index]))
        return rng.integers(1, 2**WORD_BITS, _CHUNK, dtype=np.uint32)


class Stack:
    """A stack of 32-bit words, with random words beneath where it runs short.

    Heights count words from where the random words begin; among them they are negative.

    Args:
      words: uint32, the highest last.
      random_words: what lies beneath. None if the words should suffice.

    Raises:
      MismatchError: the highest word is 0, which that of a stack never is.
    """

    def __init__(self, words: np.ndarray, random_words: RandomWords | None = None):
        if len(words) and not words[-1]:
            raise MismatchError("the highest word of the stack is 0")
        self._coder = ans_package().stream.stack.AnsCoder(np.array(words, np.uint32))
        self._random_words, self._beneath, self._ran_out = random_words, 0, False
        self._deepest = self._deepest_since = self.height

    @property
    def height(self) -> int:
        """The height of the two words that the coder's state holds."""
        return self._coder.pos()[0] - self._beneath

    def deepest(self) -> int:
        """The least height since the last call, or since the start."""
        deepest, self._deepest_since = self._deepest_since, self.height
        return deepest

    def depths(self) -> tuple[int, int]:
        """How deep the stack went: ever, and since the last call of `deepest`."""
        return self._deepest, self._deepest_since

    def undone(self, depths: tuple[int, int]) -> None:
        """What came after `depths` was called is undone, so that its depth does not count."""
        self._deepest, self._deepest_since = (min(depth, self.height) for depth in depths)

    def words(self, start: int | None = None, stop: int | None = None) -> np.ndarray:
        """The words between two heights, the highest last; by default all that were ever used."""
        start = self._deepest if start is None else start
        stop = None if stop is None else stop + self._beneath
        return self._coder.get_compressed()[start + self._beneath : stop]

    def __len__(self) -> int:
        """The number of `words()`: random words count once they were used."""
        return self._coder.num_words() - self._beneath - self._deepest

    @property
    def random_words_used(self) -> int:
        """The number of random words that were used."""
        return max(0, -self._deepest)

    def push(self, symbols: np.ndarray, model, *parameters: np.ndarray) -> None:
        """Pushes symbols, which `pop` gives back under the same model and parameters.

        Args:
          symbols: int32 [n].
          model: a family of models of `constriction`.
          parameters: the model's parameters, floats; each has a row per symbol.
        """
        self._coder.encode_reverse(symbols, model, *parameters)

    def pop(self, model, *parameters: np.ndarray) -> np.ndarray:
        """Pops a symbol for each row of the parameters, int32 [n]."""
        self._make_room(len(parameters[0]))
        symbols = self._coder.decode(model, *parameters)
        if self._random_words is None and self._coder.num_words() < _STATE:
            self._ran_out = True  # an error here would come out of TensorFlow, whose pass draws
        self._deepest_since = min(self._deepest_since, self.height)
        self._deepest = min(self._deepest, self._deepest_since)
        return symbols

    def check(self) -> None:
        """Raises MismatchError if more was popped than the words were made of."""
        if self._ran_out:
            raise MismatchError("the stack runs out of words")

    def _make_room(self, symbols: int) -> None:
        """Puts random words beneath if this many symbols could empty the stack."""
        most = symbols * _MOST_BITS // WORD_BITS + 3
        if self._random_words is None or self._coder.num_words() >= most:
            return
        count = 2 * most
        more = self._random_words.last_to_first(self._beneath, self._beneath + count)
        words = np.concatenate([more, self._coder.get_compressed()])
        self._coder = ans_package().stream.stack.AnsCoder(words)
        self._beneath += count
