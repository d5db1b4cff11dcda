"""What happens to both streams, or to their time."""

from __future__ import annotations

from dataclasses import replace
from itertools import groupby

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.signal import correlate, correlation_lags, welch
from specimens import frame_distance, specimen

from msma.corruptions import stream
from msma.corruptions.corruption import corrupt, in_stretches
from msma.corruptions.table import CORRUPTIONS
from msma.media.clip import clip_from_arrays
from msma.types import SAMPLE_RATE, Clip, MsmaError

FPS = 4.0


def counted(pictures: int, seconds: float) -> Clip:
    """Every frame has a level of its own; the audio is white noise."""
    levels = np.linspace(0, 255, pictures).astype(np.uint8)
    frames = np.tile(levels[:, None, None, None], (1, 12, 16, 3))
    audio = np.random.default_rng(0).uniform(-0.5, 0.5, round(seconds * SAMPLE_RATE)).astype(np.float32)
    return clip_from_arrays(frames, audio, fps=FPS)


def held(frames: np.ndarray) -> list[int]:
    """How many frames in a row are the same, from the first on."""
    return [len(list(same)) for _, same in groupby(frame.tobytes() for frame in frames)]


@given(st.integers(0, 500), st.floats(0, 1), st.integers(1, 5), st.integers(0, 99))
def test_stretches_cover_their_share_and_are_not_too_many(count, share, most, seed):
    inside = in_stretches(np.random.default_rng(seed), count, share, most)
    starts = np.diff(np.r_[0, inside.astype(int)]) == 1
    assert inside.sum() == min(count, max(1, round(share * count)))
    assert starts.sum() <= most


def test_h264_runs_from_slightly_blocky_to_mush():
    one, row = specimen(0), CORRUPTIONS["h264"]
    errors = [frame_distance(one.clip, one.corrupted(row, severity)) for severity in row.severities]
    assert errors[0] < 0.02
    assert errors[-1] > 2.5 * errors[0]


@pytest.mark.parametrize("severity", [1, 3, 5])
def test_bandwidth_collapses_in_both_streams_at_the_same_time(severity):
    row = CORRUPTIONS["bandwidth_collapse"]
    noisy = np.random.default_rng(0).integers(0, 255, (60, 36, 48, 3), np.uint8)
    clip = replace(counted(60, 15.0), frames=noisy)
    after = corrupt(clip, row, severity)
    seen = (after.frames != clip.frames).any(axis=(1, 2, 3))
    heard = (after.waveform != clip.waveform).reshape(60, -1).mean(axis=1) > 0.5
    assert np.mean(after.waveform != clip.waveform) == pytest.approx(row.level(severity), abs=0.01)
    assert np.mean(seen != heard) < 0.06  # a frame is seen at one moment of its quarter of a second


def test_collapsed_audio_is_tinny_and_full_of_holes():
    clip = counted(60, 15.0)
    after = corrupt(clip, CORRUPTIONS["bandwidth_collapse"], 5)
    packets = after.waveform.reshape(-1, 320)
    hz, power = welch(after.waveform, SAMPLE_RATE, nperseg=512)
    assert power[hz > 4000].mean() < 0.02 * power[(hz > 800) & (hz < 1200)].mean()
    assert np.mean(~packets.any(axis=1)) == pytest.approx(stream.COLLAPSED_LOSS, abs=0.1)


def test_collapsed_frames_have_lost_their_detail():
    clip = specimen(0).clip
    after = corrupt(clip, CORRUPTIONS["bandwidth_collapse"], 5)
    detail = [np.mean([cv2.Laplacian(frame, cv2.CV_32F).var() for frame in one.frames]) for one in (clip, after)]
    assert detail[1] < 0.2 * detail[0]


@pytest.mark.parametrize("pictures", [1, 2, 8, 16, 60])
def test_frame_rate_drop_leaves_that_share_of_distinct_frames(pictures):
    row = CORRUPTIONS["frame_rate_drop"]
    clip = counted(pictures, 1.0)
    for severity in row.severities:
        frames = corrupt(clip, row, severity).frames
        assert len(held(frames)) == max(1, round(row.level(severity) * pictures))
        assert max(held(frames)) - min(held(frames)) <= 1
        assert np.all(np.diff(frames[:, 0, 0, 0].astype(int)) >= 0)


@pytest.mark.parametrize("seconds", [4.0, 15.0])
@pytest.mark.parametrize("severity", [1, 2, 3, 4, 5])
def test_freeze_stops_that_share_of_the_frames_the_longest_for_a_second_at_least(seconds, severity):
    pictures = round(seconds * FPS)
    row = CORRUPTIONS["freeze"]
    clip = counted(pictures, seconds)
    runs = held(corrupt(clip, row, severity).frames)
    assert pictures - len(runs) == round(row.level(severity) * (pictures - 1))
    assert (max(runs) - 1) / FPS >= 1.0


