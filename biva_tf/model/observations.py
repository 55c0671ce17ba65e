"""The p(x|z) that a spec can ask for; `likelihoods` makes it.

`kinds.LikelihoodKind` says what each has.
"""

import dataclasses
from typing import ClassVar

import numpy as np

from biva_tf.model import tokens
from biva_tf.model.checks import require, require_count, require_rate
from biva_tf.model.kinds import LikelihoodKind, register
from biva_tf.model.observed import REALS, Observation


@register("bernoulli")
@dataclasses.dataclass(frozen=True)
class Bernoulli(LikelihoodKind):
    """p(x|z) of binary pixels: a Bernoulli distribution from one logit per pixel and channel."""

    binary: ClassVar[bool] = True
    codes_pixels: ClassVar[bool] = True


@register("discretized_logistic_mixture")
@dataclasses.dataclass(frozen=True)
class LogisticMixture(LikelihoodKind):
    """p(x|z) of 8-bit pixels: a discretized mixture of `num_mixtures` logistics (section 4.3)."""

    channels: ClassVar[tuple[int, ...] | None] = (1, 3)
    codes_pixels: ClassVar[bool] = True

    num_mixtures: int = 10

    def __post_init__(self):
        require_count(self.num_mixtures, "num_mixtures")


@register("gaussian")
@dataclasses.dataclass(frozen=True)
class Gaussian(LikelihoodKind):
    """p(x|z) of real numbers: independent Gaussians, each with a mean and a variance of its own."""

    x: ClassVar[Observation] = Observation.POINT
    values: ClassVar[tuple[float, float]] = REALS


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

    x: ClassVar[Observation] = Observation.SENTENCE
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

    @property
    def num_ids(self) -> int:
        """The size of the vocabulary."""
        return self.vocabulary

    def check_shape(self, image_shape: tuple[int, int, int]) -> None:
        """Raises SpecError unless the shape is (tokens, 1, 1)."""
        super().check_shape(image_shape)
        require(image_shape[1] == 1, "image_shape", "(tokens, 1, 1) for text", image_shape)

    def input_shape(self, image_shape: tuple[int, int, int]) -> tuple[int, int, int]:
        """The shape of embedded tokens."""
        return (*image_shape[:2], self.embedding_units)

    def uncounted_floats(self, image_shape: tuple[int, int, int]) -> int:
        """The logits and their gradient, if no row is padded."""
        return 2 * image_shape[0] * self.vocabulary

    def check_values(self, images: np.ndarray) -> None:
        """Raises ValueError if ids are out of range, or their rows are not sentences."""
        super().check_values(images)
        if not tokens.valid(images[..., 0, 0]):
            expected = f"ids of words, then {tokens.END}, then {tokens.PADDING}"
            raise ValueError(f"images: expected {expected}; got others")
