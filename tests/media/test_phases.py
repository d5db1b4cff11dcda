"""Which frames of a window are kept and read: the middles are the same however many are kept beside them."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from msma.config import ClipConfig, Limits
from msma.media.clip import load_windows
from msma.media.faces import Detector
from msma.media.phases import at_phase, begun_later, frame_of_each_step, held_window, sample_times
from msma.media.prepare import prepare, raw_windows
from msma.types import SAMPLE_RATE

CONFIG = ClipConfig(fps=2.0, window_s=2.0)
LEFT_HALF = Detector("left", lambda p: np.array([[0, 0, p.shape[1] / 2, p.shape[0], 0.9]], np.float32))


def raw(path, phases: int, config: ClipConfig = CONFIG):
    return list(raw_windows(path, config, Limits(), LEFT_HALF, phases))


@given(phases=st.integers(1, 6), fps=st.sampled_from([1.0, 2.0, 4.0, 5.0, 12.5]))
def test_a_step_has_as_many_moments_as_asked_for_and_one_is_its_middle(phases, fps):
    moments = list(itertools.islice(sample_times(ClipConfig(fps=fps), phases), 8 * phases))
    assert [m.time_s for m in moments if m.middle] == pytest.approx([(step + 0.5) / fps for step in range(8)])
    assert np.diff([m.time_s for m in moments]) == pytest.approx(1 / fps / phases)
    assert moments[0].time_s >= 0


@pytest.mark.parametrize("seconds", [0.04, 0.3, 4.1, 5.0])
@pytest.mark.parametrize("fps", [1, 3, 12])
@pytest.mark.parametrize("audio_seconds", [None, 5.3])
def test_what_is_read_does_not_depend_on_what_else_is_kept(make_media, seconds, fps, audio_seconds):
    path = make_media(seconds=seconds, fps=fps, audio_seconds=audio_seconds)
    one, more = raw(path, 1), raw(path, 3)
    assert len(one) == len(more)
    for plain, held in zip(one, more, strict=True):
        first, second = prepare(plain, CONFIG), prepare(held, CONFIG)
        assert all(np.array_equal(a, getattr(second.inputs, name)) for name, a in vars(first.inputs).items())
        assert (first.reasons, first.used, first.end_s) == (second.reasons, second.used, second.end_s)


def test_where_the_source_has_the_frames_all_are_kept_and_else_each_once(make_media):
    (quick,) = raw(make_media(seconds=2.0, fps=24), 3)
    assert len(quick.clip.frames) == 12
    assert quick.middle is not None
    assert quick.middle.sum() == 4
    (slow,) = raw(make_media("slow.mp4", seconds=2.0, fps=2), 3)
    assert len(slow.clip.frames) == 4
    assert slow.middle is None


def test_in_frames_that_are_kept_beside_the_middles_the_face_is_the_same_person(make_media):
    (clip,) = load_windows(make_media(seconds=2.0, fps=24), CONFIG, phases=2)
    near, far = [0.0, 0.0, 20.0, 20.0, 0.9], [clip.frames.shape[2] - 20.0, 0.0, 20.0, 20.0, 0.95]
    calls = itertools.count()

    def some(_: np.ndarray) -> np.ndarray:
        """In middles, which come first, the face on the left; then both; in the last one only the other."""
        call = next(calls)
        return np.array([near] if call < 4 else [far, near] if call < 7 else [far], np.float32)

    window = held_window(clip, CONFIG, Detector("some", some))
    assert window.face.boxes.tolist() == [near[:4]] * 8
    assert window.face.valid.tolist() == [True] * 6 + [False, True]  # the last that was looked at is the seventh


@given(
    count=st.integers(1, 40),
    kept_a_second=st.sampled_from([1.0, 4.0, 8.0, 10.0]),
    shift_s=st.floats(0, 0.5),
    random=st.booleans(),
)
@settings(deadline=None)
def test_each_step_that_has_frames_gets_one_of_its_own(count, kept_a_second, shift_s, random):
    times_s = np.arange(count) / kept_a_second
    rng = np.random.default_rng(0) if random else None
    places = frame_of_each_step(times_s, 4.0, shift_s, rng)
    steps = np.floor((times_s - shift_s) * 4.0 + 1e-6)
    wanted = sorted({step for step in steps if step >= 0})
    assert steps[places].tolist() == wanted or (not wanted and places.tolist() == [count - 1])


def test_a_random_frame_is_any_of_its_step_and_without_chance_it_is_the_nearest_to_the_middle():
    times_s = np.arange(16) / 16
    rng = np.random.default_rng(0)
    drawn = np.stack([frame_of_each_step(times_s, 4.0, 0.0, rng) for _ in range(200)])
    assert [set(column) for column in drawn.T] == [set(range(first, first + 4)) for first in (0, 4, 8, 12)]
    assert frame_of_each_step(times_s, 4.0).tolist() == [2, 6, 10, 14]


def test_a_window_that_begins_later_loses_its_start_in_both_streams(make_media):
    (window,) = raw(make_media(seconds=2.0, fps=24), 2)
    later = at_phase(window, CONFIG, 0.5)
    assert later.clip.start_s == 0.25
    assert np.array_equal(later.clip.waveform, window.clip.waveform[SAMPLE_RATE // 4 :])
    assert (later.clip.frame_times_s - later.clip.start_s).tolist() == pytest.approx([0.25, 0.75, 1.25, 1.5])
    assert prepare(later, CONFIG).inputs.frame_mask.tolist() == [True] * 4


def test_a_clip_of_a_moment_keeps_something_of_both_streams(make_media):
    (window,) = raw(make_media(seconds=0.04, fps=25, audio_seconds=0.1), 2)
    later = at_phase(window, CONFIG, 0.99)
    assert len(later.clip.frames) == 1
    assert len(later.clip.waveform) > 0
    assert prepare(later, CONFIG).inputs.present.tolist() == [True, True]


def test_the_only_frame_of_a_window_is_its_first_where_the_grid_begins_behind_it(make_media):
    (window,) = raw(make_media(seconds=0.04, fps=25, audio_seconds=2.0), 2)
    later = begun_later(window, 0.4)
    assert later.clip.frame_times_s.tolist() == [0.4]
    assert prepare(later, CONFIG).inputs.frame_mask.tolist() == [True]
