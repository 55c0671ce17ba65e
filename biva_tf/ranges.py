"""The numbers that settings and arguments can be."""

import dataclasses
import math
import numbers
from typing import Any

from biva_tf.errors import SettingsError

# The greatest numbers that TensorFlow computes with: of an int64, and of a float32.
_GREATEST: dict[type, float] = {int: 2**63 - 1, float: 3.4028234663852886e38}


@dataclasses.dataclass(frozen=True)
class Numbers:
    """Integers, or finite numbers, between two ends. Booleans are neither.

    Attributes:
      kind: int or float.
      lower, upper: the least and the greatest number; None for no such end.
      above, below: the ends that a number lies between and is not; None for no such end.
    """

    kind: type
    lower: float | None = None
    upper: float | None = None
    above: float | None = None
    below: float | None = None

    def has(self, value: Any) -> bool:
        """Whether a value is one of the numbers."""
        return (
            self._is_number(value)
            and abs(value) <= _GREATEST[self.kind]
            and (self.lower is None or value >= self.lower)
            and (self.upper is None or value <= self.upper)
            and (self.above is None or value > self.above)
            and (self.below is None or value < self.below)
        )

    def expected(self, value: Any) -> str:
        """What a message says was expected in place of a wrong value."""
        if self._is_number(value) and abs(value) > _GREATEST[self.kind]:
            return f"{self} that fits in {64 if self.kind is int else 32} bits"
        return str(self)

    def __str__(self) -> str:
        noun = "an integer" if self.kind is int else "a finite number"
        low = self.lower if self.above is None else self.above
        high = self.upper if self.below is None else self.below
        if low is None and high is None:
            return noun
        if high is None:
            return f"{noun} {'>=' if self.above is None else '>'} {low:g}"
        if low is None:
            return f"{noun} {'<=' if self.below is None else '<'} {high:g}"
        if self.kind is int:
            return f"{noun} in {low}..{high}"
        left, right = "[" if self.above is None else "(", "]" if self.below is None else ")"
        return f"a number in {left}{low:g}, {high:g}{right}"

    def _is_number(self, value: Any) -> bool:
        if isinstance(value, bool):
            return False
        if self.kind is int:
            return isinstance(value, numbers.Integral)
        # An integer may be too large for a float, which isfinite and comparisons would raise for.
        return isinstance(value, numbers.Real) and (isinstance(value, int) or math.isfinite(value))


# At 100 the samples are far from any image; beyond, those of a model without a ceiling overflow.
TEMPERATURES = Numbers(float, lower=0.0, upper=100.0)


def require(name: str, value: Any, allowed: Numbers) -> None:
    """Checks an argument of a function.

    Raises:
      SettingsError: the value is none of the numbers; the message names the argument.
    """
    if not allowed.has(value):
        raise SettingsError(f"{name}: expected {allowed.expected(value)}, got {value!r}")
