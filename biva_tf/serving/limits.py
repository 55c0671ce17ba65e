"""What an export refuses to compute, so that no request takes the server for long."""

import dataclasses
import math

from biva_tf.errors import SettingsError
from biva_tf.settings import setting

MOST_ROWS = 2**31 - 1


@dataclasses.dataclass(frozen=True)
class Limits:
    """The limits of an export's requests; its graphs check them, its metadata state them.

    Raises:
      SettingsError: a limit out of its range.
    """

    max_samples: int = setting(1024, "The images that one request can ask for.", lower=1)
    max_rows: int = setting(
        32_768,
        "The images of one request times its importance samples, of `classify` its samples.",
        lower=1,
    )
    max_temperature: float = setting(
        10.0, "The greatest temperature that a request can ask for.", lower=0.0
    )

    def __post_init__(self):
        for name in ("max_samples", "max_rows"):
            value = getattr(self, name)
            if not 1 <= value <= MOST_ROWS:
                raise SettingsError(f"--{name}: expected 1 to {MOST_ROWS}, got {value}")
        if not (math.isfinite(self.max_temperature) and self.max_temperature >= 0):
            raise SettingsError(
                f"--max_temperature: expected a number >= 0, got {self.max_temperature}"
            )
