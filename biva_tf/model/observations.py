"""What x can be, and which p(x|z) a spec can ask for; `likelihoods` makes it.

Whoever reads, checks, measures or draws x asks the spec's likelihood, a `LikelihoodSpec`.
"""

import dataclasses
import enum
import math
from typing import ClassVar

import numpy as np

from biva_tf.model import tokens
from biva_tf.model.checks import require, require_count, require_rate

# The values of an image, or any numbers.
UNIT, REALS = (0.0, 1.0), (-math.inf, math.inf)


class Observation(enum.Enum):
    """What x is: which data sets have it, and how it is drawn (`plotting.drawers`)."""

    IMAGE = "image"
    POINT = "point"  # of a plane, as an image of 1 x 1 pixels with a channel per coordinate
    SENTENCE = "sentence"  # a map [tokens, 1, 1] of ids (`tokens`)


class Unit(enum.Enum):
    """A unit of bounds on log p(x)."""

    NATS = "nats"
    BITS_PER_DIM = "bits/dim"


class LikelihoodSpec:
    """Which p(x|z) a model has, and what x is.

    A likelihood is a frozen dataclass derived from this class. It must have a `kind`; the rest has
    defaults, which are those of grey or coloured images in [0, 1].

    Attributes:
      kind: its name in JSON.
      x: what x is.
      binary: whether x has the values 0 and 1 alone.
      channels: the numbers of channels that x can have; None for any number.
      of_fixed_size: whether every x has all the dimensions of the image_shape, so that bits/dim
        mean something. Otherwise perplexity per token is reported in their place.
      codes_pixels: whether the layer has `channel_probabilities`, with which images are compressed.
    """

    kind: ClassVar[str]
    x: ClassVar[Observation] = Observation.IMAGE
    binary: ClassVar[bool] = False
    channels: ClassVar[tuple[int, ...] | None] = None
    of_fixed_size: ClassVar[bool] = True
    codes_pixels: ClassVar[bool] = False

    @property
    def values(self) -> tuple[float, float]:
        """The least and the greatest value that x can have."""
        return UNIT

    @property
    def num_ids(self) -> int | None:
        """The number of ids of tokens, if x is a sentence; else None."""
        return None

    @property
    def unit(self) -> Unit:
        """The unit in which anomaly detection reports bounds.

        As in the paper, it is nats if x is binary, else bits/dim. Of real numbers it is nats, since
        their bits/dim depend on the unit of the numbers.
        """
        in_bits = self.of_fixed_size and not self.binary and self.values == UNIT
        return Unit.BITS_PER_DIM if in_bits else Unit.NATS

    def check_shape(self, image_shape: tuple[int, int, int]) -> None:
        """Raises SpecError if x cannot have the shape (height, width, channels)."""
        if self.channels is not None:
            expected = f"{' or '.join(map(str, self.channels))} channels for {self.kind}"
            require(image_shape[2] in self.channels, "image_shape", expected, image_shape)

    def input_shape(self, image_shape: tuple[int, int, int]) -> tuple[int, int, int]:
        """The shape of what the first bottom-up stage reads: that of `network_input`."""
        return image_shape

    def uncounted_floats(self, image_shape: tuple[int, int, int]) -> int:
        """Numbers that a training step keeps of an x in maps with an unknown number of rows."""
        return 0

    @property
    def expected_values(self) -> str:
        """The values of x, for a message."""
        least, greatest = self.values
        if self.values == REALS:
            return "finite numbers"
        or_bytes = " or uint8 of 0 to 255" if self.values == UNIT else ""
        return f"values in [{least:g}, {greatest:g}]{or_bytes}"

    def check_values(self, images: np.ndarray) -> None:
        """Raises ValueError if images, float32 [n >= 1, *image_shape], have impossible values."""
        (least, greatest), low, high = self.values, images.min(), images.max()
        if not (np.isfinite([low, high]).all() and low >= least and high <= greatest):
            raise ValueError(f"images: expected {self.expected_values}, got {low} to {high}")


@dataclasses.dataclass(frozen=True)
class Bernoulli(LikelihoodSpec):
    """p(x|z) of binary pixels: a Bernoulli distribution from one logit per pixel and channel."""

    kind: ClassVar[str] = "bernoulli"
    binary: ClassVar[bool] = True
    codes_pixels: ClassVar[bool] = True


@dataclasses.dataclass(frozen=True)
class LogisticMixture(LikelihoodSpec):
    """p(x|z) of 8-bit pixels: a discretized mixture of `num_mixtures` logistics (section 4.3)."""

    kind: ClassVar[str] = "discretized_logistic_mixture"
    channels: ClassVar[tuple[int, ...] | None] = (1, 3)
    codes_pixels: ClassVar[bool] = True

    num_mixtures: int = 10

    def __post_init__(self):
        require_count(self.num_mixtures, "num_mixtures")


@dataclasses.dataclass(frozen=True)
class Gaussian(LikelihoodSpec):
    """p(x|z) of real numbers: independent Gaussians, each with a mean and a variance of its own."""

    kind: ClassVar[str] = "gaussian"
    x: ClassVar[Observation] = Observation.POINT

    @property
    def values(self) -> tuple[float, float]:
        """Any."""
        return REALS


@dataclasses.dataclass(frozen=True)
class Text(LikelihoodSpec):
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

    kind: ClassVar[str] = "text"
    x: ClassVar[Observation] = Observation.SENTENCE
    channels: ClassVar[tuple[int, ...] | None] = (1,)
    of_fixed_size: ClassVar[bool] = False

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
    def values(self) -> tuple[float, float]:
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


LIKELIHOODS: tuple[type[LikelihoodSpec], ...] = (Bernoulli, LogisticMixture, Gaussian, Text)
