"""The options of compression."""

import dataclasses

from biva_tf.compression.errors import CompressionError

WIDTH = 0.5  # of a cell, as a share of a narrow posterior's standard deviation (README.md)

_WIDEST = 256.0


@dataclasses.dataclass(frozen=True)
class Options:
    """How to compress.

    Attributes:
      rows: the images of a batch.
      block: the images of a block.
      seed: the seed of the initial bits.
      width: the width of a cell of the latents' grids; see `grid`.

    Raises:
      CompressionError: a value out of range.
    """

    rows: int = 32
    block: int = 1000
    seed: int = 0
    width: float = WIDTH

    def __post_init__(self):
        for name, least, bits in (("rows", 1, 16), ("block", 1, 32), ("seed", 0, 32)):
            value = getattr(self, name)
            if not least <= value < 2**bits:
                raise CompressionError(
                    f"{name}: expected an integer in {least}..{2**bits - 1}, got {value}"
                )
        if not 1 / _WIDEST <= self.width <= _WIDEST:
            raise CompressionError(
                f"width: expected a number in {1 / _WIDEST}..{_WIDEST}, got {self.width}"
            )
