"""Reviews of businesses, bad (0) and good (1) (Zhang et al. 2015), by TFDS."""

from biva_tf.data.sources import Info, Location, Source
from biva_tf.data.text import escapes, stored

INFO = Info(None, train=560_000, test=38_000, lines=True)


def load(location: Location) -> Source:
    """Every review as one line, and its class."""
    return stored.read(
        "yelp_polarity", location, "yelp_polarity_reviews", "text", escapes.of_reviews
    )
