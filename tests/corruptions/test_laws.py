"""What holds for every row of the table of corruptions, and that a row that breaks it is found out."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import specimens
from specimens import COUNT, all_digests, audio_lag_s, digest, distance, renamed, specimen

from msma.corruptions.corruption import SAMPLES, SEVERITIES, WORST, Corruption, corrupt, same_audio, same_frames
from msma.corruptions.table import CORRUPTIONS
from msma.types import SAMPLE_RATE, Clip

SHORTENS = {"audio_truncation"}
"""Corruptions of one stream that leave less of it; those of whole clips may all do so."""
PLAINLY_MORE = 1.02
"""The smallest ratio between the distances of two severities; chance alone does not bring it about."""

every_row = pytest.mark.parametrize("row", CORRUPTIONS.values(), ids=lambda row: row.name)
every_graded_row = pytest.mark.parametrize(
    "row", [row for row in CORRUPTIONS.values() if row.severities == SEVERITIES], ids=lambda row: row.name
)


def mildest_and_worst(row: Corruption) -> tuple[int, ...]:
    """The severities between which the others lie."""
    return tuple(sorted({row.severities[0], row.severities[-1]}))


def mean_distances(row: Corruption) -> list[float]:
    """From the clean clip, at severity 0 and at every one that the corruption has."""
    people = [specimen(index) for index in range(COUNT)]
    return [
        float(np.mean([distance(one.clip, one.corrupted(row, severity)) for one in people]))
        for severity in (0, *row.severities)
    ]


def check_distortion_rises(row: Corruption) -> None:
    distances = mean_distances(row)
    rises = all(more > PLAINLY_MORE * less for less, more in itertools.pairwise(distances))
    assert rises, f"{row.name} does not rise: {distances}"


def check_audio_and_frames(row: Corruption, before: Clip, after: Clip) -> None:
    """Types, ranges and shapes; less of a stream only where that is what the corruption is."""
    may_shorten = row.acts_on == "clip" or row.name in SHORTENS
    assert after.waveform.dtype == np.float32
    assert after.frames.dtype == np.uint8
    assert after.frame_times_s.dtype == np.float64
    assert np.all(np.abs(after.waveform) <= 1), "out of range, or not a number"
    assert after.frames.shape[1:] == before.frames.shape[1:]
    assert len(after.frames) == len(after.frame_times_s)
    assert np.all(np.diff(after.frame_times_s) > 0)
    assert (after.name, after.start_s) == (before.name, before.start_s)
    for ours, theirs in ((after.waveform, before.waveform), (after.frames, before.frames)):
        assert len(ours) <= len(theirs) if may_shorten else len(ours) == len(theirs)


@every_row
def test_severity_0_is_the_very_same_clip(row):
    assert specimen(0).corrupted(row, 0) is specimen(0).clip


@every_row
def test_levels_go_one_way(row):
    steps = np.diff(row.levels)
    assert len(row.levels) in (1, len(SEVERITIES))
    assert np.all(steps > 0) or np.all(steps < 0)


@every_row
def test_shape_type_and_range_are_kept_and_the_clip_is_untouched(row):
    one = specimen(0)
    before = digest(one.clip)
    for severity in row.severities:
        check_audio_and_frames(row, one.clip, one.corrupted(row, severity))
    assert digest(one.clip) == before


@every_graded_row
def test_distortion_rises_with_severity(row):
    check_distortion_rises(row)


@every_row
def test_the_worst_severity_does_something(row):
    assert distance(specimen(0).clip, specimen(0).corrupted(row, WORST)) > 0


@every_row
def test_what_is_random_differs_from_clip_to_clip_and_nothing_else_does(row):
    one, rng, fresh = specimen(0), np.random.default_rng(0), np.random.default_rng(0)
    corrupt(one.clip, row, WORST, rng, face=one.face, donor=one.donor)
    is_random = rng.bit_generator.state != fresh.bit_generator.state
    names = [f"{number}.mp4" for number in range(4)]
    found = {digest(corrupt(renamed(one.clip, name), row, WORST, face=one.face, donor=one.donor)) for name in names}
    assert (len(found) > 1) == is_random


@every_row
@pytest.mark.parametrize("samples", [0, 1, 7, 400])
def test_a_single_frame_and_hardly_any_audio_are_enough(row, samples):
    one = specimen(0)
    few = replace(
        one.clip,
        frames=one.clip.frames[:1],
        frame_times_s=one.clip.frame_times_s[:1],
        waveform=one.clip.waveform[5000 : 5000 + samples],
        end_s=one.clip.start_s + 0.25,
    )
    face = replace(one.face, boxes=one.face.boxes[:1], valid=one.face.valid[:1])
    for severity in mildest_and_worst(row):
        check_audio_and_frames(row, few, corrupt(few, row, severity, face=face, donor=one.donor))


@every_row
def test_digital_silence_without_frames_is_no_trouble(row):
    one = specimen(0)
    nothing = replace(
        one.clip,
        frames=one.clip.frames[:0],
        frame_times_s=one.clip.frame_times_s[:0],
        waveform=np.zeros_like(one.clip.waveform),
    )
    face = replace(one.face, boxes=one.face.boxes[:0], valid=one.face.valid[:0])
    for severity in mildest_and_worst(row):
        check_audio_and_frames(row, nothing, corrupt(nothing, row, severity, face=face, donor=one.donor))


def poor_clip(kind: str) -> Clip:
    """The first specimen with little in it that could be changed."""
    clip = specimen(0).clip
    frames = {"of one frame": clip.frames[:1], "still": np.repeat(clip.frames[:1], len(clip.frames), axis=0)}
    frames |= {"black": np.zeros_like(clip.frames), "without frames": clip.frames[:0]}
    waveform = {"silent": np.zeros_like(clip.waveform), "without audio": clip.waveform[:0], "short": clip.waveform[:99]}
    seen = frames.get(kind, clip.frames)
    return replace(
        clip, frames=seen, frame_times_s=clip.frame_times_s[: len(seen)], waveform=waveform.get(kind, clip.waveform)
    )


@every_row
@pytest.mark.parametrize(
    "kind", ["of one frame", "still", "black", "without frames", "silent", "without audio", "short"]
)
def test_only_a_modality_with_another_sample_is_changed(row, kind):
    one, clip = specimen(0), poor_clip(kind)
    face = replace(one.face, boxes=one.face.boxes[: len(clip.frames)], valid=one.face.valid[: len(clip.frames)])
    for severity in mildest_and_worst(row):
        after = corrupt(clip, row, severity, face=face, donor=one.donor)
        equal = {name: np.array_equal(getattr(clip, name), getattr(after, name)) for name in SAMPLES}
        assert same_audio(clip, after) == equal["waveform"]
        assert same_frames(clip, after) == (equal["frames"] and equal["frame_times_s"])
        assert (after is clip) == (all(equal.values()) and after.reasons == clip.reasons)


@pytest.mark.slow
def test_another_process_makes_the_same_bytes():
    ran = subprocess.run(
        [sys.executable, str(Path(specimens.__file__))],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path), "PYTHONHASHSEED": "1"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert ran.returncode == 0, ran.stderr
    assert json.loads(ran.stdout) == all_digests()


@pytest.mark.parametrize("shift_s", [0.05, 0.4, -0.25])
def test_the_distance_sees_audio_that_is_late_or_early(shift_s):
    clean = specimen(0).clip
    late = replace(clean, waveform=np.roll(clean.waveform, round(shift_s * SAMPLE_RATE)))
    assert audio_lag_s(clean, late) == pytest.approx(abs(shift_s), abs=1e-3)
    assert distance(clean, late) > abs(shift_s)


def test_the_distance_sees_how_late_and_for_how_long_a_frame_is_shown():
    clean = specimen(0).clip
    late = [replace(clean, frame_times_s=clean.frame_times_s + delay_s) for delay_s in (0.05, 0.1, 0.4)]
    frozen = [replace(clean, frames=clean.frames[:kept], frame_times_s=clean.frame_times_s[:kept]) for kept in (10, 6)]
    for worse in (late, frozen):
        distances = [distance(clean, other) for other in (clean, *worse)]
        assert distances[0] == 0
        assert np.all(np.diff(distances) > 0.01)


@pytest.mark.parametrize("name", ["white_noise", "gaussian_noise"])
def test_a_corruption_that_ignores_its_severity_is_found_out(name):
    row = CORRUPTIONS[name]
    stuck = replace(row, apply=lambda part, rng, _: row.apply(part, rng, row.level(3)))
    with pytest.raises(AssertionError, match="does not rise"):
        check_distortion_rises(stuck)


@pytest.mark.parametrize("name", ["white_noise", "gaussian_noise"])
def test_a_corruption_whose_severities_are_inverted_is_found_out(name):
    row = CORRUPTIONS[name]
    with pytest.raises(AssertionError, match="does not rise"):
        check_distortion_rises(replace(row, levels=row.levels[::-1]))


def test_a_corruption_that_changes_its_input_in_place_is_found_out():
    def in_place(waveform: np.ndarray, rng: np.random.Generator, level: float) -> np.ndarray:
        waveform *= level
        return waveform

    with pytest.raises(ValueError, match="read-only"):
        specimen(0).corrupted(replace(CORRUPTIONS["white_noise"], apply=in_place), 1)
