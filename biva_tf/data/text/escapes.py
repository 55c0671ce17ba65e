"""The texts behind the escapes that data sets in TFDS's format still have."""

import html
import re

# An ampersand that AG's corpus has lost is a space there: "women #39;s".
_ENTITY = re.compile(r"[ &]?(#\d+|quot|amp|lt|gt|nbsp);")


def of_reviews(text: str) -> str:
    r"""A review of Yelp: a new line is \n there, two characters, and a quotation mark "" or \"."""
    return text.replace('""', '"').replace(r"\"", '"').replace(r"\n", "\n")


def of_news(text: str) -> str:
    r"""A description of AG's corpus: a new line is \ there, and characters are HTML entities."""
    text = text.replace(r"\$", "$").replace("\\", "\n")
    return _ENTITY.sub(lambda match: html.unescape(f"&{match[1]};"), text)
