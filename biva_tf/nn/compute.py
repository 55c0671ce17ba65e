"""How the layers compute: directly or in the frequency domain, and in which precision."""

import contextlib
import contextvars
import dataclasses
import math
from collections.abc import Iterator
from typing import NamedTuple

import tensorflow as tf

from biva_tf.choices import CONVS, PRECISIONS
from biva_tf.nn.frequency import FrequencyConvolution


class Cost(NamedTuple):
    """The cost of the frequency domain, in multiply-adds of a direct convolution.

    `python -m tools.bench.crossover` measures the costs and prints these constants.

    Attributes:
      product: the cost of one multiply-add of spectra.
      number: the cost of one number in the spectrum of x or y. Memory traffic causes it.
      of_weights: the cost of one number in the spectrum of the weights, as a share of `number`.
    """

    product: float
    number: float
    of_weights: float


TRAINING = Cost(product=0.3, number=85.0, of_weights=1.0)
# With fixed weights, their spectrum is only read.
FIXED_WEIGHTS = Cost(product=1.2, number=175.0, of_weights=0.1)


@dataclasses.dataclass(frozen=True)
class Compute:
    """How the layers of a model compute. The choice changes rounding, and nothing else.

    Layers take it from the scope in which they are made:

        with Compute("direct").scope():
            layer = Conv2D(...)

    Attributes:
      conv: how convolutions of stride 1 are computed. "direct": as TensorFlow does. "frequency": in
        the frequency domain. "auto": on a CPU, whichever is faster for the layer and the number of
        rows; with a GPU, "direct".
      precision: "float32"; or "mixed_bfloat16": the products of convolutions and dense layers are
        in bfloat16, and everything else (weights, norms, latents, densities, optimizer) in float32.

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

    @contextlib.contextmanager
    def scope(self) -> Iterator[None]:
        """While active, the layers that this thread makes compute in this way."""
        token = _current.set(self)
        try:
            yield
        finally:
            _current.reset(token)

    @staticmethod
    def current() -> "Compute":
        """That of the innermost scope; outside of any, `Compute()`."""
        return _current.get(Compute())

    @property
    def product_dtype(self) -> tf.DType:
        """The dtype of the operands of products."""
        return tf.bfloat16 if self.precision == "mixed_bfloat16" else tf.float32

    def least_rows_in_frequency(
        self,
        convolution: FrequencyConvolution,
        channels: int,
        filters: int,
        *,
        fixed_weights: bool = False,
    ) -> float:
        """The least batch size for which the frequency domain is the way to compute a convolution.

        Args:
          convolution: the convolution.
          channels: the channels of its input.
          filters: the channels of its output.
          fixed_weights: whether the spectrum of the weights is already known and no gradient is
            needed, as in evaluation, scoring and sampling.
        """
        if self.conv == "frequency":
            return 0
        if self.conv == "direct" or tf.config.list_physical_devices("GPU"):
            return math.inf
        cost = FIXED_WEIGHTS if fixed_weights else TRAINING
        return least_rows(convolution, channels, filters, cost)


_current: contextvars.ContextVar[Compute] = contextvars.ContextVar("compute")


def least_rows(convolution: FrequencyConvolution, channels: int, filters: int, cost: Cost) -> float:
    """The least batch size for which a convolution costs less in the frequency domain."""
    pairs = channels * filters
    per_batch = cost.of_weights * cost.number * pairs
    per_row = cost.product * pairs + cost.number * (channels + filters)
    saved_per_row = convolution.direct_products * pairs - convolution.places * per_row
    if saved_per_row <= 0:
        return math.inf
    return convolution.places * per_batch / saved_per_row
