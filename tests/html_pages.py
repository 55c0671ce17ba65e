"""Reads an HTML page, and checks what every page of the project promises."""

import base64
from html.parser import HTMLParser

import tensorflow as tf

_VOID = {"img", "meta", "br", "link", "hr"}  # have no end tag


class Page(HTMLParser):
    """The text, tables and pictures of a page. The tags have to be balanced.

    Attributes:
      text: the text of the whole page.
      rows: the cells of every row of every table.
      pictures: (alternative text, decoded PNG) of each.
      headings: the titles of the sections.
    """

    def __init__(self, html):
        super().__init__()
        self.text, self.rows, self.pictures, self.headings = "", [], [], []
        self._open = []
        assert html.startswith("<!DOCTYPE html>\n")
        self.feed(html)
        self.close()
        assert not self._open, f"not closed: {self._open}"

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        if tag not in _VOID:
            self._open.append(tag)
        if tag == "html":
            assert attrs["lang"] == "en"
        elif tag == "tr":
            self.rows.append([])
        elif tag in ("td", "th"):
            self.rows[-1].append("")
        elif tag == "h2":
            self.headings.append("")
        elif tag == "img":
            kind, data = attrs["src"].split(",")
            assert kind == "data:image/png;base64" and attrs["alt"]
            png = base64.b64decode(data, validate=True)
            assert png.startswith(b"\x89PNG")
            picture = tf.io.decode_png(png).numpy()
            assert picture.shape[:2] == (int(attrs["height"]), int(attrs["width"]))
            self.pictures.append((attrs["alt"], picture))
        assert tag not in ("script", "link", "iframe"), tag
        assert attrs.get("href", "#").startswith("#")

    def handle_endtag(self, tag):
        assert self._open.pop() == tag

    def handle_data(self, data):
        self.text += data
        if self._open and self._open[-1] == "h2":
            self.headings[-1] += data
        if "td" in self._open or "th" in self._open:
            self.rows[-1][-1] += data

    def row(self, name):
        """The other cells of the one row that begins with a name."""
        ((_, *cells),) = (row for row in self.rows if row and row[0] == name)
        return cells