def test_what_is_shown_while_the_frame_stands_is_the_last_one_before():
    clip = counted(60, 15.0)
    shown = corrupt(clip, CORRUPTIONS["freeze"], 3).frames[:, 0, 0, 0]
    own = clip.frames[:, 0, 0, 0]
    assert np.all(np.where(shown == own, True, shown == np.r_[0, shown[:-1]]))


def test_a_single_frame_cannot_freeze():
    clip = counted(1, 4.0)
    assert np.array_equal(corrupt(clip, CORRUPTIONS["freeze"], 5).frames, clip.frames)


@pytest.mark.parametrize("severity", [1, 3, 5])
def test_camera_shake_moves_the_middle_by_up_to_that_share_of_the_height(severity):
    row = CORRUPTIONS["camera_shake"]
    frames = np.zeros((40, 200, 300, 3), np.uint8)
    frames[:, 97:103, 147:153] = 255
    clip = clip_from_arrays(frames, None, fps=FPS)
    rows, columns = np.indices((200, 300))
    weights = corrupt(clip, row, severity).frames[..., 0].astype(float)
    total = weights.sum(axis=(1, 2))
    moved = np.hypot(
        (weights * rows).sum(axis=(1, 2)) / total - 99.5, (weights * columns).sum(axis=(1, 2)) / total - 149.5
    )
    assert moved.max() == pytest.approx(row.level(severity) * 200, abs=1.5)


def test_camera_shake_is_smooth_in_time():
    times_s = np.arange(0, 10, 0.01)
    movement = stream.sway(times_s, np.random.default_rng(0))
    assert np.abs(np.diff(movement)).max() < 0.1 * np.ptp(movement)


def test_camera_shake_shows_no_black_edge():
    clip = clip_from_arrays(np.full((8, 48, 64, 3), 180, np.uint8), None, fps=FPS)
    assert np.all(corrupt(clip, CORRUPTIONS["camera_shake"], 5).frames == 180)


@pytest.mark.parametrize("severity", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("name", ["one.mp4", "other.mp4", "third.mp4"])
def test_desync_moves_the_audio_by_that_many_milliseconds(severity, name):
    row = CORRUPTIONS["desync"]
    clip = replace(counted(20, 5.0), name=name)
    after = corrupt(clip, row, severity)
    likeness = correlate(after.waveform, clip.waveform, method="fft")
    lag = int(correlation_lags(len(after.waveform), len(clip.waveform))[likeness.argmax()])
    assert abs(lag) * 1000 / SAMPLE_RATE == row.level(severity)
    vacated = after.waveform[:lag] if lag > 0 else after.waveform[lag:]
    assert not vacated.any()
    assert np.array_equal(after.frames, clip.frames)


def test_desync_goes_both_ways():
    clip = counted(4, 1.0)
    late = [
        not corrupt(replace(clip, name=f"{number}.mp4"), CORRUPTIONS["desync"], 1).waveform[0] for number in range(20)
    ]
    assert 4 < sum(late) < 16


def test_half_of_short_audio_is_left_whatever_the_shift():
    clip = counted(4, 1.0)
    after = corrupt(clip, CORRUPTIONS["desync"], 5)
    assert np.count_nonzero(after.waveform) == pytest.approx(len(clip.waveform) / 2, abs=2)


def level(value: float, samples: int) -> Clip:
    """Audio that is one constant."""
    return clip_from_arrays(None, np.full(samples, value, np.float32))


@pytest.mark.parametrize("severity", [1, 2, 3, 4, 5])
def test_the_other_person_is_heard_for_that_share_of_the_time(severity):
    row = CORRUPTIONS["wrong_person_audio"]
    after = corrupt(level(0.1, 40_000), row, severity, donor=level(-0.8, 40_000))
    assert np.mean(after.waveform < 0) == pytest.approx(row.level(severity), abs=1e-4)


def test_the_other_person_is_as_loud_as_this_one():
    after = corrupt(level(0.1, 40_000), CORRUPTIONS["wrong_person_audio"], 5, donor=level(-0.8, 40_000))
    assert after.waveform == pytest.approx(np.full(40_000, -0.1), abs=1e-6)


def test_a_donor_that_is_too_short_is_repeated():
    speech = np.random.default_rng(0).uniform(-0.2, 0.2, 1000).astype(np.float32)
    donor = clip_from_arrays(None, speech)
    after = corrupt(level(0.1, 2500), CORRUPTIONS["wrong_person_audio"], 5, donor=donor).waveform
    assert np.array_equal(after[1000:], after[:-1000])
    assert np.corrcoef(after[:1000], speech)[0, 1] == pytest.approx(1.0)


@pytest.mark.parametrize("samples", [0, 16_000])
def test_a_donor_that_cannot_be_heard_is_refused(samples):
    quiet = replace(level(0.0, 16_000), name="quiet.mp4", waveform=np.zeros(samples, np.float32))
    with pytest.raises(MsmaError, match=r"^quiet\.mp4: has no audio .* give a donor that speaks$"):
        corrupt(level(0.1, 16_000), CORRUPTIONS["wrong_person_audio"], 1, donor=quiet)
