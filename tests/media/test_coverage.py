"""What is missing of a window, wherever it is missing."""

from __future__ import annotations

import numpy as np
import pytest
from raw import inputs_from

from msma.config import ClipConfig
from msma.media.clip import clip_from_arrays, load_clip
from msma.media.coverage import missing_stretches
from msma.media.faces import track_face
from msma.media.prepare import degradations, used_shares
from msma.types import Clip

CONFIG = ClipConfig(crop_size=16, mels=8, face="whole")
GONE = {"start": (0.0, 5.0), "middle": (1.5, 6.5), "end": (3.0, 8.0)}


def gone(where: str, kind: str) -> Clip:
    """Eight seconds of which five of audio, or of video, are missing."""
    begin_s, end_s = GONE[where]
    sound = (0.1 * np.random.default_rng(0).uniform(-1, 1, 8 * 16000)).astype(np.float32)
    times_s = np.arange(32) / 4 + 0.125
    if kind == "audio":
        sound[round(begin_s * 16000) : round(end_s * 16000)] = 0
    else:
        times_s = times_s[(times_s < begin_s) | (times_s > end_s)]
    return Clip("gone", np.zeros((len(times_s), 8, 8, 3), np.uint8), times_s, sound, 0.0, 8.0, load_info())


def load_info():
    return clip_from_arrays(np.zeros((2, 8, 8, 3), np.uint8), None, fps=4.0).media


def reasons(clip: Clip) -> list[str]:
    return list(degradations(clip, track_face(clip, CONFIG, None)))


@pytest.mark.parametrize("kind", ["audio", "video"])
@pytest.mark.parametrize("where", GONE)
def test_start_middle_and_end_count_alike(kind, where):
    clip = gone(where, kind)
    begin_s, end_s = GONE[where]
    assert reasons(clip) == [f"{kind} is missing from {begin_s:.1f} to {end_s:.1f} s"]
    used = used_shares(clip, inputs_from(clip, CONFIG), CONFIG)
    other = {"audio": "visual", "video": "audio"}[kind]
    assert used[other] == 1.0
    assert used["audio" if kind == "audio" else "visual"] == pytest.approx(3 / 8)


def test_pauses_are_not_missing():
    clip = gone("middle", "video")
    clip.waveform[16000 : 16000 + 14000] = 0
    assert missing_stretches(clip)["audio"] == []


def test_several_stretches_are_counted():
    clip = gone("start", "audio")
    clip.waveform[6 * 16000 : 7 * 16000 + 8000] = 0
    assert reasons(clip) == ["audio is missing from 0.0 to 5.0 s and in 1 more place"]


def test_a_missing_modality_is_told_once():
    clip = clip_from_arrays(np.zeros((32, 8, 8, 3), np.uint8), None, fps=4.0)
    assert reasons(clip) == ["no audio track"]


def test_a_silent_track_is_told_once():
    clip = clip_from_arrays(np.zeros((32, 8, 8, 3), np.uint8), np.zeros(128000, np.float32), fps=4.0)
    assert reasons(clip) == ["audio track is silent"]


def test_a_track_that_breaks_off_is_told_once():
    clip = clip_from_arrays(np.zeros((32, 8, 8, 3), np.uint8), np.full(16000, 0.1, np.float32), fps=4.0)
    assert reasons(clip) == ["audio breaks off at 1.0 s of 8.0 s"]


def test_a_window_between_others_without_frames_is_reported():
    clip = Clip(
        "w", np.zeros((0, 0, 0, 3), np.uint8), np.zeros(0), np.full(64000, 0.1, np.float32), 4.0, 8.0, load_info()
    )
    assert reasons(clip) == ["video is missing from 4.0 to 8.0 s"]


@pytest.mark.parametrize("name", ["late.mov", "late.mkv", "late.ts"])
def test_audio_that_begins_late_is_reported(make_media, name):
    codec = "aac" if name.endswith("ts") else "pcm_s16le"
    clip = load_clip(make_media(name, seconds=8, audio_start_s=6.0, audio_seconds=2.0, codecs=("libx264", codec)))
    assert [reason[:21] for reason in reasons(clip)] == ["audio is missing from"]
    assert used_shares(clip, inputs_from(clip, CONFIG), CONFIG)["audio"] == pytest.approx(0.25, abs=0.03)


@pytest.mark.parametrize("name", ["gap.mp4", "gap.mkv", "gap.mov"])
@pytest.mark.parametrize("where", GONE)
def test_frames_that_are_missing_are_reported(make_media, name, where):
    """None is made up in their place: the last one before a gap does not stand for it."""
    begin_s, end_s = GONE[where]
    stamps = [stamp for stamp in range(0, 8000, 100) if not begin_s <= stamp / 1000 < end_s]
    codecs = ("libx264", "aac" if name == "gap.mp4" else "pcm_s16le")
    clip = load_clip(make_media(name, seconds=8, times=stamps, codecs=codecs, options={"bf": "0"}))
    assert len(clip.frames) == pytest.approx(12, abs=1)
    (reason,) = reasons(clip)
    assert reason.startswith("video is missing from" if where != "end" else "video breaks off at 3.0 s")
    assert used_shares(clip, inputs_from(clip, CONFIG), CONFIG)["visual"] == pytest.approx(3 / 8, abs=0.05)


def test_a_slow_track_of_even_frames_has_no_gaps(make_media):
    clip = load_clip(make_media("slow.mkv", seconds=8, times=list(range(0, 8000, 2000)), rate=None, fps=1))
    assert not any("missing" in reason for reason in reasons(clip))
