"""The blocks that a spec can ask for."""

import dataclasses
from typing import Any

from biva_tf.model.checks import require, require_count, require_pair
from biva_tf.model.kinds import BlockKind, register

GATED = "gated"  # the kind of the blocks that JSON names no kind of


@register(GATED)
@dataclasses.dataclass(frozen=True)
class BlockSpec(BlockKind):
    """A gated residual block: its filters, kernel (height, width) and stride (height, width)."""

    filters: int
    kernel: tuple[int, int]
    stride: tuple[int, int] = (1, 1)

    def __post_init__(self):
        require_count(self.filters, "filters")
        require_pair(self.kernel, "kernel")
        require_pair(self.stride, "stride")

    def at_one_size(self) -> "BlockSpec":
        """The block of stride 1."""
        return dataclasses.replace(self, stride=(1, 1))

    def in_tf1(self) -> list[Any] | None:
        """[filters, kernel, stride]."""
        return [self.filters, list(self.kernel), list(self.stride)]

    def __str__(self) -> str:
        stride = "" if self.stride == (1, 1) else f" /{self.stride[0]}"
        return f"{self.filters} {self.kernel[0]}x{self.kernel[1]}{stride}"


@register("attention")
@dataclasses.dataclass(frozen=True)
class AttentionSpec(BlockSpec):
    """A gated residual block with self-attention at the smaller of its two maps.

    The heads share `filters` units. Attention costs products of all pairs of places of the map: it
    belongs to the levels whose maps are small. In a new model it changes nothing; training gives
    it weight.
    """

    heads: int = 4

    def __post_init__(self):
        super().__post_init__()
        require_count(self.heads, "heads")
        expected = f"a number that divides the {self.filters} filters"
        require(self.filters % self.heads == 0, "heads", expected, self.heads)

    def in_tf1(self) -> list[Any] | None:
        """None: the original has no attention."""
        return None

    def __str__(self) -> str:
        return f"{super().__str__()} with attention ({self.heads} heads)"
