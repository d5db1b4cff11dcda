"""Scenarios: which corruptions make them, at which severities, and how a clip goes through them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from planted import planted_window

from msma.config import ClipConfig
from msma.corruptions import scenarios
from msma.corruptions.corruption import corrupt
from msma.corruptions.scenarios import CLEAN, NOTHING, SIX, Cell, Step, corrupt_window, full, joint, read_suite, six
from msma.corruptions.table import CORRUPTIONS, HELD_OUT, JOINT, find_corruption
from msma.media.faces import WHOLE_FRAME
from msma.types import Clip, MsmaError, RawWindow

WINDOW = planted_window("a.mp4", np.full(5, 0.5), np.random.default_rng(0))


def suite(tmp_path, text: str):
    path = tmp_path / "suite.yaml"
    path.write_text(text)
    return read_suite(path)


# the six


def test_the_six_are_those_of_the_design():
    assert list(SIX) == [
        "visual_missing",
        "audio_missing",
        "visual_noise",
        "audio_noise",
        "visual_missing_audio_noise",
        "audio_missing_visual_noise",
    ]


def test_the_six_are_one_cell_each_at_severity_3_and_missing_is_all_or_nothing():
    found = {cell.scenario: (cell.severity, cell.steps) for cell in six()}
    assert found == {
        "visual_missing": (5, (Step("no_visual", 5),)),
        "audio_missing": (5, (Step("no_audio", 5),)),
        "visual_noise": (3, (Step("gaussian_noise", 3),)),
        "audio_noise": (3, (Step("white_noise", 3),)),
        "visual_missing_audio_noise": (3, (Step("no_visual", 5), Step("white_noise", 3))),
        "audio_missing_visual_noise": (3, (Step("no_audio", 5), Step("gaussian_noise", 3))),
    }


def test_with_several_severities_what_is_only_missing_is_still_one_cell():
    names = [cell.name for cell in six((1, 2, 3, 4, 5))]
    assert len(names) == len(set(names)) == 2 + 4 * 5
    assert names.count("audio_missing_5") == 1


def test_no_family_of_the_six_is_held_out_of_training():
    assert not any(cell.held_out for cell in six((1, 5)))


# the full suite


def test_the_full_suite_has_every_single_corruption_at_every_severity_and_nothing_at_all():
    cells = full()
    assert {(cell.scenario, cell.severity) for cell in cells} == {
        *((row.name, severity) for row in CORRUPTIONS.values() if row.name not in JOINT for severity in row.severities),
        ("nothing", 5),
    }
    assert len({cell.name for cell in cells}) == len(cells)
    for cell in cells[:-1]:
        assert cell.steps == (Step(cell.scenario, cell.severity),)
        assert (cell.family, cell.held_out) == (
            find_corruption(cell.scenario).family,
            find_corruption(cell.scenario).family in HELD_OUT,
        )
    assert cells[-1].removed == {"audio", "visual"}


def test_what_is_all_or_nothing_is_in_the_full_suite_at_any_severity():
    assert {cell.name for cell in full((2,))} >= {"white_noise_2", "no_audio_5", "nothing_5"}
    assert "white_noise_5" not in {cell.name for cell in full((2,))}


# joint causes


def test_the_joint_suite_has_every_cause_at_every_severity_and_holds_all_out_of_training():
    cells = joint()
    assert [cell.name for cell in cells] == [f"{name}_{severity}" for name in JOINT for severity in (1, 2, 3, 4, 5)]
    assert all(cell.held_out and cell.steps == (Step(cell.scenario, cell.severity),) for cell in cells)


# a user's own


def test_a_users_suite_fixes_severities_or_takes_those_that_are_asked_for(tmp_path):
    cells = suite(
        tmp_path,
        """
        - name: phone_call
          corruptions: [no_visual, {white_noise: 2}]
        - name: both
          corruptions: [gaussian_noise, {white_noise: 1}]
          severities: [5, 1]
        """,
    )
    assert [(cell.name, cell.family, cell.steps) for cell in cells] == [
        ("phone_call_5", "missing + noise", (Step("no_visual", 5), Step("white_noise", 2))),
        ("both_1", "sensor noise + noise", (Step("gaussian_noise", 1), Step("white_noise", 1))),
        ("both_5", "sensor noise + noise", (Step("gaussian_noise", 5), Step("white_noise", 1))),
    ]


def test_severities_of_the_command_are_for_scenarios_that_name_none(tmp_path):
    (tmp_path / "suite.yaml").write_text("- {name: hiss, corruptions: [white_noise]}")
    assert [cell.severity for cell in read_suite(tmp_path / "suite.yaml", (2, 4))] == [2, 4]
    assert [cell.severity for cell in read_suite(tmp_path / "suite.yaml")] == [1, 2, 3, 4, 5]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("name: a", "a suite is a list of scenarios"),
        ("[", "cannot be read as YAML"),
        ("[]", "scenarios"),
        ("- {name: a}", "a: corruptions"),
        ("- {name: a, corruptions: []}", "a: corruptions"),
        ("- {name: a, corruptions: [hiss]}", "hiss: no such corruption"),
        ("- {name: a, corruptions: [{white_noise: 6}]}", "a: corruptions.0"),
        ("- {name: a, corruptions: [{white_noise: true}]}", "a: corruptions.0"),
        ("- {name: a, corruptions: [[white_noise]]}", "write a name"),
        ("- {name: a, corruptions: [{no_audio: 3}]}", "a: no_audio: has no severity 3"),
        ("- {name: a, corruptions: [white_noise], severities: [0]}", "a: severities.0"),
        ("- {name: ../a, corruptions: [white_noise]}", "../a: name"),
        ("- {name: clean, corruptions: [white_noise]}", "choose another name"),
        ("- {name: a, corruptions: [white_noise], level: 3}", "a: level"),
        ("- {name: a, corruptions: [white_noise], corruptions: [music]}", "corruptions is duplicated"),
        ("- {name: a, corruptions: white_noise}", "a: corruptions: write a list, as [white_noise]"),
        ("- {name: a, corruptions: [white_noise]}\n-", "a suite is a list of scenarios"),
        ("- &a {name: a, corruptions: [white_noise]}\n- *a", "a is duplicated"),
    ],
)
def test_a_suite_that_does_not_fit_is_one_line_that_names_file_and_key(tmp_path, text, said):
    with pytest.raises(MsmaError) as caught:
        suite(tmp_path, text)
    assert str(caught.value).startswith(f"{tmp_path / 'suite.yaml'}: ")
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_suite_that_is_not_there_is_one_line(tmp_path):
    with pytest.raises(MsmaError, match="cannot be read as YAML"):
        read_suite(tmp_path / "none.yaml")


# a clip


def test_the_clean_cell_gives_the_very_clip():
    assert corrupted(CLEAN) is WINDOW.clip


def test_the_corruptions_of_a_cell_are_applied_each_as_if_alone():
    (cell,) = [cell for cell in six() if cell.scenario == "audio_missing_visual_noise"]
    found = corrupted(cell)
    assert len(found.waveform) == 0
    expected = corrupt(WINDOW.clip, find_corruption("gaussian_noise"), 3)
    np.testing.assert_array_equal(found.frames, expected.frames)


def test_nothing_leaves_neither_audio_nor_frames():
    (cell,) = scenarios.scenario_cells(NOTHING, (1, 2))
    found = corrupted(cell)
    assert (len(found.waveform), len(found.frames), len(found.frame_times_s)) == (0, 0, 0)


def test_the_face_is_detected_again_after_frames_changed_and_stays_where_it_was_if_it_is_lost(monkeypatch):
    moved = replace(WINDOW.face, boxes=WINDOW.face.boxes + 1, detector="another")
    lost = replace(moved, detector=WHOLE_FRAME)
    given = []

    def recorded(clip, corruption, severity, *, face=None, donor=None):
        given.append(face)
        return replace(clip, frames=clip.frames.copy()) if corruption.acts_on == "frames" else replace(clip)

    monkeypatch.setattr(scenarios, "corrupt", recorded)
    steps = tuple(Step(name, 3) for name in ("white_noise", "face_mask", "face_mask"))
    for detected, expected in ((moved, moved), (lost, WINDOW.face)):
        monkeypatch.setattr(scenarios, "track_face", lambda *_, detected=detected: detected)
        corrupted(replace(CLEAN, steps=steps))
        assert given[1:] == [WINDOW.face, expected]
        given.clear()


def corrupted(cell: Cell) -> Clip:
    return corrupt_window(RawWindow(WINDOW.clip, WINDOW.face), cell, ClipConfig(), None).clip
