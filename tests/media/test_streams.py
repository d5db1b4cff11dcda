"""Which of several tracks is read."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from conftest import grey, grey_index

from msma.config import Limits
from msma.media.clip import load_clip
from msma.types import MsmaError

SECONDS = np.arange(6 * 16000) / 16000
NOISE = 0.2 * np.random.default_rng(0).normal(size=len(SECONDS))
TONE = 0.4 * np.sin(2 * np.pi * 330 * SECONDS)
SILENCE = 0.0 * SECONDS
PHASE = 2 * np.pi * np.cumsum(120 + 25 * np.sin(2 * np.pi * 0.7 * SECONDS)) / 16000
VOICE = 0.2 * sum(np.sin(k * PHASE) / k for k in range(1, 12)) * np.clip(np.sin(2 * np.pi * 4 * SECONDS), 0, 1)


def write_tracks(path: Path, sounds: list[np.ndarray], pictures: tuple[int, ...] = ()) -> Path:
    """A file with an audio track for each sound and a video track for each grey of `conftest.grey`."""
    with av.open(str(path), "w") as container:
        videos = [container.add_stream("libx264", rate=10) for _ in pictures]
        for video in videos:
            video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
        audios = [container.add_stream("pcm_s16le", rate=16000, layout="mono") for _ in sounds]
        container.start_encoding()
        for video, index in zip(videos, pictures, strict=True):
            for pts in range(20):
                frame = av.VideoFrame.from_ndarray(grey(index, 64, 48), format="rgb24")
                frame.pts, frame.time_base = pts, Fraction(1, 10)
                container.mux(video.encode(frame))
            container.mux(video.encode(None))
        for audio, sound in zip(audios, sounds, strict=True):
            samples = np.round(32767 * np.clip(sound, -1, 1)).astype(np.int16)[None]
            frame = av.AudioFrame.from_ndarray(samples, format="s16", layout="mono")
            frame.sample_rate, frame.pts, frame.time_base = 16000, 0, Fraction(1, 16000)
            container.mux(audio.encode(frame))
            container.mux(audio.encode(None))
    return path


@pytest.mark.parametrize(
    "others", [[SILENCE], [NOISE], [TONE], [NOISE, SILENCE, TONE]], ids=["silence", "noise", "tone", "all"]
)
def test_the_track_with_speech_is_read(tmp_path, others):
    clip = load_clip(write_tracks(tmp_path / "a.mkv", [*others, VOICE]))
    number = len(others) + 1
    assert np.corrcoef(clip.waveform, VOICE[: len(clip.waveform)])[0, 1] > 0.999
    assert clip.media.audio_track == number
    assert clip.reasons[1:] == (f"several audio tracks ({number}); number {number} is used, which has more speech",)


def test_of_two_tracks_with_speech_the_first_is_read(tmp_path):
    clip = load_clip(write_tracks(tmp_path / "a.mkv", [0.8 * VOICE, VOICE]))
    assert clip.media.audio_track == 1
    assert clip.reasons[0] == "several audio tracks (2); the best one is used"


def test_the_voice_is_preferred_to_what_leaked_into_another_microphone(tmp_path):
    assert load_clip(write_tracks(tmp_path / "a.mkv", [0.005 * VOICE, VOICE])).media.audio_track == 2


@pytest.mark.parametrize("number", [1, 2, 3])
def test_an_audio_track_can_be_named(tmp_path, number):
    path = write_tracks(tmp_path / "a.mkv", [TONE, VOICE, NOISE])
    clip = load_clip(path, limits=Limits(audio_track=number))
    expected = (TONE, VOICE, NOISE)[number - 1]
    assert np.corrcoef(clip.waveform, expected[: len(clip.waveform)])[0, 1] > 0.999
    assert clip.media.audio_track == number
    assert clip.reasons == ("no video track",)


@pytest.mark.parametrize("number", [1, 2])
def test_a_video_track_can_be_named(tmp_path, number):
    path = write_tracks(tmp_path / "a.mkv", [], pictures=(10, 30))
    clip = load_clip(path, limits=Limits(video_track=number))
    assert {grey_index(frame) for frame in clip.frames} == {(10, 30)[number - 1]}
    assert clip.media.video_track == number
    assert clip.reasons == ("no audio track",)


@pytest.mark.parametrize("kind", ["audio", "video"])
def test_a_track_that_is_not_there_is_refused(tmp_path, kind):
    path = write_tracks(tmp_path / "a.mkv", [VOICE], pictures=(10,))
    with pytest.raises(MsmaError, match=rf"has no {kind} track 2 that can be decoded \(of 1\); leave {kind}_track out"):
        load_clip(path, limits=Limits.model_validate({f"{kind}_track": 2}))


def test_the_only_tracks_are_numbered(make_media):
    media = load_clip(make_media()).media
    assert (media.video_track, media.audio_track) == (1, 1)
