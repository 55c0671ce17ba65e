"""The options of compression."""

import dataclasses

from biva_tf.settings import Settings, setting

WIDTH = 0.5  # of a cell, as a share of a narrow posterior's standard deviation (README.md)

_WIDEST = 256.0


@dataclasses.dataclass(frozen=True)
class Options(Settings):
    """How to compress.

    Attributes:
      rows: the images of a batch.
      block: the images of a block.
      seed: the seed of the initial bits.
      width: the width of a cell of the latents' grids; see `grid`.

    Raises:
      SettingsError: one of them is out of its range.
    """

    rows: int = setting(32, lower=1, upper=2**16 - 1)
    block: int = setting(1000, lower=1, upper=2**32 - 1)
    seed: int = setting(0, lower=0, upper=2**32 - 1)
    width: float = setting(WIDTH, lower=1 / _WIDEST, upper=_WIDEST)
