"""Clocks that jump and places that cannot be read."""

from __future__ import annotations

import errno
import io
from collections.abc import Iterator
from contextlib import nullcontext
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from av.container import InputContainer
from conftest import grey_index

from msma.config import ClipConfig, Limits
from msma.media import container as container_module
from msma.media.clip import load_clip, load_windows
from msma.media.container import open_media
from msma.media.packets import read_packets
from msma.types import Clip

PART_S = 4.0


def part(make_media, name: str, at_s: float, **options) -> bytes:
    """A transport stream of 4 s whose clock begins at `at_s`."""
    settings = {"output_ts_offset": str(at_s)}
    return make_media(name, seconds=PART_S, container_options=settings, options={"bf": "0"}, **options).read_bytes()


def read(tmp_path: Path, content: bytes) -> list[Clip]:
    path = tmp_path / "joined.ts"
    path.write_bytes(content)
    return list(load_windows(path, ClipConfig(window_s=60.0)))


def noise(index: int, width: int, height: int) -> np.ndarray:
    return np.random.default_rng(index).integers(0, 255, (height, width, 3), np.uint8)


@pytest.mark.parametrize(("first_s", "second_s"), [(0, 300), (300, 0), (0, 20), (30, 0)])
def test_a_jump_of_the_clock_is_a_cut_that_is_reported(make_media, tmp_path, first_s, second_s):
    windows = read(tmp_path, part(make_media, "a.ts", first_s) + part(make_media, "b.ts", second_s))
    assert [window.end_s for window in windows] == [pytest.approx(2 * PART_S, abs=0.3)]
    assert [re_at(reason) for reason in windows[0].reasons] == [pytest.approx(PART_S, abs=0.2)]
    shown = [grey_index(picture) for picture in windows[0].frames]
    assert shown[17:] == pytest.approx(shown[1:-16], abs=2)


def re_at(reason: str) -> float:
    """Second of a jump in its reason."""
    assert reason.startswith("the clock jumps at "), reason
    return float(reason.split()[4])


def test_a_clock_that_goes_on_is_no_cut(make_media, tmp_path):
    (window,) = read(tmp_path, part(make_media, "a.ts", 0) + part(make_media, "b.ts", PART_S + 0.1))
    assert window.reasons == ()
    assert window.end_s == pytest.approx(2 * PART_S + 0.1, abs=0.15)


def test_several_jumps_are_counted(make_media, tmp_path):
    one, other = part(make_media, "a.ts", 0), part(make_media, "b.ts", 100)
    (window,) = read(tmp_path, one + other + one)
    assert window.end_s == pytest.approx(3 * PART_S, abs=0.4)
    assert [reason.split(" at ")[0] for reason in window.reasons] == ["the clock jumps 2 times, last"]


@pytest.mark.parametrize("second_s", [0, 300])
def test_audio_and_frames_stay_together_behind_a_jump(make_media, tmp_path, second_s):
    """Both parts turn white and loud at 2 s; the first has 1 s of audio less than frames."""
    events = {
        "picture": lambda index, width, height: np.full((height, width, 3), 235 if index >= 20 else 16, np.uint8),
        "sound": lambda seconds: np.where(seconds > 2.0, 0.8 * np.sin(2 * np.pi * 1000 * seconds), 0.0),
    }
    first = part(make_media, "a.ts", 150, audio_seconds=3.0, **events)
    (window,) = read(tmp_path, first + part(make_media, "b.ts", second_s, **events))
    half = 5 * 16000
    loud_s = 5.0 + float(np.argmax(np.abs(window.waveform[half:]) > 0.3)) / 16000
    white_s = min(t for t, p in zip(window.frame_times_s, window.frames, strict=True) if t > 5 and p.mean() > 128)
    assert white_s - 0.25 <= loud_s + 0.07
    assert loud_s <= white_s + 0.07


def test_what_only_one_stream_lacks_is_no_jump(tmp_path):
    path = tmp_path / "gap.mkv"
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=1, options={"preset": "ultrafast", "bf": "0"})
        video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
        audio = container.add_stream("pcm_s16le", rate=16000, layout="mono")
        for second in range(40):
            picture = av.VideoFrame.from_ndarray(np.full((48, 64, 3), 100, np.uint8))
            picture.pts, picture.time_base = second, Fraction(1, 1)
            container.mux(video.encode(picture))
            if not 2 <= second < 35:
                sound = av.AudioFrame.from_ndarray(np.full((1, 16000), 8000, np.int16), format="s16", layout="mono")
                sound.sample_rate, sound.pts, sound.time_base = 16000, 16000 * second, Fraction(1, 16000)
                container.mux(audio.encode(sound))
        container.mux(video.encode(None))
        container.mux(audio.encode(None))
    clip = load_clip(path, ClipConfig(window_s=60.0))
    assert clip.reasons == ()
    assert len(clip.waveform) == 40 * 16000
    assert np.flatnonzero(clip.waveform[2 * 16000 :])[0] == pytest.approx(33 * 16000, abs=200)


