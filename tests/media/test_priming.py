"""The same packets give the same samples, whichever container they lie in."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest
from av.bitstream import BitStreamFilterContext

from msma.config import ClipConfig
from msma.media.clip import load_clip


def remux(path: Path, name: str) -> Path:
    """The packets of a file, copied into another container."""
    target = path.with_name(name)
    with av.open(str(path)) as source, av.open(str(target), "w") as container:
        streams = {stream.index: container.add_stream_from_template(stream) for stream in source.streams}
        # AVI has no header for the parameters of H.264: they lie between the packets.
        between = "h264_mp4toannexb" if name.endswith(".avi") and source.streams.video else "null"
        filters = {index: BitStreamFilterContext("null", stream) for index, stream in enumerate(source.streams)}
        filters |= {stream.index: BitStreamFilterContext(between, stream) for stream in source.streams.video}
        for packet in source.demux():
            for one in filters[packet.stream.index].filter(packet) if packet.dts is not None else []:
                one.stream = streams[packet.stream.index]
                container.mux(one)
    return target


def chirp(seconds: np.ndarray) -> np.ndarray:
    """A sound of which every part is different."""
    return 0.5 * np.sin(2 * np.pi * (300 + 400 * seconds) * seconds)


@pytest.mark.parametrize(
    ("codec", "rate", "names"),
    [
        ("aac", 44100, ["a.mov", "a.mkv", "a.mka", "a.ts", "a.flv", "a.aac", "a.avi"]),
        ("aac", 16000, ["a.mkv", "a.ts"]),
        ("libmp3lame", 44100, ["a.mov", "a.mkv", "a.ts", "a.flv", "a.avi", "a.mp3"]),
        ("libopus", 48000, ["a.mkv", "a.webm", "a.ts"]),
        ("ac3", 48000, ["a.mkv", "a.ts"]),
    ],
)
def test_the_same_packets_give_the_same_samples(make_media, codec, rate, names):
    path = make_media("first.mp4", fps=None, rate=rate, sound=chirp, codecs=("libx264", codec))
    expected = load_clip(path).waveform
    for name in names:
        np.testing.assert_array_equal(load_clip(remux(path, name)).waveform, expected, err_msg=name)


def test_the_first_sample_is_the_first_of_the_sound(make_media):
    waveform = load_clip(make_media("a.mkv", fps=None, rate=16000, sound=chirp)).waveform
    expected = chirp(np.arange(8000) / 16000)
    assert np.corrcoef(waveform[:8000], expected)[0, 1] > 0.99


@pytest.mark.parametrize("codec", ["aac", "libmp3lame"])
@pytest.mark.parametrize("name", ["a.mkv", "a.ts", "a.avi"])
def test_frames_and_sound_stay_together_in_another_container(make_media, name, codec):
    options = {"bf": "3", "crf": "8", "b-adapt": "0"}
    codecs = ("libx264", codec)
    path = make_media("first.mp4", seconds=3, fps=12, rate=44100, sound=chirp, options=options, codecs=codecs)
    config = ClipConfig(fps=2)  # each moment is one at which a frame begins
    expected, found = load_clip(path, config), load_clip(remux(path, name), config)
    np.testing.assert_array_equal(found.waveform, expected.waveform)
    np.testing.assert_array_equal(found.frame_times_s, expected.frame_times_s)
    np.testing.assert_array_equal(found.frames, expected.frames)


def test_opus_in_webm_skips_what_its_header_says_at_any_rate(make_media):
    path = make_media("first.webm", fps=None, rate=16000, sound=chirp, codecs=("libvpx", "libopus"))
    np.testing.assert_array_equal(load_clip(remux(path, "a.mkv")).waveform, load_clip(path).waveform)
    assert np.corrcoef(load_clip(path).waveform[:8000], chirp(np.arange(8000) / 16000))[0, 1] > 0.99


def test_sound_without_a_delay_keeps_its_first_sample(make_media):
    path = make_media("a.mkv", fps=None, rate=16000, sound=chirp, codecs=("libx264", "pcm_s16le"))
    np.testing.assert_allclose(load_clip(path).waveform, chirp(np.arange(32000) / 16000), atol=1e-4)


@pytest.mark.parametrize("codec", ["aac", "libmp3lame"])
def test_a_delay_that_no_edit_list_names_is_left_out_too(make_media, codec):
    sound = {"fps": None, "rate": 44100, "sound": chirp, "codecs": ("libx264", codec)}
    expected = load_clip(make_media("told.mp4", **sound)).waveform
    untold = make_media("untold.mp4", **sound, container_options={"use_editlist": "0"})
    np.testing.assert_array_equal(load_clip(untold).waveform, expected)


def test_sound_that_begins_after_the_pictures_keeps_its_place(make_media):
    path = make_media("first.mp4", seconds=3, rate=44100, sound=chirp, audio_start_s=0.5, options={"bf": "0"})
    expected, found = load_clip(path), load_clip(remux(path, "a.ts"))
    np.testing.assert_allclose(found.waveform, expected.waveform, atol=0.01)
    assert np.abs(found.waveform[: round(0.49 * 16000)]).max() < 0.01
