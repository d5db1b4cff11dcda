"""The checks of a suite: what is wrong is named, what is right is not."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from made_up import graded, made_up, one, suite, with_arrays

from msma.corruptions.scenarios import NOTHING, scenario_cells
from msma.evaluation.robustness.checks import Check, modality_check, nothing_check, severity_check

SKILLS = (0.3,) * 5
CLEAN = suite().clean
NOTHING_CELL = scenario_cells(NOTHING, ())[0]


def distorting(values, spread: float = 0.0):
    rng = np.random.default_rng(0)
    results = graded("white_noise", SKILLS)
    return {
        "white_noise": [
            with_arrays(result, distortion=np.column_stack([value + spread * rng.standard_normal(8), np.zeros(8)]))
            for result, value in zip(results, values, strict=True)
        ]
    }


# severity


@pytest.mark.parametrize("values", [(0.1, 0.2, 0.3, 0.4, 0.5), (0.1, 0.11, 0.12, 0.12, 0.12), (0, 0, 0, 0, 0.3)])
def test_distortion_that_rises_is_right(values):
    assert severity_check(CLEAN, distorting(values)) == Check("ok", [])


@pytest.mark.parametrize("values", [(0.3,) * 5, (0.5, 0.4, 0.3, 0.2, 0.1), (0.3, 0.3, 0.3, 0.3, 0.31)])
def test_distortion_that_does_not_rise_is_named(values):
    found = severity_check(CLEAN, distorting(values))
    assert found.verdict == "warning"
    assert found.found[0].startswith("white_noise: does not distort more at a higher severity (1: 0.")


def test_chance_is_not_taken_for_a_rise():
    assert severity_check(CLEAN, distorting((0.3,) * 5, spread=0.1)).verdict == "warning"
    assert severity_check(CLEAN, distorting((0.3, 0.4, 0.5, 0.6, 0.7), spread=0.05)).verdict == "ok"


def test_a_single_step_that_falls_is_named():
    assert severity_check(CLEAN, distorting((0.1, 0.2, 0.1, 0.4, 0.5))).found == [
        "white_noise: distorts less at severity 3"
    ]


def by_clip(*clips: tuple[float, ...]):
    """Distortion of `white_noise`, clip by clip."""
    results = graded("white_noise", SKILLS)
    columns = np.array([*clips, *[clips[-1]] * (8 - len(clips))]).T
    return {
        "white_noise": [
            with_arrays(result, distortion=np.column_stack([row, np.zeros(8)]))
            for result, row in zip(results, columns, strict=True)
        ]
    }


LONG, SHORT = (0.1, 0.2, 0.3, 0.4, 0.5), (0.8,) * 5


def test_clips_that_rise_unlike_are_no_chance():
    """Of a short, still or faint clip each severity takes less."""
    assert severity_check(CLEAN, by_clip(LONG, (0.0, 0.001, 0.002, 0.003, 0.004))) == Check("ok", [])


def test_short_clips_of_which_the_lowest_severity_leaves_nothing_tell_nothing():
    assert severity_check(CLEAN, by_clip(LONG, SHORT)) == Check("ok", [])


def test_where_no_clip_rises_the_short_ones_tell_that_nothing_does():
    assert severity_check(CLEAN, by_clip(SHORT)).verdict == "warning"


def test_a_fall_in_one_of_many_clips_is_chance():
    odd = (0.1, 1.9, 0.3, 1.9, 2.0)
    assert severity_check(CLEAN, by_clip(odd, LONG)) == Check("ok", [])


def test_a_fall_in_most_clips_is_named():
    odd = (0.1, 0.2, 0.05, 0.4, 0.5)
    assert severity_check(CLEAN, by_clip(LONG, odd)).found == ["white_noise: distorts less at severity 3"]


def test_a_corruption_that_changes_nothing_is_named():
    assert severity_check(CLEAN, distorting((0.0,) * 5)).found == ["white_noise: changes nothing in these clips"]


def test_clips_without_sound_tell_nothing_of_what_spoils_it():
    """Half of the clips are deaf: no severity changes them."""
    deaf = np.arange(8) < 4
    clean = with_arrays(CLEAN, used=np.column_stack([~deaf, np.ones(8)]).astype(float))
    rising = distorting((0.1, 0.2, 0.3, 0.4, 0.5))["white_noise"]
    results = [with_arrays(one, distortion=one.by_clip("distortion") * ~deaf[:, None]) for one in rising]
    assert severity_check(clean, {"white_noise": results}) == Check("ok", [])
    nobody = with_arrays(CLEAN, used=np.column_stack([np.zeros(8), np.ones(8)]))
    assert severity_check(nobody, {"white_noise": rising}).verdict == "not checked"
    assert modality_check(replace(suite(one("no_audio", 0.3, moved=0.0)), clean=nobody)).verdict == "not checked"


def test_what_is_all_or_nothing_is_not_checked():
    assert severity_check(CLEAN, {"no_audio": [one("no_audio", 0.1)]}) == Check("not checked", [])


# modalities


def test_a_network_whose_answers_move_uses_what_it_reads():
    found = modality_check(suite(one("no_audio", 0.2), one("no_visual", 0.2), *graded("white_noise", SKILLS)))
    assert found == Check("ok", [])


@pytest.mark.parametrize(("removed", "modality"), [("no_audio", "audio"), ("no_visual", "visual")])
def test_a_network_whose_answers_stay_when_a_modality_is_taken_away_ignores_it(removed, modality):
    found = modality_check(suite(one("no_audio", 0.2, moved=0.0 if removed == "no_audio" else 0.1),
                                 one("no_visual", 0.2, moved=0.0 if removed == "no_visual" else 0.1)))  # fmt: skip
    (line,) = found.found
    assert line.startswith(f"ignores {modality}: ")


def test_a_network_that_only_sees_whether_a_modality_is_there_ignores_it():
    found = modality_check(suite(one("no_audio", 0.2, moved=0.1), *graded("white_noise", SKILLS, moved=0.0)))
    assert found.verdict == "warning"
    assert found.found[0].startswith("ignores audio")


def test_answers_that_stay_under_a_little_noise_say_nothing():
    mild = graded("white_noise", SKILLS, moved=0.0)[:2]
    assert modality_check(suite(one("no_audio", 0.2, moved=0.1), *mild)).verdict == "ok"


def test_a_modality_that_is_not_read_is_not_asked_for():
    stays = one("no_audio", 0.2, moved=0.0)
    assert modality_check(suite(stays, reads=("visual",))) == Check("not checked", [])


# nothing


def nothing(answer: float, quality: float):
    cell = made_up(NOTHING_CELL, 0.0, quality=(quality, 0.0))
    return nothing_check(suite(with_arrays(cell, traits=np.full((8, 5), answer))))


def test_the_prior_with_quality_0_is_right():
    assert nothing(0.5, 0.0) == Check("ok", [])


def test_another_answer_than_the_prior_or_any_quality_is_named():
    assert nothing(0.51, 0.0).found == ["nothing_5: predicts up to 0.0100 away from the mean-label baseline"]
    assert nothing(0.5, 0.2).found == ["nothing_5: predicts a quality of up to 0.200"]


def test_without_the_cell_it_is_not_checked():
    assert nothing_check(suite(one("no_audio", 0.2))).verdict == "not checked"
