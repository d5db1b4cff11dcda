"""A table as HTML and in Markdown: whole, escaped, and with what its rows say of themselves."""

from __future__ import annotations

import re

from parsed_page import Page

from msma.reports.markdown import as_markdown
from msma.reports.page import part
from msma.reports.table import Block, Code, Facts, Heading, Missing, Row, Table

SCORES = Table(
    "Scores",
    ["", "CCC", "why"],
    [Row("network", "0.512\n[0.401, 0.622]", "as\nit is", strong=True), Row("constant", "0.000", "", rule=True)],
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
    assert '<a href="#clip-1">a.mp4</a>' in html(Table("", ["clip"], [Row("a.mp4", anchor="clip-1")]))


def test_whatever_a_cell_holds_is_text():
    hostile = "<script>alert(1)</script>"
    row = Row(hostile, f"{hostile}\n{hostile}", hostile, anchor=f'"{hostile}')
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


def test_in_markdown_a_detail_stands_behind_its_value_and_a_strong_row_is_bold():
    header, rule, network, constant = as_markdown(SCORES).splitlines()
    assert (header, rule) == ("|  | CCC | why |", "| --- | --- | --- |")
    assert network == "| **`network`** | **0.512 &#91;0.401, 0.622&#93;** | **as it is** |"
    assert constant == "| `constant` | 0.000 |  |"


def test_in_markdown_nothing_in_a_cell_makes_another_cell_a_link_or_html():
    hostile = "a|b [x](https://evil.example) <img src=x> `c` *d* _e_\n| f"
    lines = as_markdown(Table("", [hostile, "h"], [Row(hostile, hostile)])).splitlines()
    assert len(lines) == 3
    assert {line.count("|") for line in lines} == {3}
    cells = lines[2].split("|")[2]
    assert not set("<>[]`*_") & set(cells)
    assert "://" not in cells


def test_in_markdown_a_cell_that_is_one_identifier_stays_readable_and_all_else_is_escaped():
    table = as_markdown(Table("", ["a", "b", "c", "d"], [Row("x", "snr_db", "_snr_", "in snr_db")]))
    assert table.splitlines()[2] == "| `x` | snr_db | &#95;snr&#95; | in snr&#95;db |"
