"""A table as HTML: whole, escaped, and with what its rows say of themselves."""

from __future__ import annotations

import re

from parsed_page import Page

from msma.reports.page import part
from msma.reports.table import Block, Code, Facts, Heading, Missing, Row, Table

SCORES = Table(
    "Scores",
    ["", "CCC", "why"],
    [Row(["network", "0.512\n[0.401, 0.622]", "as\nit is"], strong=True), Row(["constant", "0.000", ""], rule=True)],
    notes=["In brackets, intervals."],
    prose=[2],
)


def html(*blocks: Block) -> str:
    page = part("parts.html.j2", "show", blocks)
    assert Page(page).open == []
    return page


def test_the_first_cell_names_the_row_and_details_are_small():
    page = html(SCORES)
    assert re.findall(r'<th scope="row">(.*?)</th>', page) == ["network", "constant"]
    assert "<td>0.512<br><small>[0.401, 0.622]</small></td>" in page
    assert '<td class="words">as\nit is</td>' in page


def test_a_strong_row_and_a_rule_above_a_row_are_classes_of_it():
    assert re.findall(r'<tr class="(.*?)">', html(SCORES)) == ["strong", "rule"]


def test_the_title_and_the_notes_stand_above_the_table():
    page = html(SCORES)
    assert page.index("Scores") < page.index("In brackets, intervals.") < page.index("<table>")


def test_a_row_leads_to_its_place_on_the_page():
    assert '<a href="#clip-1">a.mp4</a>' in html(Table("", ["clip"], [Row(["a.mp4"], anchor="clip-1")]))


def test_whatever_a_cell_holds_is_text():
    hostile = "<script>alert(1)</script>"
    row = Row([hostile, f"{hostile}\n{hostile}", hostile], anchor=f'"{hostile}')
    page = html(
        Table(hostile, [hostile] * 3, [row], notes=[hostile], prose=[2]),
        Heading(hostile),
        hostile,
        Facts({hostile: hostile}),
        Code(hostile),
        Missing(hostile, hostile),
    )
    assert Page(page).all("script") == []
    assert page.count("&lt;script&gt;") == 18


def test_lines_that_follow_each_other_are_a_list_and_one_alone_is_a_paragraph():
    page = html("one", "two", Heading("then"), "three")
    assert "<li>one</li>" in page
    assert "<li>two</li>" in page
    assert "<p>three</p>" in page
