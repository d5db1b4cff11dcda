"""From files to windows of frames and audio."""

from __future__ import annotations

import itertools
import re
import tracemalloc
from fractions import Fraction

import av
import numpy as np
import pytest
from conftest import grey_index
from hypothesis import given
from hypothesis import strategies as st

from msma.config import ClipConfig
from msma.media import clip as clip_module
from msma.media.clip import clip_from_arrays, load_clip, load_windows, sample_times
from msma.types import MsmaError


def onset_s(waveform: np.ndarray, level: float = 0.1) -> float:
    """Second of the first sample as loud as `level`."""
    return float(np.argmax(np.abs(waveform) > level)) / 16000


def quadrants(_: int, width: int, height: int) -> np.ndarray:
    """White top left quarter on black: tells how a frame was turned."""
    picture = np.zeros((height, width, 3), np.uint8)
    picture[: height // 2, : width // 2] = 255
    return picture


def noise(index: int, width: int, height: int) -> np.ndarray:
    return np.random.default_rng(index).integers(0, 255, (height, width, 3), np.uint8)


def brightest_corner(picture: np.ndarray) -> tuple[str, str]:
    rows = np.array_split(picture.mean(axis=2), 2)
    halves = [[half.mean() for half in np.array_split(row, 2, axis=1)] for row in rows]
    row, column = np.unravel_index(np.argmax(halves), (2, 2))
    return ("top", "bottom")[row], ("left", "right")[column]


def test_plain_clip(make_media):
    clip = load_clip(make_media())
    assert clip.name == "clip.mp4"
    assert clip.reasons == ()
    assert clip.frames.shape == (8, 48, 64, 3)
    assert clip.frame_times_s == pytest.approx(np.arange(8) / 4 + 0.125)
    assert (clip.start_s, clip.end_s) == (0.0, pytest.approx(2.0, abs=0.07))
    assert np.sqrt(np.mean(clip.waveform**2)) == pytest.approx(0.5 / np.sqrt(2), rel=0.1)
    assert clip.media.container == "mov"
    assert (clip.media.video_codec, clip.media.audio_codec) == ("h264", "aac")
    assert (clip.media.width, clip.media.height, clip.media.fps) == (64, 48, 10.0)


def test_a_clip_goes_through(make_media):
    clip = load_clip(make_media())
    assert list(load_windows(clip)) == [clip]


def test_bytes_equal_path(make_media):
    path = make_media()
    one, other = load_clip(path), load_clip(path.read_bytes(), name="clip.mp4")
    assert one.name == other.name
    np.testing.assert_array_equal(one.frames, other.frames)
    np.testing.assert_array_equal(one.waveform, other.waveform)


@pytest.mark.parametrize("name", ['my clip\'s "best" — é 你好.mp4', "-i;%s{}.mp4"])
def test_any_name(make_media, name):
    path = make_media(name)
    assert load_clip(str(path)).name == name


def test_frame_on_display_at_each_time(make_media):
    clip = load_clip(make_media(fps=10))
    # At 0.125 s the frame of 0.1 s is on display, at 0.375 s that of 0.3 s ...
    assert [grey_index(picture) for picture in clip.frames] == [int(t * 10) for t in clip.frame_times_s]


def test_variable_frame_rate(make_media):
    times = [0, 40, 80, 900, 960, 1500, 1900]
    clip = load_clip(make_media(fps=25, times=times, rate=None))
    expected = [sum(stamp <= t * 1000 for stamp in times) - 1 for t in clip.frame_times_s]
    assert [grey_index(picture) for picture in clip.frames] == expected
    assert len(expected) == 8


def test_reordered_frames_come_in_order(make_media):
    options = {"bf": "3", "crf": "8", "b-adapt": "0"}
    clip = load_clip(make_media(options=options))
    assert [grey_index(picture) for picture in clip.frames] == [int(t * 10) for t in clip.frame_times_s]


def test_avi_with_b_frames(make_media):
    clip = load_clip(make_media("a.avi", codecs=("mpeg4", "mp2"), fps=20, options={"bf": "2", "qscale": "2"}))
    shown = [grey_index(picture) for picture in clip.frames]
    # MPEG-4 blurs the greys by one.
    assert shown == pytest.approx([int(t * 20) for t in clip.frame_times_s], abs=1)


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv"])
def test_one_frame(make_media, name):
    clip = load_clip(make_media(name, seconds=0.04, fps=25, audio_seconds=3.0))
    assert clip.frames.shape == (1, 48, 64, 3)
    assert clip.end_s == pytest.approx(3.0, abs=0.07)


def test_one_frame_and_nothing_else(make_media):
    clip = load_clip(make_media(seconds=0.04, fps=25, rate=None))
    assert clip.frames.shape == (1, 48, 64, 3)
    assert clip.reasons == ("no audio track",)
    assert clip.start_s <= clip.frame_times_s[0] <= clip.end_s


def test_audio_only(make_media):
    clip = load_clip(make_media("a.m4a", fps=None))
    assert clip.frames.shape == (0, 0, 0, 3)
    assert clip.reasons == ("no video track",)
    assert len(clip.waveform) == pytest.approx(32000, abs=1100)


def test_cover_picture_is_no_video(tmp_path, make_media):
    path = tmp_path / "song.mp4"
    with av.open(str(make_media("plain.m4a", fps=None))) as source, av.open(str(path), "w") as target:
        sound = target.add_stream_from_template(source.streams.audio[0])
        cover = target.add_stream("mjpeg", rate=1)
        cover.width, cover.height, cover.pix_fmt = 64, 64, "yuvj420p"
        cover.disposition = av.stream.Disposition.attached_pic
        target.mux(cover.encode(av.VideoFrame.from_ndarray(np.zeros((64, 64, 3), np.uint8))))
        for packet in source.demux(audio=0):
            if packet.dts is not None:
                packet.stream = sound
                target.mux(packet)
    clip = load_clip(path)
    assert clip.reasons == ("no video track",)
    assert len(clip.waveform) > 30000


def test_no_audio(make_media):
    clip = load_clip(make_media(rate=None))
    assert clip.reasons == ("no audio track",)
    assert len(clip.waveform) == 0
    assert len(clip.frames) == 8


def test_half_an_mkv_is_used(make_media):
    path = make_media(
        "a.mkv",
        seconds=10,
        size=(160, 120),
        picture=noise,
    )
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    clip = load_clip(path)
    assert 10 < len(clip.frames) < 30
    assert 2.5 < len(clip.waveform) / 16000 < 7.5
    assert any(re.match(r"video breaks off at \d\.\d s of 10\.\d s", reason) for reason in clip.reasons), clip.reasons


def test_half_an_mp4_with_its_index_in_front_is_used(make_media):
    path = make_media(
        seconds=10,
        size=(160, 120),
        container_options={"movflags": "+faststart"},
        picture=noise,
    )
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    clip = load_clip(path)
    assert 10 < len(clip.frames) < 30
    assert any(reason.startswith("video breaks off at") for reason in clip.reasons)


def test_broken_packets_are_left_out_and_counted(make_media):
    path = make_media(seconds=4, codecs=("mpeg4", "pcm_s16le"), name="a.mov", size=(160, 120), options={"g": "1"})
    content = bytearray(path.read_bytes())
    start = content.index(b"mdat") + 8
    with av.open(str(path)) as container:
        packets = [packet.pos for packet in container.demux(video=0) if packet.size]
    for position in packets[10:14]:
        content[position : position + 12] = b"\xff" * 12
    path.write_bytes(content)
    assert start < packets[10]
    clip = load_clip(path)
    assert len(clip.frames) == 16
    assert "4 video packets could not be decoded" in clip.reasons


@pytest.mark.parametrize(
    ("rotation", "corner"),
    [(0, ("top", "left")), (90, ("bottom", "left")), (180, ("bottom", "right")), (-90, ("top", "right"))],
)
def test_rotation_is_applied(make_media, rotation, corner):
    clip = load_clip(make_media(rotation=rotation, picture=quadrants, rate=None))
    assert clip.frames.shape[1:3] == ((48, 64) if rotation % 180 == 0 else (64, 48))
    assert brightest_corner(clip.frames[0]) == corner


@pytest.mark.parametrize(
    ("rotation", "corner"),
    [(0, ("top", "right")), (90, ("bottom", "right")), (180, ("bottom", "left")), (-90, ("top", "left"))],
)
def test_a_frame_is_mirrored_where_the_file_asks_for_it(make_media, rotation, corner):
    clip = load_clip(make_media(rotation=rotation, mirrored=True, picture=quadrants, rate=None))
    assert clip.frames.shape[1:3] == ((48, 64) if rotation % 180 == 0 else (64, 48))
    assert brightest_corner(clip.frames[0]) == corner


@pytest.mark.parametrize(("aspect", "shape"), [(Fraction(2), (24, 64)), (Fraction(1, 2), (48, 32))])
def test_pixels_that_are_not_square(make_media, aspect, shape):
    assert load_clip(make_media(aspect=aspect, rate=None)).frames.shape[1:3] == shape


@pytest.mark.parametrize("size", [(65, 49), (2, 2), (641, 3), (1281, 721)])
def test_odd_sizes(make_media, size):
    clip = load_clip(make_media(size=size, seconds=0.5, rate=None))
    assert max(clip.frames.shape[1:3]) == min(480, max(size))
    assert len(clip.frames) == 2


def test_large_frames_are_scaled_down_and_small_ones_are_kept(make_media):
    path = make_media(size=(1280, 720), seconds=0.5)
    assert load_clip(path, ClipConfig(frame_side=320)).frames.shape[1:3] == (180, 320)
    assert load_clip(path, ClipConfig(frame_side=4000)).frames.shape[1:3] == (720, 1280)


@pytest.mark.parametrize(("layout", "rate"), [("mono", 8000), ("mono", 16000), ("stereo", 44100), ("5.1", 48000)])
def test_any_audio_becomes_mono_16_khz_at_its_level(make_media, layout, rate):
    clip = load_clip(make_media("a.mov", fps=None, layout=layout, rate=rate, codecs=("libx264", "pcm_s16le")))
    assert len(clip.waveform) == pytest.approx(32000, abs=1)
    middle = clip.waveform[4000:28000]
    assert np.abs(middle).max() == pytest.approx(0.5, abs=0.01)
    spectrum = np.abs(np.fft.rfft(middle))
    assert np.argmax(spectrum) * 16000 / len(middle) == pytest.approx(440, abs=1)


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.ts"])
@pytest.mark.parametrize("offset_s", [0.0, 0.7])
def test_audio_keeps_its_offset_to_the_video(make_media, name, offset_s):
    """Picture n appears n / 10 s after the first one; the click comes 0.5 s + offset after the first one."""

    def click(seconds: np.ndarray) -> np.ndarray:
        return np.where(seconds > 0.5, 0.8 * np.sin(2 * np.pi * 1000 * seconds), 0.0)

    clip = load_clip(make_media(name, seconds=3, audio_start_s=offset_s, sound=click))
    # A transport stream does not say that AAC begins 64 ms early: there, time 0 is before the first frame.
    ages = [t - grey_index(p) / 10 for t, p in zip(clip.frame_times_s, clip.frames, strict=True)][1:]
    first_picture_s = (min(ages) + max(ages)) / 2 - 0.05
    assert onset_s(clip.waveform) - first_picture_s == pytest.approx(0.5 + offset_s, abs=0.04)


def test_gap_in_the_audio_is_silence(tmp_path):
    path = tmp_path / "gap.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=16000, layout="mono")
        for start in (0, 48000):
            frame = av.AudioFrame.from_ndarray(np.full((1, 16000), 8000, np.int16), format="s16", layout="mono")
            frame.sample_rate, frame.pts, frame.time_base = 16000, start, Fraction(1, 16000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    waveform = load_clip(path).waveform
    assert len(waveform) == 64000
    assert np.abs(waveform[16100:47900]).max() == 0.0
    assert np.abs(waveform[:15900]).min() > 0.2
    assert np.abs(waveform[48100:]).min() > 0.2


def test_windows_follow_one_another_and_lose_nothing(make_media):
    path = make_media("a.mkv", seconds=5, fps=10, codecs=("libx264", "pcm_s16le"))
    whole = load_clip(path)
    windows = list(load_windows(path, ClipConfig(window_s=1.5, min_window_s=0.2)))
    assert [(w.start_s, w.end_s) for w in windows] == [(0, 1.5), (1.5, 3), (3, 4.5), (4.5, pytest.approx(5.0))]
    np.testing.assert_array_equal(np.concatenate([w.waveform for w in windows]), whole.waveform)
    np.testing.assert_array_equal(np.concatenate([w.frames for w in windows]), whole.frames)
    assert np.concatenate([w.frame_times_s for w in windows]) == pytest.approx(whole.frame_times_s)
    for window in windows:
        assert (window.frame_times_s >= window.start_s).all()
        assert (window.frame_times_s < window.end_s).all()


def test_short_remainder_is_left_out(make_media):
    path = make_media(seconds=5)
    assert [w.start_s for w in load_windows(path, ClipConfig(window_s=4, min_window_s=2))] == [0.0]


def test_short_file_is_one_window(make_media):
    windows = list(load_windows(make_media(seconds=0.5), ClipConfig(window_s=4, min_window_s=2)))
    assert len(windows) == 1
    assert len(windows[0].frames) == 2


def test_video_ends_before_the_audio(make_media):
    windows = list(load_windows(make_media(seconds=2, audio_seconds=7), ClipConfig(window_s=4)))
    assert [len(window.frames) for window in windows] == [8, 0]
    assert [len(window.waveform) / 16000 for window in windows] == pytest.approx([4.0, 3.0], abs=0.1)
    assert windows[1].frames.shape == (0, 0, 0, 3)
    assert "video breaks off at 2.0 s of 7.0 s" in windows[0].reasons


def test_audio_ends_before_the_video(make_media):
    clip = load_clip(make_media(seconds=4, audio_seconds=1))
    assert len(clip.frames) == 16
    assert len(clip.waveform) / 16000 == pytest.approx(1.0, abs=0.08)
    assert clip.duration_s == pytest.approx(4.0)
    assert any(reason.startswith("audio breaks off at 1.") for reason in clip.reasons)


def test_first_window_reads_no_further(make_media, monkeypatch):
    path = make_media(seconds=30)
    seen = []
    to_rgb = clip_module.to_rgb
    monkeypatch.setattr(clip_module, "to_rgb", lambda *args: seen.append(args) or to_rgb(*args))
    load_clip(path, ClipConfig(window_s=2))
    assert len(seen) <= 9


def test_two_video_tracks_are_reported(tmp_path):
    path = tmp_path / "two.mkv"
    with av.open(str(path), "w") as container:
        streams = [container.add_stream("libx264", rate=10) for _ in range(2)]
        for index, stream in enumerate(streams):
            stream.width, stream.height, stream.pix_fmt = 64 * (index + 1), 48 * (index + 1), "yuv420p"
        for stream in streams:
            for _ in range(10):
                blank = np.zeros((stream.height, stream.width, 3), np.uint8)
                container.mux(stream.encode(av.VideoFrame.from_ndarray(blank)))
            container.mux(stream.encode(None))
    clip = load_clip(path)
    assert clip.reasons[0] == "several video tracks (2); the best one is used"
    assert len(clip.frames) == 4


def test_memory_does_not_grow_with_the_length(make_media):
    def peak(seconds: int) -> int:
        path = make_media(f"{seconds}.mkv", seconds=seconds, fps=5, options={"crf": "40", "preset": "ultrafast"})
        tracemalloc.start()
        windows = sum(1 for _ in load_windows(path, ClipConfig(window_s=4)))
        highest = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert windows == seconds // 4
        return highest

    assert peak(120) < 1.3 * peak(20)


@given(st.floats(0.05, 40), st.floats(0.1, 60))
def test_sample_times_rise_and_stay_in_their_window(window_s, fps):
    config = ClipConfig(window_s=window_s, fps=fps)
    times = list(itertools.islice(sample_times(config), 200))
    assert all(later[1] > sooner[1] or window_s * fps < 1 for sooner, later in itertools.pairwise(times))
    for window, time_s, middle in times:
        assert middle
        assert window * window_s <= time_s <= (window + 1) * window_s * (1 + 1e-9)


def test_clip_from_arrays():
    frames, waveform = np.zeros((8, 6, 4, 3), np.uint8), np.zeros(32000, np.float32)
    clip = clip_from_arrays(frames, waveform, fps=4.0, name="mine")
    assert clip.frame_times_s == pytest.approx(np.arange(8) / 4 + 0.125)
    assert (clip.end_s, clip.reasons, clip.name) == (2.0, (), "mine")
    assert clip_from_arrays(None, waveform).reasons == ("no video track",)
    assert clip_from_arrays(frames, None, times_s=np.arange(8.0)).reasons == ("no audio track",)


@pytest.mark.parametrize(
    "arguments",
    [
        {"frames": None, "waveform": None},
        {"frames": np.zeros((2, 4, 4, 3), np.uint8), "waveform": None},
        {"frames": np.zeros((2, 4, 4, 3), np.uint8), "waveform": None, "fps": 1.0, "times_s": np.arange(2.0)},
        {"frames": np.zeros((2, 4, 4, 3), np.uint8), "waveform": None, "times_s": np.zeros(2)},
        {"frames": np.zeros((2, 4, 4, 3), np.uint8), "waveform": None, "fps": 0.0},
        {"frames": None, "waveform": np.full(10, 2.0, np.float32)},
        {"frames": None, "waveform": np.full(10, np.nan, np.float32)},
    ],
)
def test_arrays_that_do_not_fit(arguments):
    with pytest.raises(MsmaError, match="arrays: "):
        clip_from_arrays(**arguments)


@pytest.mark.parametrize("share", [0.27, 0.52, 0.55])
def test_a_long_file_that_breaks_off_says_so_in_its_last_window(make_media: MakeMedia, tmp_path: Path, share: float):
    """Also where it breaks off at the end of a window, or in a remainder that is left out."""
    whole = make_media("whole.mkv", seconds=30.0, fps=4).read_bytes()
    (tmp_path / "half.mkv").write_bytes(whole[: int(share * len(whole))])
    windows = list(load_windows(tmp_path / "half.mkv", ClipConfig(window_s=5.0)))
    assert any("breaks off" in reason for reason in windows[-1].reasons)


def disc(_: int, width: int, height: int) -> np.ndarray:
    """A white disc in the middle, of half the shorter side, on grey."""
    rows, columns = np.mgrid[:height, :width]
    inside = (rows - height / 2) ** 2 + (columns - width / 2) ** 2 < (min(width, height) / 4) ** 2
    return np.where(inside[..., None], np.uint8(235), np.uint8(110)).repeat(3, axis=2)


@pytest.mark.parametrize("size", [(240, 320), (160, 160), (640, 200), (640, 480)])
def test_frames_of_another_size_keep_their_shape(make_media, tmp_path, size):
    first = make_media("a.ts", size=(320, 240), picture=disc, rate=None, options={"crf": "8", "bf": "0"})
    after = {"output_ts_offset": "2"}
    second = make_media("b.ts", size=size, picture=disc, rate=None, options={"crf": "8"}, container_options=after)
    path = tmp_path / "joined.ts"
    path.write_bytes(first.read_bytes() + second.read_bytes())
    clip = load_clip(path)
    frame = clip.frames[-1].mean(axis=2)
    assert frame.shape == (240, 320)
    rows, columns = ((frame > 180).any(axis=axis).sum() for axis in (1, 0))
    assert rows == pytest.approx(columns, abs=3)
    scale = min(320 / size[0], 240 / size[1])
    assert (frame > 60).sum() == pytest.approx(size[0] * size[1] * scale**2, rel=0.03)
    assert any(reason.startswith("frame size changes") for reason in clip.reasons)
