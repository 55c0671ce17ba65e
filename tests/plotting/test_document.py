import numpy as np
import pytest
from html_pages import Page

from biva_tf.plotting import grid
from biva_tf.plotting.document import Gallery, Lines, Paragraph, Picture, Section, Table, page

PNG = grid.png(np.arange(24, dtype=np.uint8).reshape(4, 6, 1))
NASTY = '<b title="x">&amp;</b>'


def test_every_part_is_shown():
    parts = (
        Paragraph("a paragraph"),
        Lines("one\n two"),
        Table("numbers", ("name", "value"), (("a", "1.5"), ("b", "2"))),
        Picture(PNG, "a ramp", "a caption"),
        Gallery((Picture(PNG, "left"), Picture(PNG, "right"))),
    )
    shown = Page(page("The title", (Section("First", parts), Section("Second", ()))))
    for text in ("The title", "a paragraph", "one\n two", "numbers", "a caption"):
        assert text in shown.text
    assert shown.headings == ["First", "Second"]
    assert shown.rows == [["name", "value"], ["a", "1.5"], ["b", "2"]]
    assert [alt for alt, _ in shown.pictures] == ["a ramp", "left", "right"]
    np.testing.assert_array_equal(shown.pictures[0][1].ravel(), np.arange(24))


@pytest.mark.parametrize(
    "part",
    [
        Paragraph(NASTY),
        Lines(NASTY),
        Table(NASTY, (NASTY, NASTY), ((NASTY, NASTY),)),
        Picture(PNG, NASTY, NASTY),
    ],
    ids=lambda part: type(part).__name__,
)
def test_text_is_escaped(part):
    html = page(NASTY, (Section(NASTY, (part,)),))
    assert "<b " not in html and html.count("&lt;b title=&quot;x&quot;&gt;&amp;amp;&lt;/b&gt;") >= 5
    assert NASTY in Page(html).text


@pytest.mark.parametrize(
    "text,html",
    [
        ("-L_1000 of", "-<i>L</i><sub>1000</sub> of"),
        ("LLR_5^{>2}", "<i>LLR</i><sub>5</sub><sup>&gt;2</sup>"),
        ("L^{>k}, L_K", "<i>L</i><sup>&gt;k</sup>, <i>L</i><sub>K</sub>"),
        ("XL_1, L_10k, L", "XL_1, L_10k, L"),
    ],
)
def test_bounds_are_set_as_formulas(text, html):
    assert f"<p>{html}</p>" in page("", (Section("", (Paragraph(text),)),))


def test_columns_of_numbers_are_set_to_the_right():
    rows = (("a", "1,000.5 ± 0.1", "x", "-3e-05"), ("b", "-", "2", "7"))
    html = page("", (Section("", (Table("", (), rows),)),))
    assert '<td class="number">1,000.5 ± 0.1</td><td>x</td><td class="number">-3e-05</td>' in html


@pytest.mark.parametrize("width,scrolls", [(300, False), (1500, True)])
def test_a_wide_picture_is_scrolled_where_the_page_is_narrow(width, scrolls):
    picture = Picture(grid.png(np.zeros((4, width, 1), np.uint8)), "a picture")
    html = page("", (Section("", (picture,)),))
    assert ('<figure><div class="scroll"><img ' in html) == scrolls
    assert '<div class="scroll"><img ' not in page("", (Section("", (Gallery((picture,)),)),))
