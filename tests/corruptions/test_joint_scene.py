"""Causes about the speaker strike both streams, each as much as its level says, and at the same moments."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.signal import welch
from specimens import specimen

from msma.corruptions import scene
from msma.corruptions.corruption import corrupt
from msma.corruptions.table import CORRUPTIONS
from msma.media.clip import clip_from_arrays
from msma.types import SAMPLE_RATE, Clip, MsmaError

FPS = 25.0
every_severity = pytest.mark.parametrize("severity", [1, 3, 5])


def dotted(seconds: float = 6.0) -> Clip:
    """A white dot in the middle of black frames, and faint white noise."""
    frames = np.zeros((round(FPS * seconds), 60, 80, 3), np.uint8)
    frames[:, 27:33, 37:43] = 255
    audio = 0.01 * np.random.default_rng(0).standard_normal(round(seconds * SAMPLE_RATE))
    return clip_from_arrays(frames, audio.astype(np.float32), fps=FPS)


def moved_px(frames: np.ndarray) -> np.ndarray:
    """How far the dot is from where it was, in each frame."""
    weights = frames[..., 0].astype(float)
    rows, columns = np.indices(weights.shape[1:])
    total = np.maximum(weights.sum(axis=(1, 2)), 1e-9)
    return np.hypot((weights * rows).sum((1, 2)) / total - 29.5, (weights * columns).sum((1, 2)) / total - 39.5)


def added(before: Clip, after: Clip) -> np.ndarray:
    return after.waveform.astype(np.float64) - before.waveform


def snr_db(before: Clip, after: Clip) -> float:
    return 10 * np.log10(np.mean(np.square(before.waveform)) / np.mean(np.square(added(before, after))))


def faint(clip: Clip) -> Clip:
    """So quiet that noise need not turn it down."""
    return replace(clip, waveform=0.02 * clip.waveform)


@pytest.mark.parametrize(
    ("name", "expected_db"),
    [
        ("crowd", (14.0, 9.1, 4.4, 0.0, -4.1)),
        ("wind", (20.0, 10.3, 0.9, -6.1, -13.8)),
        ("dark_room", (17.0, 11.0, 4.6, -1.4, -9.0)),
        ("handheld", (20.0, 11.0, 1.9, -5.4, -11.2)),
    ],
)
def test_the_level_of_what_is_seen_sets_the_ratio_of_voice_and_noise(name, expected_db):
    one = specimen(0)
    clip = faint(one.clip)
    found = [snr_db(clip, corrupt(clip, CORRUPTIONS[name], s, face=one.face, donor=one.donor)) for s in range(1, 6)]
    assert found == pytest.approx(expected_db, abs=0.1)


def test_small_bystanders_stand_on_both_sides_behind_the_speaker():
    one = specimen(0)
    after = one.corrupted(CORRUPTIONS["crowd"], 3).frames
    change = np.abs(after.astype(int) - one.clip.frames).max(axis=3)
    left, top, wide, high = np.median(one.face.boxes, axis=0).astype(int)
    assert change[:, top + high // 3 : top + high // 2, left + wide // 3 : left + 2 * wide // 3].max() <= 1
    assert change[:, :, : left // 2].max() > 50
    assert change[:, :, (left + wide + change.shape[2]) // 2 :].max() > 50


def test_a_crowd_needs_a_donor_that_speaks():
    one = specimen(0)
    silent = replace(one.donor, name="mute.mp4", waveform=np.zeros_like(one.donor.waveform))
    with pytest.raises(MsmaError, match=r"^mute\.mp4: has no audio"):
        corrupt(one.clip, CORRUPTIONS["crowd"], 1, face=one.face, donor=silent)


def test_wind_rumbles():
    clip = dotted()
    hz, power = welch(added(clip, corrupt(clip, CORRUPTIONS["wind"], 5)), SAMPLE_RATE, nperseg=2048)
    assert power[hz < 500].sum() > 0.95 * power.sum()


@every_severity
def test_wind_moves_the_camera_by_the_square_of_its_speed(severity):
    row = CORRUPTIONS["wind"]
    moved = moved_px(corrupt(dotted(), row, severity).frames).max() / 60
    assert moved == pytest.approx(scene.WIND_SHARE * (row.level(severity) / scene.STORM_M_S) ** 2, abs=0.02)


def test_gusts_are_loudest_while_the_camera_is_pushed_farthest():
    clip = dotted(12.0)
    after = corrupt(clip, CORRUPTIONS["wind"], 4)
    loud = np.sqrt(np.square(added(clip, after)).reshape(len(clip.frames), -1).mean(axis=1))
    smooth = np.ones(12) / 12
    loud, far = (np.convolve(values, smooth, "valid") for values in (loud, moved_px(after.frames)))
    assert np.corrcoef(loud, far)[0, 1] > 0.7


def test_a_dark_room_leaves_its_share_of_the_light():
    grey = clip_from_arrays(np.full((2, 40, 40, 3), 200, np.uint8), None, fps=4.0)
    row = CORRUPTIONS["dark_room"]
    left = [np.mean((corrupt(grey, row, s).frames / 255) ** 2.2) / (200 / 255) ** 2.2 for s in (1, 3)]
    assert left == pytest.approx([row.level(1), row.level(3)], rel=0.05)


@pytest.mark.parametrize("name", ["one.mp4", "other.mp4", "third.mp4"])
def test_a_jolt_is_seen_and_heard_from_the_same_moment_on(monkeypatch, name):
    monkeypatch.setattr(scene, "DRIFT", 0.0)
    clip = replace(dotted(), name=name)
    after = corrupt(clip, CORRUPTIONS["handheld"], 5)
    heard_s = np.flatnonzero(added(clip, after))[0] / SAMPLE_RATE
    seen_s = clip.frame_times_s[np.flatnonzero((after.frames != clip.frames).any(axis=(1, 2, 3)))[0]]
    assert -scene.STEP_S <= seen_s - heard_s <= 1 / FPS + scene.STEP_S


@every_severity
def test_jolts_move_the_frame_by_up_to_that_share_of_its_height(severity):
    row = CORRUPTIONS["handheld"]
    moved = moved_px(corrupt(dotted(), row, severity).frames).max() / 60
    assert moved == pytest.approx(row.level(severity), abs=0.04)
