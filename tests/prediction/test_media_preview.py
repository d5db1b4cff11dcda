"""The preview of a video: what the network saw and heard, and never more of it for longer videos."""

from __future__ import annotations

import base64
import math
from dataclasses import replace

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import msma
from msma.config import ClipConfig
from msma.media.prepare import prepare
from msma.prediction.media_preview import FACE_SIDE, FINEST_STEP, MAX_FACES, MAX_STEPS, PreviewBuilder
from msma.types import SAMPLE_RATE, Clip, FaceTrack, MediaInfo, MediaPreview, PreparedWindow, RawWindow

FPS = 2.0
CONFIG = ClipConfig(crop_size=16, fps=FPS, mels=16)


def window(
    start_s: float, seconds: float, loudness: float = 0.5, level: int = 100, valid: bool = True
) -> PreparedWindow:
    """Grey pictures and a tone."""
    count = round(seconds * FPS)
    times = start_s + (np.arange(count) + 0.5) / FPS
    wave = loudness * np.sin(2 * np.pi * 440 * np.arange(round(seconds * SAMPLE_RATE)) / SAMPLE_RATE)
    frames = np.full((count, 24, 24, 3), level, np.uint8)
    clip = Clip("c", frames, times, wave.astype(np.float32), start_s, start_s + seconds, MediaInfo("made up"))
    face = FaceTrack(np.tile(np.array([4, 4, 16, 16], np.float32), (count, 1)), np.full(count, valid), "known")
    return prepare(RawWindow(clip, face), CONFIG)


FOUR_SECONDS = window(0.0, 4.0)


def kept(*windows: PreparedWindow) -> MediaPreview:
    builder = PreviewBuilder(FPS)
    for one in windows:
        builder.add(one)
    return builder.preview()


def picture(jpeg: str) -> np.ndarray:
    decoded = cv2.imdecode(np.frombuffer(base64.b64decode(jpeg), np.uint8), cv2.IMREAD_COLOR)
    assert decoded is not None
    return decoded


@settings(max_examples=20, deadline=None)
@given(count=st.integers(1, 40))
def test_however_long_a_video_is_no_more_is_kept_and_it_is_spread_over_all_of_it(count):
    found = kept(*(replace(FOUR_SECONDS, start_s=4.0 * place, end_s=4.0 * (place + 1)) for place in range(count)))
    times = [face.time_s for face in found.faces]
    assert len(times) == min(MAX_FACES, count * 8)
    assert times == sorted(times)
    gaps = np.diff(times)
    assert gaps.max() <= 2.5 * gaps.min() or count == 1
    assert times[0] < 0.15 * 4 * count + 0.5
    assert times[-1] > 0.75 * 4 * count
    assert MAX_STEPS / 2 <= len(found.low) <= MAX_STEPS
    assert found.end_s == pytest.approx(4.0 * count, rel=0.02)


def test_the_outline_is_that_of_the_sound_at_its_time():
    found = kept(window(0.0, 2.0, 0.8), window(2.0, 2.0, 0.2))
    steps = len(found.low)
    assert found.high[steps // 4] == pytest.approx(0.8, abs=0.01)
    assert found.low[3 * steps // 4] == pytest.approx(-0.2, abs=0.01)
    assert (found.start_s, found.end_s) == (0.0, pytest.approx(4.0, abs=0.05))


def test_a_silent_window_is_a_flat_stretch_and_a_silent_video_has_no_outline():
    found = kept(window(0.0, 2.0, 0.5), window(2.0, 2.0, 0.0))
    assert set(found.high[len(found.high) // 2 + 1 :]) == {0.0}
    assert kept(window(0.0, 2.0, 0.0)).low == []


def test_time_counts_from_the_first_window_that_was_read():
    found = kept(window(30.0, 3.0))
    assert (found.start_s, found.end_s) == (30.0, pytest.approx(33.0, abs=0.05))
    assert found.faces[0].time_s == 30.25
    assert len(found.low) == math.ceil(3 * SAMPLE_RATE / FINEST_STEP)


def test_the_faces_are_the_crops_that_the_network_sees():
    faces = kept(window(0.0, 2.0, level=40)).faces
    assert [face.time_s for face in faces] == [0.25, 0.75, 1.25, 1.75]
    assert picture(faces[0].jpeg).shape == (16, 16, 3)
    assert picture(faces[0].jpeg).mean() == pytest.approx(40, abs=2)


def test_a_frame_that_is_not_used_is_not_in_it():
    assert kept(window(0.0, 2.0, valid=False)).faces == []


def test_a_large_crop_is_kept_small():
    one = window(0.0, 2.0)
    big = np.full((4, 3, 400, 400), 90, np.uint8)
    object.__setattr__(one.inputs, "frames", big)
    assert picture(kept(one).faces[0].jpeg).shape == (FACE_SIDE, FACE_SIDE, 3)


def test_an_answer_keeps_media_only_where_it_is_asked_for(make_media):
    path, model = make_media(), msma.load()
    plain, kept_too = model.predict(path), model.predict(path, media_preview=True)
    assert plain.media_preview is None
    assert kept_too.media_preview is not None
    assert (len(kept_too.media_preview.faces), kept_too.traits) == (8, plain.traits)
