"""What x can be, and which p(x|z) a spec can ask for; `likelihoods` makes it.

`kinds.LikelihoodKind` says what each has.
"""

import dataclasses
import math
from typing import ClassVar

from biva_tf.model import tokens
from biva_tf.model.checks import require, require_count, require_rate
from biva_tf.model.kinds import LikelihoodKind, register

# The values of an image, or any numbers.
UNIT, REALS = (0.0, 1.0), (-math.inf, math.inf)


@register("bernoulli")
@dataclasses.dataclass(frozen=True)
class Bernoulli(LikelihoodKind):
    """p(x|z) of binary pixels: a Bernoulli distribution from one logit per pixel and channel."""

    values: ClassVar[tuple[float, float]] = UNIT
    binary: ClassVar[bool] = True
    channels: ClassVar[tuple[int, ...] | None] = None


@register("discretized_logistic_mixture")
@dataclasses.dataclass(frozen=True)
class LogisticMixture(LikelihoodKind):
    """p(x|z) of 8-bit pixels: a discretized mixture of `num_mixtures` logistics (section 4.3)."""

    values: ClassVar[tuple[float, float]] = UNIT
    binary: ClassVar[bool] = False
    channels: ClassVar[tuple[int, ...] | None] = (1, 3)

    num_mixtures: int = 10

    def __post_init__(self):
        require_count(self.num_mixtures, "num_mixtures")


@register("gaussian")
@dataclasses.dataclass(frozen=True)
class Gaussian(LikelihoodKind):
    """p(x|z) of real numbers: independent Gaussians, each with a mean and a variance of its own."""

    values: ClassVar[tuple[float, float]] = REALS
    binary: ClassVar[bool] = False
    channels: ClassVar[tuple[int, ...] | None] = None


@register("text")
@dataclasses.dataclass(frozen=True)
class Text(LikelihoodKind):
    """p(x|z) of sentences: of each token given the ones before it, by a recurrent network.

    A sentence is a map [tokens, 1, 1] of ids (`tokens`), float32.

    Attributes:
      vocabulary: the number of ids, the three of `tokens` included.
      embedding_units: the units of a token's embedding, which encoder, decoder and output share.
      decoder_units: the units of the decoder's state.
      feature_units: numbers that the top-down pass gives the decoder for each token.
      word_dropout: while training, the probability with which the decoder reads an unknown word in
        place of a preceding token, so that it needs z (Bowman et al. 2016).
    """

    binary: ClassVar[bool] = False
    channels: ClassVar[tuple[int, ...] | None] = (1,)

    vocabulary: int
    embedding_units: int = 64
    decoder_units: int = 128
    feature_units: int = 32
    word_dropout: float = 0.3

    def __post_init__(self):
        valid = (
            isinstance(self.vocabulary, int)
            and tokens.FIRST_WORD < self.vocabulary <= tokens.MAX_VOCABULARY
        )
        expected = f"an integer in {tokens.FIRST_WORD + 1}..{tokens.MAX_VOCABULARY}"
        require(valid, "vocabulary", expected, self.vocabulary)
        for field in ("embedding_units", "decoder_units", "feature_units"):
            require_count(getattr(self, field), field)
        require_rate(self.word_dropout, "word_dropout")

    @property
    def values(self) -> tuple[float, float]:  # type: ignore[override]
        """The least and the greatest id."""
        return (0.0, float(self.vocabulary - 1))
