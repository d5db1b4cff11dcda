"""Causes on the way to the viewer strike both streams, each as much as its level says, and at the same moments."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.signal import welch

from msma.corruptions import channel
from msma.corruptions.corruption import corrupt
from msma.corruptions.table import CORRUPTIONS
from msma.media.clip import clip_from_arrays
from msma.types import SAMPLE_RATE, Clip

FPS, SECONDS = 25.0, 4.0
every_severity = pytest.mark.parametrize("severity", [1, 3, 5])


def busy(height: int = 36, width: int = 48) -> Clip:
    """Each frame is grey, and brighter than the one before; the audio is white noise."""
    levels = np.linspace(20, 235, round(FPS * SECONDS)).astype(np.uint8)
    frames = np.tile(levels[:, None, None, None], (1, height, width, 3))
    audio = 0.1 * np.random.default_rng(0).standard_normal(round(SECONDS * SAMPLE_RATE))
    return clip_from_arrays(frames, audio.astype(np.float32), fps=FPS)


def highest_hz(waveform: np.ndarray) -> float:
    """Below it are 95 % of the power."""
    hz, power = welch(waveform, SAMPLE_RATE, nperseg=1024)
    return float(hz[np.searchsorted(np.cumsum(power) / power.sum(), 0.95)])


@pytest.mark.parametrize("severity", [1, 2, 3, 4])
def test_from_farther_away_everything_is_smaller_by_as_much(severity):
    row = CORRUPTIONS["far_away"]
    frames = np.zeros((1, 120, 160, 3), np.uint8)
    frames[:, 40:80, 60:100] = 255
    after = corrupt(clip_from_arrays(frames, None, fps=4.0), row, severity).frames
    assert after.sum() / frames.sum() == pytest.approx(row.level(severity) ** -2, rel=0.2)


def test_from_farther_away_the_voice_is_fainter_and_the_room_is_not():
    clip, row = busy(), CORRUPTIONS["far_away"]
    levels = [np.std(corrupt(clip, row, s).waveform) / np.std(clip.waveform) for s in (1, 5)]
    assert levels == pytest.approx([0.938, 0.565], rel=0.03)


def test_of_the_room_there_is_more_the_farther_one_is_away():
    """After a click: what comes later than the click itself, beside it."""
    click = np.zeros(SAMPLE_RATE, np.float32)
    click[SAMPLE_RATE // 4] = 0.5
    clip, row = clip_from_arrays(None, click, fps=4.0), CORRUPTIONS["far_away"]
    shares_db = []
    for severity in (1, 3, 5):
        energy = np.square(corrupt(clip, row, severity).waveform.astype(np.float64))
        direct = energy[SAMPLE_RATE // 4]
        shares_db.append(10 * np.log10((energy[SAMPLE_RATE // 4 :].sum() - direct) / direct))
    assert shares_db == pytest.approx([-10.3, 0.0, 14.5], abs=1.5)


@every_severity
def test_the_frame_stands_still_while_nothing_is_heard(severity):
    after = corrupt(busy(), CORRUPTIONS["bad_connection"], severity)
    stands = np.r_[False, (after.frames[1:] == after.frames[:-1]).all(axis=(1, 2, 3))]
    silent = ~after.waveform.reshape(len(stands), -1).any(axis=1)
    assert silent.any()
    assert stands[silent].all()
    assert np.mean(stands) - np.mean(silent) < 0.08  # silence fades in and out, and begins between frames


@every_severity
def test_outages_take_their_share_of_the_time(severity):
    row = CORRUPTIONS["bad_connection"]
    silent = np.mean(corrupt(busy(), row, severity).waveform == 0)
    assert silent == pytest.approx(row.level(severity), abs=0.01)


@every_severity
def test_a_recorded_call_is_a_window_of_its_share_on_the_screen(severity):
    row = CORRUPTIONS["recorded_call"]
    frames = np.full((2, 180, 240, 3), (0, 255, 0), np.uint8)
    after = corrupt(clip_from_arrays(frames, None, fps=4.0), row, severity).frames[0].astype(int)
    green = (after[..., 1] > 200) & (after[..., 0] < 60) & (after[..., 2] < 60)
    share = row.level(severity)
    assert green.mean() == pytest.approx(share * min(share, 1 - channel.BAR_SHARE), rel=0.1)
    assert np.abs(after[0, -1] - channel.WINDOW).max() <= 2


@every_severity
def test_a_small_window_has_few_new_frames_and_little_treble(severity):
    row, clip = CORRUPTIONS["recorded_call"], busy()
    after = corrupt(clip, row, severity)
    new = 1 + (after.frames[1:] != after.frames[:-1]).any(axis=(1, 2, 3)).sum()
    assert new == pytest.approx(row.level(severity) * len(clip.frames), abs=2)
    assert highest_hz(after.waveform) < 1.2 * channel.CALL_HZ * row.level(severity)


def test_a_screen_seen_from_beside_is_narrower_higher_on_one_side_and_in_a_room():
    row = CORRUPTIONS["rerecorded"]
    white = clip_from_arrays(np.full((1, 90, 160, 3), 255, np.uint8), None, fps=4.0)
    screens = [corrupt(white, row, severity).frames[0].mean(axis=2) > 60 for severity in (1, 4)]
    wide = [screen.any(axis=0).mean() for screen in screens]
    assert wide[0] > 0.85
    assert wide[1] < 0.75
    high = screens[1].sum(axis=0)[screens[1].any(axis=0)]
    assert max(high[4], high[-5]) > 1.2 * min(high[4], high[-5])
    np.testing.assert_array_equal(corrupt(white, row, 4).frames[0, 0, 0], channel.ROOM)


def test_a_screen_flickers_from_frame_to_frame_and_shows_fringes_that_stand():
    grey = clip_from_arrays(np.full((8, 90, 160, 3), 150, np.uint8), None, fps=4.0)
    after = corrupt(grey, CORRUPTIONS["rerecorded"], 3).frames[:, 35:55, 60:100].astype(float)
    assert np.ptp(after.mean(axis=(1, 2, 3))) > 3
    assert after.mean(axis=0).std(axis=1).mean() > 3


def test_a_loudspeaker_heard_from_beside_lacks_treble():
    row, clip = CORRUPTIONS["rerecorded"], busy()
    found = [highest_hz(corrupt(clip, row, severity).waveform) for severity in (1, 3, 5)]
    assert found[0] > found[1] > 2 * found[2]
