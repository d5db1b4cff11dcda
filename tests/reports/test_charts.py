"""The parts of pages about a clip: what is drawn is what is said, and it is said without colours too."""

from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from parsed_page import Page

from msma.reports.charts import clock, share_below
from msma.reports.page import part
from msma.types import Window

TRAITS = {"openness": 0.5, "neuroticism": 0.25}


def drawn(macro: str, *values) -> str:
    return part("charts.html.j2", macro, *values)


def window(start_s: float, end_s: float) -> Window:
    return Window(start_s, end_s, {}, {}, {})


def numbers(page: str, tag: str, attribute: str) -> list[str]:
    return [row[attribute] or "" for row in Page(page).all(tag) if attribute in row]


def test_the_dot_is_at_the_score_and_the_line_spans_the_interval():
    chart = drawn("trait_chart", TRAITS, {"openness": [0.3, 0.9], "neuroticism": [0.0, 1.0]}, {}, 0.9)
    assert numbers(chart, "circle", "cx")[:2] == ["50.00%", "25.00%"]
    thick = [row for row in Page(chart).all("line") if row.get("stroke-width") == "4"]
    assert [(row["x1"], row["x2"]) for row in thick[:2]] == [("30.00%", "90.00%"), ("0.00%", "100.00%")]
    assert "made to hold 90 % of the labels" in chart


def test_every_chart_has_its_numbers_as_text_and_as_a_label():
    chart = drawn("trait_chart", TRAITS, {"openness": [0.3, 0.9], "neuroticism": [0.0, 0.5]}, {"openness": [0.0, 1.0]})
    labels = [row["aria-label"] for row in Page(chart).all("svg") if "aria-label" in row]
    assert labels == ["openness 0.50, 0.30 to 0.90, above 50 % of the labels", "neuroticism 0.25, 0.00 to 0.50"]
    assert all(part in chart for part in ("0.50", "0.30 to 0.90", "above 50 % of the labels"))


def test_the_labels_are_a_box_around_their_median():
    chart = drawn(
        "trait_chart", {"openness": 0.2}, {}, {"openness": np.linspace(0.2, 0.6, 21).tolist()}, None, "made up"
    )
    (rect, _) = Page(chart).all("rect")
    assert (rect["x"], rect["width"]) == ("30.00%", "20.00%")
    assert "labels of the corpus made up" in chart


def test_without_intervals_and_labels_there_is_no_word_of_them():
    chart = drawn("trait_chart", TRAITS)
    assert "interval" not in chart
    assert "labels" not in chart


quantiles = st.lists(st.floats(0, 1), min_size=2, max_size=30).map(sorted)


@given(quantiles, st.floats(0, 1), st.floats(0, 1))
def test_a_higher_score_is_above_no_fewer_labels(labels, one, other):
    low, high = sorted((one, other))
    assert 0 <= share_below(low, labels) <= share_below(high, labels) <= 1


def test_a_share_is_exact_at_the_quantiles_and_at_the_ends():
    labels = [0.1, 0.2, 0.4, 0.4, 0.9]
    found = [share_below(score, labels) for score in (0.0, 0.1, 0.2, 0.3, 0.4, 0.9, 1.0)]
    assert found == pytest.approx([0, 0, 0.25, 0.375, 0.5, 1.0, 1.0])


def test_windows_that_meet_are_marked_where_they_do():
    windows = [window(0.0, 10.0), window(10.0, 30.0), window(30.0, 40.0)]
    strip = drawn("audio_strip", [-0.5] * 10, [0.5] * 10, 0.0, 40.0, windows)
    dashed = [row["x1"] for row in Page(strip).all("line") if "stroke-dasharray" in row]
    assert dashed == ["25.00%", "75.00%"]
    assert "peak 0.50 of full scale" in strip


def test_a_silent_outline_is_no_trouble():
    assert 'class="waveform"' in drawn("audio_strip", [0.0], [0.0], 0.0, 0.01, [])


def test_quality_is_a_filled_bar_and_use_an_empty_one_each_with_its_number():
    bars = drawn("quality_bars", {"audio": 0.5, "visual": 0.0}, {"audio": 1.0, "visual": 0.25})
    assert re.findall(r"<small>([^<]*)</small>", bars) == ["0.50", "100 %", "0.00", "25 %"]
    assert numbers(bars, "rect", "width")[1::2] == ["50.00%", "100.00%", "0.00%", "25.00%"]


def test_a_status_has_a_sign_of_its_own():
    marks = [drawn("status_mark", status) for status in ("ok", "degraded", "abstained", "failed")]
    assert len({re.sub(r"[a-z]+", "", mark) for mark in marks}) == 4


@pytest.mark.parametrize(("seconds", "said"), [(7.25, "7.2 s"), (59.9, "59.9 s"), (125.0, "2:05"), (3725.0, "1:02:05")])
def test_times_are_written_as_people_do(seconds, said):
    assert clock(seconds) == said
