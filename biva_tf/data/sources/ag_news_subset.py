"""News: the descriptions of AG's corpus in four classes (Zhang et al. 2015), by TFDS."""

from biva_tf.data.sources import Info, Location, Source
from biva_tf.data.text import escapes, stored

INFO = Info(None, train=120_000, test=7_600, lines=True)


def load(location: Location) -> Source:
    """The description of every article, a line each, and its class."""
    return stored.read("ag_news_subset", location, "ag_news_subset", "description", escapes.of_news)
