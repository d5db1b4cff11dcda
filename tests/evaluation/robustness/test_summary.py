"""The summary of a suite: laws that hold for any cells, on cells that are made up."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_up import graded, made_up, one, suite, with_arrays

from msma.corruptions.scenarios import six
from msma.evaluation.result_file import as_json
from msma.evaluation.robustness.cell_result import CellResult, area, quality_spearman
from msma.evaluation.robustness.summary import summarize

SKILLS = st.lists(st.floats(-0.5, 0.9), min_size=5, max_size=5)
FALLING = (0.4, 0.3, 0.2, 0.1, 0.0)


def with_quality(results, qualities):
    return [
        with_arrays(r, quality=np.column_stack([q, np.full(8, 0.9)])) for r, q in zip(results, qualities, strict=True)
    ]


# retention


def test_retention_is_skill_over_the_clean_skill_of_the_same_clips():
    assert one("no_audio", 0.1, clean_skill=0.4).retention == pytest.approx(0.25)
    assert one("no_audio", -0.1, clean_skill=0.4).retention == pytest.approx(-0.25)


@pytest.mark.parametrize("clean_skill", [0.0, 3e-8, -0.2], ids=["none", "rounding", "below"])
def test_without_clean_skill_there_is_no_retention(clean_skill):
    assert math.isnan(one("no_audio", 0.1, clean_skill=clean_skill).retention)


def test_a_family_counts_once_however_many_corruptions_it_has():
    found = summarize(suite(*graded("white_noise", FALLING), one("no_audio", 0.2), one("no_visual", 0.4)))
    assert found.families["missing"].retention == {5: pytest.approx(0.75)}
    assert found.families["noise"].mean_retention == pytest.approx(0.5)
    assert found.seen.mean_retention == pytest.approx((0.75 + 0.5) / 2)
    assert found.held_out is None


def test_held_out_families_are_told_apart_from_seen_ones():
    held = [
        r.model_copy(update={"cell": replace(r.cell, scenario="hum", family="hum", held_out=True)})
        for r in graded("white_noise", FALLING)
    ]
    found = summarize(suite(*held, one("no_audio", 0.2)))
    assert found.held_out.mean_retention == pytest.approx(0.5)
    assert found.seen.mean_retention == pytest.approx(0.5)
    assert (found.held_out.held_out, found.seen.held_out) == (True, False)
    assert summarize(suite(*held)).seen is None


def test_what_is_several_corruptions_at_once_is_a_scenario_but_in_no_family():
    found = summarize(suite(*(made_up(cell, 0.2) for cell in six())))
    assert set(found.families) == {"missing", "sensor noise", "noise"}
    assert len(found.scenarios) == 6


def test_the_six_are_averaged_by_severity_with_what_is_only_missing_as_it_is():
    cells = six((1, 3))
    skills = {cell.name: 0.4 if len(cell.steps) == 1 and cell.severity == 1 else 0.2 for cell in cells}
    found = summarize(suite(*(made_up(cell, skills[cell.name]) for cell in cells)))
    assert found.six.retention == {1: pytest.approx((2 * 1 + 4 * 0.5) / 6), 3: pytest.approx(0.5)}
    assert summarize(suite(*(made_up(cell, 0.2) for cell in cells[1:]))).six.retention == {}


# area


def area_of(results: list[CellResult]) -> float:
    return area({result.cell.severity: result.retention for result in results})


@given(SKILLS)
def test_the_area_is_that_of_the_trapezoids_from_the_clean_clips_on(skills):
    kept = [1.0, *(skill / 0.4 for skill in skills)]
    expected = sum((a + b) / 2 for a, b in pairwise(kept)) / 5
    assert area_of(graded("white_noise", skills)) == pytest.approx(expected)


def test_the_area_is_1_where_nothing_is_lost_and_needs_all_severities():
    results = graded("white_noise", [0.4] * 5)
    assert area_of(results) == pytest.approx(1.0)
    assert math.isnan(area_of(results[:4]))
    assert math.isnan(area_of([one("no_audio", 0.4)]))


@given(SKILLS, st.integers(0, 4), st.floats(0.01, 0.5))
def test_more_skill_anywhere_is_more_area(skills, place, more):
    better = [skill + more * (index == place) for index, skill in enumerate(skills)]
    assert area_of(graded("white_noise", better)) > area_of(graded("white_noise", skills))


# effective robustness


@given(st.floats(-0.5, 0.9), st.floats(0.1, 0.9), st.floats(-0.5, 0.9), st.floats(0.1, 0.9))
def test_effective_robustness_is_what_lies_above_late_fusion_were_it_as_good_when_clean(skill, clean, late, late_clean):
    found = one("no_audio", skill, clean_skill=clean, late=(late, late_clean)).effective_robustness
    assert found == pytest.approx(skill - clean * late / late_clean)


@given(st.floats(0.1, 2.0), st.floats(-0.5, 0.9), st.floats(0.1, 0.9))
def test_a_network_that_is_late_fusion_but_for_its_spread_has_no_effective_robustness(factor, late, late_clean):
    found = one("no_audio", factor * late, clean_skill=factor * late_clean, late=(late, late_clean))
    assert found.effective_robustness == pytest.approx(0, abs=1e-9)


def test_without_clean_skill_of_late_fusion_it_is_not_known():
    assert math.isnan(one("no_audio", 0.2, clean_skill=0.4, late=(0.1, 0.0)).effective_robustness)


def test_the_mean_is_over_what_is_severe_and_leaves_something():
    nothing = made_up(replace(six()[0], steps=(*six()[0].steps, *six()[1].steps)), 0.0, late=(0.9, 0.1))
    assert nothing.cell.removed == {"audio", "visual"}
    mild = graded("white_noise", FALLING)[:2]
    found = summarize(suite(one("no_audio", 0.3, late=(0.1, 0.2)), nothing, *mild))
    assert found.effective_robustness == pytest.approx(0.3 - 0.4 * 0.5)


def test_a_network_of_one_modality_has_none():
    found = summarize(suite(one("no_audio", 0.1, late=None), reads=("audio",)))
    assert math.isnan(found.effective_robustness)


# predicted quality


def test_quality_that_falls_whenever_severity_rises_has_a_correlation_of_1():
    results = with_quality(graded("white_noise", FALLING), [np.full(8, 1 - s / 6) for s in range(1, 6)])
    clean = suite(quality=(1.0, 0.9)).clean
    assert quality_spearman(clean, results) == pytest.approx(1.0)
    assert quality_spearman(
        clean, with_quality(results, [np.full(8, 1 + s / 6) for s in range(1, 6)])
    ) == pytest.approx(-1)


def test_quality_that_never_changes_has_a_correlation_of_0():
    assert quality_spearman(suite().clean, graded("white_noise", FALLING)) == 0.0


def test_only_the_quality_of_what_is_corrupted_and_read_counts():
    results = graded("gaussian_noise", FALLING)
    told = with_quality(results, [np.full(8, 1 - s / 6) for s in range(1, 6)])  # of the sound
    assert quality_spearman(suite().clean, told) == 0.0
    assert math.isnan(quality_spearman(suite().clean, told, ["audio"]))


def test_clips_without_what_is_corrupted_do_not_count():
    """Half of the clips have no sound, so that its quality is 0 at every severity."""
    deaf = np.arange(8) < 4
    results = with_quality(graded("white_noise", FALLING), [np.full(8, 1 - s / 6) * ~deaf for s in range(1, 6)])
    clean = with_arrays(suite().clean, quality=np.column_stack([~deaf, np.ones(8)]).astype(float))
    assert quality_spearman(clean, results) < 0.9
    assert quality_spearman(with_arrays(clean, used=clean.by_clip("quality")), results) == pytest.approx(1.0)
    assert math.isnan(quality_spearman(with_arrays(clean, used=np.zeros((8, 2))), results))


def test_what_is_all_or_nothing_or_several_at_once_has_no_quality_correlation():
    assert math.isnan(quality_spearman(suite().clean, [one("no_audio", 0.2)]))
    both = [made_up(cell, 0.2) for cell in six((1, 3)) if cell.scenario == "audio_missing_visual_noise"]
    assert math.isnan(quality_spearman(suite().clean, both))


# single cells


def test_the_worst_cell_is_the_one_of_the_lowest_skill_in_which_something_is_left():
    nothing = made_up(replace(six()[0], steps=(*six()[0].steps, *six()[1].steps)), -0.9)
    found = summarize(suite(*graded("white_noise", FALLING), one("no_audio", -0.1), nothing))
    assert found.worst.cell == "no_audio_5"


def test_cells_below_the_constant_are_listed_and_rounding_is_not_below():
    skills = (0.4, -1e-9, -0.01, -0.02, 0.1)
    found = summarize(suite(*graded("white_noise", skills)))
    assert found.below_constant.up_to_severity_3 == ["white_noise_3"]
    assert found.below_constant.above == ["white_noise_4"]


# as JSON


def test_the_json_has_a_line_for_every_cell_and_no_nan():
    given_suite = suite(*graded("white_noise", FALLING), one("no_audio", 0.2, late=None))
    told = json.loads(as_json(summarize(given_suite)), parse_constant=pytest.fail)
    assert [line["cell"] for line in told["cells"]] == [f"white_noise_{s}" for s in range(1, 6)] + ["no_audio_5"]
    assert told["cells"][-1]["effective_robustness"] is None
    assert told["families"]["noise"]["retention"]["2"] == pytest.approx(0.75)
    assert told["clean"]["skill"] == 0.4
    assert told["checks"].keys() == {"severity", "modalities", "nothing"}
