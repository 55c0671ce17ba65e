"""What x is: an image, a point or a sentence; its values; the units of its bounds."""

import enum
import math

# The values of an image, or any numbers.
UNIT, REALS = (0.0, 1.0), (-math.inf, math.inf)


class Observation(enum.Enum):
    """What x is: which data sets have it, and how it is drawn (`plotting.drawers`)."""

    IMAGE = "image"
    POINT = "point"  # of a plane, as an image of 1 x 1 pixels with a channel per coordinate
    SENTENCE = "sentence"  # a map [tokens, 1, 1] of ids (`tokens`)

    @property
    def plural(self) -> str:
        """The word for several of them."""
        return f"{self.value}s"

    @property
    def of_fixed_size(self) -> bool:
        """Whether every x has all dimensions of the image_shape, so that bits/dim mean something.

        Of sentences, perplexity per token is reported in their place.
        """
        return self is not Observation.SENTENCE


class Unit(enum.Enum):
    """A unit of bounds on log p(x)."""

    NATS = "nats"
    BITS_PER_DIM = "bits/dim"
