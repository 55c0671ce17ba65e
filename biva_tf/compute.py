"""How the layers compute: directly or in the frequency domain, and in which precision."""

import dataclasses
import math
from typing import NamedTuple

import tensorflow as tf

from biva_tf import frequency

CONVS = ("auto", "direct", "frequency")
PRECISIONS = ("float32", "mixed_bfloat16")


class _Cost(NamedTuple):
    """What the frequency domain costs, in multiply-adds of a direct convolution.

    Chosen after the times that `python -m tools.crossover` prints.

    Attributes:
      product: a multiply-add of its products.
      number: a number in the spectrum of x or y; memory is what costs.
      of_weights: a number in the spectrum of the weights, as a share of that.
    """

    product: float
    number: float
    of_weights: float


_TRAINING = _Cost(product=0.3, number=85.0, of_weights=1.0)
_PREPARED = _Cost(product=1.2, number=175.0, of_weights=0.1)  # the spectrum is only read


@dataclasses.dataclass(frozen=True)
class Compute:
    """How a model's layers compute. The mathematics is the same.

    Attributes:
      conv: how convolutions of stride 1 are computed: "direct"; "frequency", in the frequency
        domain; "auto", whichever is faster on a CPU for the layer and the number of rows. With a
        GPU, "auto" is "direct".
      precision: "float32"; "mixed_bfloat16": the products of convolutions and dense layers are in
        bfloat16, all else (weights and their norms, latents, densities, optimizer) in float32.

    Raises:
      ValueError: there is no such conv or precision.
    """

    conv: str = "auto"
    precision: str = "float32"

    def __post_init__(self):
        for name, choices in (("conv", CONVS), ("precision", PRECISIONS)):
            value = getattr(self, name)
            if value not in choices:
                raise ValueError(f"{name}: expected one of {', '.join(choices)}, got {value!r}")

    @property
    def product_dtype(self) -> tf.DType:
        """The type of the operands of products."""
        return tf.bfloat16 if self.precision == "mixed_bfloat16" else tf.float32

    def least_rows_in_frequency(
        self,
        convolution: frequency.Convolution,
        channels: int,
        filters: int,
        *,
        prepared: bool = False,
    ) -> float:
        """The least number of rows (a batch's images) that are convolved in the frequency domain.

        Args:
          convolution: of the layer.
          channels, filters: of its input and output.
          prepared: whether the spectrum of its weights is there already, and no gradient is
            needed: in evaluation, scoring and sampling.
        """
        if self.conv == "frequency":
            return 0
        if self.conv == "direct" or tf.config.list_physical_devices("GPU"):
            return math.inf
        cost = _PREPARED if prepared else _TRAINING
        pairs = channels * filters
        per_batch = cost.of_weights * cost.number * pairs
        per_row = cost.product * pairs + cost.number * (channels + filters)
        saved_per_row = convolution.direct_products * pairs - convolution.places * per_row
        if saved_per_row <= 0:
            return math.inf
        return convolution.places * per_batch / saved_per_row
