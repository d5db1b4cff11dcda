"""Channels of many kinds against the same sound in mono, and frames that are too small."""

from __future__ import annotations

import wave
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from msma.config import ClipConfig, Limits
from msma.media.audio import level_db
from msma.media.clip import load_clip
from msma.media.mix import MIN_FRAME_S, channel_weights, gathered, mixed
from msma.types import Clip, MsmaError

RATE = 16000
SECONDS = np.arange(3 * RATE) / RATE
VOICE = (0.2 * np.sin(2 * np.pi * 220 * SECONDS) * (1 + np.sin(2 * np.pi * 3 * SECONDS))).astype(np.float32)
OTHER = (0.4 * np.sin(2 * np.pi * 555 * SECONDS)).astype(np.float32)
ROOM = 0.004 * np.random.default_rng(0).normal(size=(16, len(SECONDS))).astype(np.float32)


def load_channels(folder: Path, channels: np.ndarray, window_s: float = 15.0) -> Clip:
    """A WAV file of these channels, without a channel mask, as it is read."""
    with wave.open(str(folder / "sound.wav"), "wb") as file:
        file.setnchannels(len(channels))
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes(np.round(channels.T * 32767).astype("<i2").tobytes())
    return load_clip(folder / "sound.wav", ClipConfig(window_s=window_s))


def one_of(channels: int, place: int, sound: np.ndarray = VOICE) -> np.ndarray:
    """This sound in one of many channels, the others empty."""
    return np.where(np.arange(channels)[:, None] == place, sound, 0.0)


@pytest.mark.parametrize(
    ("channels", "place"), [(2, 0), (2, 1), (3, 2), (4, 3), (6, 2), (6, 3), (9, 0), (11, 10), (16, 4)]
)
def test_a_voice_on_one_channel_is_as_loud_as_in_mono(tmp_path, channels, place):
    clip = load_channels(tmp_path, one_of(channels, place))
    np.testing.assert_allclose(clip.waveform, VOICE, atol=1e-4)
    assert clip.media.audio_mix == f"signal on channel {place + 1} of {channels}"


@pytest.mark.parametrize("channels", [3, 5, 7, 9, 11, 13, 15, 24])
def test_a_number_of_channels_without_a_layout_is_no_problem(tmp_path, channels):
    clip = load_channels(tmp_path, np.tile(VOICE, (channels, 1)))
    np.testing.assert_allclose(clip.waveform, VOICE, atol=1e-4)
    assert clip.reasons == ("no video track",)