def test_frames_alone_do_not_stand_for_a_jump(make_media):
    stamps = [*range(0, 2000, 100), *range(60000, 62000, 100)]
    clip = load_clip(make_media("jump.mkv", times=stamps, rate=None), ClipConfig(window_s=90.0))
    assert clip.end_s == pytest.approx(4.0, abs=0.2)
    assert len(clip.frames) == pytest.approx(16, abs=1)
    assert "the clock jumps at 2.0 s; what follows is joined" in clip.reasons


def test_an_estimated_duration_is_neither_trusted_nor_told(make_media, tmp_path):
    content = part(make_media, "a.ts", 300) + part(make_media, "b.ts", 0)
    (tmp_path / "back.ts").write_bytes(content)
    clip = load_clip(tmp_path / "back.ts", limits=Limits(max_seconds=20))
    assert clip.media.duration_s is None


class Failing(io.BytesIO):
    """A file of which the reads in its second half fail, so many times."""

    failures = 0

    def read(self, size: int | None = -1) -> bytes:
        if self.failures and self.tell() > len(self.getbuffer()) // 2:
            self.failures -= 1
            raise OSError(errno.EIO, "Input/output error")
        return super().read(size)


def read_failing(make_media, monkeypatch, failures: int) -> Clip:
    settings = {"movflags": "+faststart"}
    path = make_media("a.mov", seconds=PART_S, size=(320, 240), picture=noise, container_options=settings)
    file = Failing(path.read_bytes())
    file.failures = failures
    monkeypatch.setattr(container_module, "open_file", lambda *_: nullcontext(file))
    return load_clip("failing.mov")


def test_what_follows_read_errors_that_pass_is_used(make_media, monkeypatch):
    clip = read_failing(make_media, monkeypatch, 4)
    assert clip.end_s == pytest.approx(PART_S, abs=0.2)
    assert "1 part of the file cannot be read; what follows is used" in clip.reasons


def test_read_errors_that_do_not_pass_end_the_file(make_media, monkeypatch):
    clip = read_failing(make_media, monkeypatch, 100_000)
    assert 1 < clip.end_s < 3
    assert any(reason.startswith("video breaks off at") for reason in clip.reasons)


def test_what_follows_a_hole_is_used(make_media, tmp_path):
    content = bytearray(part(make_media, "a.ts", 0, size=(320, 240), picture=noise))
    middle = len(content) * 2 // 5
    content[middle : middle + 400_000] = bytes(400_000)
    (window,) = read(tmp_path, bytes(content))
    assert window.end_s == pytest.approx(PART_S, abs=0.2)
    assert window.reasons


@pytest.mark.parametrize("first", ["video", "audio"])
def test_the_last_frames_come_out_whichever_stream_is_first(tmp_path, first):
    """A decoder that reorders frames holds some back until it is told that no packet follows."""
    path = tmp_path / "a.mkv"
    with av.open(str(path), "w") as container:
        streams = {}
        for kind in ("video", "audio") if first == "video" else ("audio", "video"):
            codec = {"video": "libx264", "audio": "pcm_s16le"}[kind]
            streams[kind] = container.add_stream(codec, rate={"video": 10, "audio": 16000}[kind])
        video, audio = streams["video"], streams["audio"]
        video.width, video.height, video.pix_fmt, video.options = 64, 48, "yuv420p", {"bf": "3", "b-adapt": "0"}
        audio.layout = "mono"
        for index in range(20):
            container.mux(video.encode(av.VideoFrame.from_ndarray(np.full((48, 64, 3), 100, np.uint8))))
            sound = av.AudioFrame.from_ndarray(np.full((1, 1600), 8000, np.int16), format="s16", layout="mono")
            sound.sample_rate, sound.pts, sound.time_base = 16000, 1600 * index, Fraction(1, 16000)
            container.mux(audio.encode(sound))
        container.mux(video.encode(None))
        container.mux(audio.encode(None))
    clip = load_clip(path, ClipConfig(fps=10.0))
    assert len(clip.frames) == 20
    assert len(clip.waveform) == 32000


class Appearing:
    """A container in which a stream appears in the middle, which PyAV then looks for in vain."""

    def __init__(self, container: InputContainer) -> None:
        self.container, self.left = container, 10

    def demux(self, *streams: Any) -> Iterator[Any]:
        for packet in self.container.demux(*streams):
            yield packet
            self.left -= 1
            if not self.left:
                raise IndexError("list index out of range")


def test_a_stream_that_appears_in_the_middle_takes_nothing_of_the_others(make_media):
    path, problems = make_media("a.ts"), {}
    with open_media(path, Limits(), "a.ts") as media:
        expected = [packet.size for packet in read_packets(media, "video", problems)]
    with open_media(path, Limits(), "a.ts") as media:
        object.__setattr__(media, "container", Appearing(media.container))
        assert [packet.size for packet in read_packets(media, "video", problems)] == expected
    assert len(expected) > 10
    assert problems == {}
