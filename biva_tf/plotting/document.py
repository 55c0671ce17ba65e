"""An HTML page that is one file: text, tables and pictures, without scripts and other files."""

import base64
import dataclasses
import html
import re
import struct
from string import Template

_STYLE = """
:root { color-scheme: light dark; --line: #c8ccd0; --soft: #f3f4f6; --link: #0b57a4; }
@media (prefers-color-scheme: dark) {
  :root { --line: #4a4f55; --soft: #23262a; --link: #8ab8f0; }
  body { background: #16181b; color: #e4e6e8; }
  img { padding: 6px; border-radius: 4px; }
}
* { box-sizing: border-box; }
body { max-width: 64rem; margin: 0 auto; padding: 1rem; font: 1rem/1.5 system-ui, sans-serif; }
h1, h2, p, li, figcaption { overflow-wrap: anywhere; }
h1 { font-size: 1.6rem; line-height: 1.25; }
h2 { font-size: 1.25rem; margin: 2.5rem 0 0.5rem; border-bottom: 1px solid var(--line); }
a { color: var(--link); }
nav ul { display: flex; flex-wrap: wrap; gap: 0.25rem 1.25rem; padding: 0; list-style: none; }
figure { margin: 1rem 0; }
figcaption { padding: 0.25rem 0; font-size: 0.9rem; }
img { display: block; max-width: 100%; height: auto; background: white; }
.gallery { display: grid; gap: 0 1rem;
  grid-template-columns: repeat(auto-fill, minmax(min(100%, 19rem), 1fr)); }
.scroll { overflow-x: auto; }
.scroll img { min-width: 58rem; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: 0.25rem 0.75rem; border-bottom: 1px solid var(--line); text-align: left;
  vertical-align: top; }
th { font-weight: 600; white-space: nowrap; }
tbody th { font-weight: 400; }
thead { background: var(--soft); }
td { min-width: 6rem; }
td.number, th.number { min-width: 0; text-align: right; white-space: nowrap; }
@media (max-width: 30rem) {
  table { font-size: 0.9rem; }
  th, td { padding: 0.25rem 0.4rem; }
}
.lines { padding: 0.75rem; background: var(--soft); }
.lines div { padding-left: 1.5rem; text-indent: -1.5rem; white-space: pre-wrap;
  overflow-wrap: anywhere; }
"""

_PAGE = Template("""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>$title</title>
<style>$style</style>
</head>
<body>
<h1>$title</h1>
<nav aria-label="Contents"><ul>
$contents
</ul></nav>
<main>
$sections
</main>
</body>
</html>
""")

# A picture with more pixels in a row is scrolled on a narrow page, lest its text be too small.
_WIDE = 1000

_FORMULA = re.compile(r"\b(LLR|L)(?=[_^])(?:_(\d+|K))?(?:\^\{([^}]+)\})?(?!\w)")
_NUMBER = re.compile(r"-?[\d.,]+(e[+-]\d+)?( ± [\d.,]+)?( %)?|-")


@dataclasses.dataclass(frozen=True)
class Paragraph:
    """A paragraph."""

    text: str


@dataclasses.dataclass(frozen=True)
class Lines:
    """Lines that are shown as they are; where one is too long, its rest is indented."""

    text: str


@dataclasses.dataclass(frozen=True)
class Table:
    """A table.

    Attributes:
      caption: what it shows; stands above it.
      head: the names of the columns; empty for none.
      rows: the cells. The first of a row is its header. Numbers, with or without a standard error,
        are set to the right.
    """

    caption: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclasses.dataclass(frozen=True)
class Picture:
    """A picture.

    Attributes:
      png: the content of a PNG file.
      alt: what it shows, for who does not see it.
      caption: stands below it; empty for none.
    """

    png: bytes
    alt: str
    caption: str = ""


@dataclasses.dataclass(frozen=True)
class Gallery:
    """Pictures beside each other, as many as the page is wide enough for."""

    pictures: tuple[Picture, ...]