def write_layout(path: Path, layout: str, codec: str, sound: np.ndarray) -> Path:
    """A file of these channels at 48 kHz in a layout of speakers."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=48000, layout=layout)
        frame = av.AudioFrame.from_ndarray(sound.T.reshape(1, -1).astype(np.float32), format="flt", layout=layout)
        frame.sample_rate, frame.pts, frame.time_base = 48000, 0, Fraction(1, 48000)
        resampler = av.AudioResampler(stream.codec_context.format, layout, 48000, stream.codec_context.frame_size)
        for piece in [*resampler.resample(frame), *resampler.resample(None)]:
            container.mux(stream.encode(piece))
        container.mux(stream.encode(None))
    return path


@pytest.mark.parametrize(
    ("layout", "codec", "places"),
    [("5.1", "pcm_s16le", range(6)), ("5.1", "pcm_s24le", [3]), ("5.1", "aac", [2, 3]), ("7.1", "aac", [2, 7])],
)
def test_no_speaker_of_a_surround_layout_is_dropped(tmp_path, layout, codec, places):
    tone = (0.4 * np.sin(2 * np.pi * 100 * np.arange(2 * 48000) / 48000)).astype(np.float32)
    for place in places:
        sound = one_of(len(av.AudioLayout(layout).channels), place, tone)
        waveform = load_clip(write_layout(tmp_path / "a.mkv", layout, codec, sound)).waveform
        assert level_db(waveform[4000:28000]) == pytest.approx(level_db(tone), abs=0.3), place


def test_opposite_phases_do_not_cancel(tmp_path):
    clip = load_channels(tmp_path, np.stack([VOICE, -VOICE]))
    np.testing.assert_allclose(clip.waveform, VOICE, atol=1e-4)
    assert clip.media.audio_mix == "signal on channels 1, 2 of 2; in opposite phase, inverted: 2"
    assert clip.reasons == ("no video track",)


def test_opposite_phases_do_not_cancel_beside_a_louder_channel(tmp_path):
    heard = load_channels(tmp_path, np.stack([2 * OTHER, VOICE, -VOICE])).waveform
    assert np.corrcoef(heard - OTHER, VOICE)[0, 1] > 0.8


def test_wide_stereo_is_not_taken_for_opposite_phase():
    assert channel_weights(np.array([[1.0, -0.3], [-0.3, 1.0]])).tolist() == [0.5, 0.5]


def test_the_room_in_other_channels_takes_nothing_from_the_voice(tmp_path):
    channels = one_of(16, 7) + ROOM
    assert level_db(load_channels(tmp_path, channels).waveform) == pytest.approx(level_db(VOICE), abs=0.7)


def test_voices_of_different_channels_are_both_heard(tmp_path):
    first, second = VOICE * (SECONDS < 1.5), OTHER * (SECONDS >= 1.5)
    heard = load_channels(tmp_path, one_of(8, 1, first) + one_of(8, 6, second)).waveform
    assert level_db(heard[:RATE]) == pytest.approx(level_db(VOICE[:RATE]), abs=2.0)
    assert level_db(heard[-RATE:]) == pytest.approx(level_db(OTHER[-RATE:]), abs=2.0)


def test_a_pause_of_the_voice_does_not_turn_up_the_room(tmp_path):
    channels = np.tile(one_of(6, 2) + ROOM[:6], (1, 4))
    channels[2, 5 * RATE : 10 * RATE] = ROOM[7].repeat(2)[: 5 * RATE]
    heard = load_channels(tmp_path, channels, window_s=12).waveform
    assert level_db(heard[6 * RATE : 9 * RATE]) == pytest.approx(level_db(ROOM[0]) + 10 * np.log10(6), abs=1.0)


def test_a_mix_stays_below_full_scale(tmp_path):
    loud = np.sign(np.stack([np.sin(2 * np.pi * (200 + 130 * i) * SECONDS) for i in range(5)])) * 0.9
    heard = load_channels(tmp_path, loud).waveform
    assert 0.95 < np.abs(heard).max() <= 1.0
    assert (np.abs(heard) > 0.99).mean() < 0.2


def test_ordinary_stereo_is_the_mean_of_its_sides_to_the_last_bit(tmp_path):
    channels = np.stack([VOICE + 0.2 * OTHER, 0.6 * VOICE - 0.1 * OTHER])
    clip = load_channels(tmp_path, channels)
    frame = small_frames(np.round(channels * 32767).astype(np.int16), len(SECONDS), "s16", "stereo")[0]
    mean = av.AudioResampler("s16", "mono", RATE).resample(frame)[0].to_ndarray()[0]
    np.testing.assert_array_equal(clip.waveform * 32768, mean)
    assert clip.media.audio_mix is None


def test_channels_of_silence_are_named(tmp_path):
    clip = load_channels(tmp_path, np.zeros((4, RATE)))
    assert clip.media.audio_mix == "signal on none of 4 channels"


def small_frames(samples: np.ndarray, size: int, form: str = "s16", layout: str = "mono") -> list[av.AudioFrame]:
    """Frames of `size` samples; samples (channels, n)."""
    frames = []
    for start in range(0, samples.shape[1], size):
        piece = samples[:, start : start + size]
        rows = piece if form.endswith("p") else piece.T.reshape(1, -1)
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(rows), format=form, layout=layout)
        frame.sample_rate, frame.time_base, frame.pts = RATE, Fraction(1, RATE), start
        frames.append(frame)
    return frames


@pytest.mark.parametrize(("form", "layout"), [("s16", "stereo"), ("s16p", "stereo"), ("s16", "mono")])
def test_small_frames_are_gathered_and_nothing_is_lost(form, layout):
    samples = np.arange(2 * RATE, dtype=np.int16).reshape(2, -1)[: len(av.AudioLayout(layout).channels)]
    whole = list(gathered(small_frames(samples, 3, form, layout), 1e6, 0.05, "x"))
    assert {frame.samples >= MIN_FRAME_S * RATE for frame in whole[:-1]} == {True}
    assert [frame.pts for frame in whole] == np.cumsum([0, *(frame.samples for frame in whole[:-1])]).tolist()
    together = [frame.to_ndarray().reshape(1, -1) if form == "s16" else frame.to_ndarray() for frame in whole]
    expected = samples if form == "s16p" else samples.T.reshape(1, -1)
    np.testing.assert_array_equal(np.concatenate(together, axis=1), expected)


def test_small_frames_are_not_gathered_over_a_gap():
    frames = small_frames(np.zeros((1, 200), np.int16), 10)
    for frame in frames[10:]:
        frame.pts += RATE
    assert [frame.pts for frame in gathered(frames, 1e6, 0.05, "x")] == [0, RATE + 100]


def test_frames_of_a_usual_size_pass_as_they_are():
    frames = small_frames(np.zeros((1, 4000), np.int16), 160)
    assert list(gathered(frames, 1e6, 0.05, "x")) == frames


def test_too_many_packets_a_second_are_refused(make_media):
    path = make_media("a.mp4", fps=None, seconds=4)  # AAC: 16 packets a second
    with pytest.raises(MsmaError, match="more than 10 audio packets a second; re-encode it"):
        load_clip(path, limits=Limits(max_audio_packets_per_s=10))
    assert load_clip(path, limits=Limits(max_audio_packets_per_s=17)).reasons == ("no video track",)


def test_mono_is_not_held_back():
    frames = iter(small_frames(np.zeros((1, 4000), np.int16), 400))
    next(mixed(frames, {}))
    assert len(list(frames)) == 9
