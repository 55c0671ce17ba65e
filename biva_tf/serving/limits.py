"""What an export refuses to compute, so that no request keeps a server busy for long."""

import dataclasses

from biva_tf.ranges import TEMPERATURES
from biva_tf.settings import Settings, setting


@dataclasses.dataclass(frozen=True)
class Limits(Settings):
    """The limits of an export's requests; its graphs check them, its metadata state them."""

    max_samples: int = setting(
        1024, "The images that one request can ask for.", lower=1, upper=2**31 - 1
    )
    max_rows: int = setting(
        32_768,
        "The images of one request times their importance samples; for `classify`, times its "
        "samples.",
        lower=1,
        upper=2**31 - 1,
    )
    max_temperature: float = setting(
        10.0,
        "The greatest temperature that a request can ask for.",
        lower=0.0,
        upper=TEMPERATURES.upper,
    )
