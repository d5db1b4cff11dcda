"""The figures of a robustness suite: whole, the same for the same results, and optional."""

from __future__ import annotations

import importlib.util
import math

import matplotlib as mpl
import numpy as np
import pytest

from msma.evaluation.robustness.summary import Group
from msma.reports.figures import curves, draw_figures, heat_map
from msma.types import MsmaError


def group(family: str, skill: dict[int, float], held_out: bool = False) -> Group:
    retention = {severity: value / 0.4 for severity, value in skill.items()}
    return Group(family, held_out, retention, skill, 0.5, math.nan, math.nan, math.nan, coverage={}, width={})


SCENARIOS = {
    "white_noise": group("noise", {s: 0.4 - 0.07 * s for s in range(1, 6)}),
    "hum": group("interference", {s: 0.4 - 0.03 * s for s in range(1, 6)}, held_out=True),
    "no_audio": group("missing", {5: 0.1}),
    "no_visual": group("missing", {5: -0.1}),
}


def test_the_files_are_the_same_for_the_same_results(tmp_path):
    first = [path.read_bytes() for path in draw_figures(tmp_path / "a", "made up", 0.4, SCENARIOS)]
    again = [path.read_bytes() for path in draw_figures(tmp_path / "b", "made up", 0.4, SCENARIOS)]
    assert first == again
    assert sorted(path.name for path in (tmp_path / "a").iterdir()) == ["curves.svg", "heatmap.svg"]
    assert all(content.startswith(b"<?xml") and content.rstrip().endswith(b"</svg>") for content in first)


def test_each_family_has_a_panel_with_a_line_for_each_scenario_from_the_clean_clips_on():
    panels = {panel.get_title(): panel for panel in curves("made up", 0.4, SCENARIOS).axes if panel.get_visible()}
    assert set(panels) == {"noise", "interference (held out)", "missing"}
    (line,) = (line for line in panels["noise"].lines if line.get_label() == "white_noise")
    np.testing.assert_allclose(line.get_xdata(), range(6))
    np.testing.assert_allclose(line.get_ydata(), [0.4 - 0.07 * s for s in range(6)])
    marks = {line.get_label(): list(line.get_ydata()) for line in panels["missing"].lines}
    assert (marks["no_audio"], marks["no_visual"]) == ([0.1], [-0.1])


def test_the_map_has_a_row_for_each_scenario_and_says_which_are_held_out():
    panel = heat_map("made up", SCENARIOS).axes[0]
    assert [label.get_text() for label in panel.get_yticklabels()] == ["white_noise", "hum *", "no_audio", "no_visual"]
    numbers = [text.get_text() for text in panel.texts]
    assert len(numbers) == 5 + 5 + 1 + 1
    assert numbers[-2:] == ["0.25", "-0.25"]


def test_drawing_leaves_the_settings_of_the_caller_alone(tmp_path):
    before = dict(mpl.rcParams)
    draw_figures(tmp_path, "made up", 0.4, SCENARIOS)
    assert dict(mpl.rcParams) == before


def test_without_matplotlib_it_says_how_to_get_it(tmp_path, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(MsmaError, match=r"pip install 'msma\[plots\]'"):
        draw_figures(tmp_path, "made up", 0.4, SCENARIOS)