SectionPart = Paragraph | Lines | Table | Picture | Gallery


@dataclasses.dataclass(frozen=True)
class Section:
    """A part of the page with a title."""

    title: str
    parts: tuple[SectionPart, ...]


def page(title: str, sections: tuple[Section, ...]) -> str:
    """The page as HTML.

    All text is escaped. In captions, paragraphs and headers, the bounds L_K, L^{>k} and LLR^{>k}
    are set as formulas.
    """
    contents, bodies = [], []
    for i, section in enumerate(sections):
        heading = html.escape(section.title)
        contents.append(f'<li><a href="#section-{i}">{heading}</a></li>')
        parts = "\n".join(_part(part) for part in section.parts)
        bodies.append(
            f'<section aria-labelledby="section-{i}">\n<h2 id="section-{i}">{heading}</h2>\n'
            f"{parts}\n</section>"
        )
    return _PAGE.substitute(
        title=html.escape(title),
        style=_STYLE,
        contents="\n".join(contents),
        sections="\n".join(bodies),
    )


def _part(part: SectionPart) -> str:
    match part:
        case Paragraph():
            return f"<p>{_prose(part.text)}</p>"
        case Lines():
            lines = (html.escape(line) or "<br>" for line in part.text.splitlines())
            divisions = "".join(f"<div>{line}</div>\n" for line in lines)
            return f'<div class="lines">{divisions}</div>'
        case Table():
            return _table(part)
        case Picture():
            return _picture(part, scrolls=True)
        case Gallery():
            return f'<div class="gallery">{"".join(map(_picture, part.pictures))}</div>'


def _picture(picture: Picture, scrolls: bool = False) -> str:
    width, height = struct.unpack(">II", picture.png[16:24])  # of the header chunk
    data = base64.b64encode(picture.png).decode()
    caption = f"<figcaption>{_prose(picture.caption)}</figcaption>" if picture.caption else ""
    img = (
        f'<img src="data:image/png;base64,{data}" alt="{html.escape(picture.alt)}" '
        f'width="{width}" height="{height}">'
    )
    if scrolls and width > _WIDE:
        img = f'<div class="scroll">{img}</div>'
    return f"<figure>{img}{caption}</figure>"


def _table(table: Table) -> str:
    numbers = [
        all(_NUMBER.fullmatch(row[i]) for row in table.rows)
        for i in range(len(table.rows[0]) if table.rows else 0)
    ]

    def cell(i: int, content: str, tag: str, scope: str = "") -> str:
        kind = ' class="number"' if i and numbers[i] else ""
        return f"<{tag}{scope}{kind}>{content}</{tag}>"

    lines = []
    if table.head:
        cells = [cell(i, _prose(n), "th", ' scope="col"') for i, n in enumerate(table.head)]
        lines.append(f"<thead><tr>{''.join(cells)}</tr></thead>")
    lines.append("<tbody>")
    for first, *others in table.rows:
        cells = [cell(0, _prose(first), "th", ' scope="row"')]
        cells += [cell(i, html.escape(each), "td") for i, each in enumerate(others, 1)]
        lines.append(f"<tr>{''.join(cells)}</tr>")
    lines.append("</tbody>")
    # The box scrolls; it can have the focus, so that the keyboard scrolls it, too.
    return (
        f"<figure><figcaption>{_prose(table.caption)}</figcaption>\n"
        f'<div class="scroll" role="region" tabindex="0" aria-label="{html.escape(table.caption)}">'
        f"<table>\n{''.join(lines)}</table></div></figure>"
    )


def _prose(text: str) -> str:
    """Escaped text with formulas."""

    def formula(match: re.Match) -> str:
        name, below, above = match.groups()
        below = f"<sub>{below}</sub>" if below else ""
        above = f"<sup>{above}</sup>" if above else ""
        return f"<i>{name}</i>{below}{above}"

    return _FORMULA.sub(formula, html.escape(text))
