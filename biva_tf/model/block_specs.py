"""The blocks that a spec can ask for."""

import dataclasses
from typing import Any

from biva_tf.model.checks import require_count, require_pair
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
