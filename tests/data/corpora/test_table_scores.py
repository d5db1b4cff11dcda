"""Numbers as people write them: what a column of scores says, and what it leaves open."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from msma.data.corpora.scores import Scores, read_scores
from msma.data.corpora.table_file import Table
from msma.types import MsmaError


def read(*cells: str, scale: tuple[float, float] = (0.0, 1.0)) -> Scores:
    """The scores in a column with these cells, from line 2 on."""
    rows = [(cell,) for cell in cells]
    return read_scores(Table(Path("mine.csv"), ("O",), rows, [*range(2, len(cells) + 2)]), 0, *scale)


@pytest.mark.parametrize(
    ("cells", "values"),
    [
        (["0.5", ".25", "1.", "1e-3"], [0.5, 0.25, 1.0, 0.001]),
        (["0,5", ",25", "1", "1e-3"], [0.5, 0.25, 1.0, 0.001]),
        ([" 0,5 ", "+0,25"], [0.5, 0.25]),
        (["\u22120.5", "-1"], [-0.5, -1.0]),
        (["4,512", "3,250"], [4.512, 3.25]),
        (["0.512", "3"], [0.512, 3.0]),
    ],
    ids=["points", "commas", "blanks", "minus", "three digits", "one point"],
)
def test_decimal_points_and_decimal_commas_are_read(cells, values):
    assert read(*cells) == Scores(values)


@pytest.mark.parametrize("missing", ["", "NaN", "NA", "n/a", "None", "null", "-"])
def test_what_is_missing_is_no_number(missing):
    first, second = read("0.5", missing).values
    assert (first, math.isnan(second)) == (0.5, True)


def test_a_word_among_numbers_is_no_number():
    assert math.isnan(read("0.5", "high").values[1])


@given(
    st.lists(st.decimals(0, 9999, places=2), min_size=1),
    st.sampled_from([(".", ","), (",", "."), (",", " "), (",", "\u202f"), (".", "'")]),
)
def test_numbers_of_any_country_are_read(numbers, marks):
    point, thousands = marks
    written = [f"{number:,.2f}".replace(",", "T").replace(".", point).replace("T", thousands) for number in numbers]
    assert read(*written, scale=(0.0, 10_000.0)).values == [float(number) for number in numbers]


def test_numbers_that_have_thousands_are_noted():
    assert read("1,234.5", "2").notes == ["column 'O': '1,234.5' (line 2) was read as 1234.5"]


def test_a_comma_is_read_as_the_scale_allows():
    assert read("1,500", "2,750", scale=(1.0, 7.0)).values == [1.5, 2.75]
    assert read("1,500", "2,750", scale=(1000.0, 9000.0)).values == [1500.0, 2750.0]


def test_percent_is_a_share_of_the_scale():
    assert read("75%", "7,5 %", "").values[:2] == [0.75, 0.075]
    assert read("75%", "7.5%", scale=(0.0, 100.0)).values == [75.0, 7.5]
    assert read("75%").notes == ["column 'O' is in percent; 100% was read as 1"]


@pytest.mark.parametrize(
    ("cells", "scale", "told"),
    [
        (
            ["0,5", "0.7", "0,25"], (0, 1),
            "numbers with points, such as '0.7' (line 3), and commas in 2 of 3 rows, such as '0,5' (line 2); write all",
        ),
        (
            ["4", "4,512"], (0, 10_000),
            "numbers that may have decimal commas or thousands in 1 of 2 rows, such as '4,512' (line 3); write them w",
        ),
        (["75%", "0.5", ""], (0, 1), "numbers without a percent sign beside such with one in 1 of 3 rows"),
        (["75%"], (1, 7), "percent in 1 of 1 rows, such as '75%' (line 2); that is no score from 1 to 7; write"),
        (["", "high", "low"], (0, 1), "no number in 2 of 3 rows, such as 'high' (line 3); name a column of scores"),
    ],
    ids=["both marks", "commas", "some percent", "percent of what", "words"],
)  # fmt: skip
def test_a_column_that_is_not_plain_is_counted_and_one_row_shown(cells, scale, told):
    with pytest.raises(MsmaError) as caught:
        read(*cells, scale=(float(scale[0]), float(scale[1])))
    assert str(caught.value).startswith(f"mine.csv: column 'O' has {told}")


@pytest.mark.parametrize(
    "date",
    [
        *("03.05.2024", "03.05.", "5/3/24", "2024-05-03", "2024-05-03 00:00:00", "3. Mai", "03-May", "May-03"),
        *("03. Mrz", "3-déc", "1. Okt 2024", "févr-25", "Sep 5"),
    ],
)
def test_dates_that_a_spreadsheet_made_of_numbers_are_refused(date):
    with pytest.raises(MsmaError, match=r"has dates in 1 of 2 rows, such as .* \(line 3\); where a spreadsheet made"):
        read("4", date)


@pytest.mark.parametrize("text", ["5 (agree)", "3 of 7", "1.2.3.4", "x"])
def test_other_text_is_no_date(text):
    assert math.isnan(read("4", text).values[1])
