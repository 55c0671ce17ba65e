"""How the layers compute: directly or in the frequency domain, and in which precision."""

import dataclasses

import tensorflow as tf

from biva_tf import frequency

CONVS = ("auto", "direct", "frequency")
PRECISIONS = ("float32", "mixed_bfloat16")

# What the frequency domain costs, in multiply-adds of a direct convolution: a multiply-add of its
# products, and a number of the spectra of x, y and the weights. Fitted to what
# `python -m tools.crossover` prints.
_PRODUCT = 3.0
_NUMBER = 45.0


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
        self, convolution: frequency.Convolution, channels: int, filters: int
    ) -> float:
        """The least number of rows (a batch's images) that are convolved in the frequency domain.

        Args:
          convolution: of the layer.
          channels, filters: of its input and output.
        """
        if self.conv == "frequency":
            return 0
        if self.conv == "direct" or tf.config.list_physical_devices("GPU"):
            return float("inf")
        pairs = channels * filters
        per_batch = _NUMBER * convolution.places * pairs
        per_row = convolution.places * (_PRODUCT * pairs + _NUMBER * (channels + filters))
        saved = convolution.direct_products * pairs - per_row
        return per_batch / saved if saved > 0 else float("inf")
