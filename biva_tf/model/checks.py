"""Checks of the fields of a spec."""

from typing import Any

from biva_tf.errors import UserError
from biva_tf.ranges import Numbers


class SpecError(UserError, ValueError):
    """A spec that describes no model. The message names the field and says what is expected."""


def require(condition: bool, field: str, expected: str, got: Any) -> None:
    """Raises SpecError unless the condition holds."""
    if not condition:
        raise SpecError(f"{field}: expected {expected}, got {got!r}")


def is_count(value: Any) -> bool:
    """Whether a value is an integer >= 1."""
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1


def require_count(value: Any, field: str) -> None:
    """Raises SpecError unless a value is an integer >= 1."""
    require(is_count(value), field, "an integer >= 1", value)


def require_pair(value: Any, field: str) -> None:
    """Raises SpecError unless a value is a pair of integers >= 1."""
    valid = isinstance(value, tuple) and len(value) == 2 and all(map(is_count, value))
    require(valid, field, "two integers >= 1 (height, width)", value)


def require_rate(value: Any, field: str) -> None:
    """Raises SpecError unless a value is a probability below 1."""
    rates = Numbers(float, lower=0.0, below=1.0)
    require(rates.has(value), field, str(rates), value)


def require_ceiling(value: Any, field: str) -> None:
    """Raises SpecError unless a value is a finite number > 0, or None."""
    ceilings = Numbers(float, above=0.0)
    require(value is None or ceilings.has(value), field, f"{ceilings}, or null", value)


def require_floor(value: Any, field: str, *, free: bool) -> None:
    """Raises SpecError unless a value is a finite number <= 0 and `free`, or None."""
    valid = value is None or (free and Numbers(float, upper=0.0).has(value))
    require(valid, field, 'null, or with log_variance "free" a finite number <= 0', value)
