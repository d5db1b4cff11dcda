"""Files that are refused, each with one line that names the file and the remedy."""

from __future__ import annotations

import os
import struct
from pathlib import Path

import av
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from msma.config import Limits
from msma.media import container as container_module
from msma.media.clip import load_clip, load_windows
from msma.media.sniff import demuxer_for, mov_has_index
from msma.types import MsmaError

LIMITS = Limits()


def refused(path: Path, text: str, limits: Limits = LIMITS) -> None:
    with pytest.raises(MsmaError) as caught:
        list(load_windows(path, limits=limits))
    message = str(caught.value)
    assert text in message
    assert path.name in message
    assert "\n" not in message
    assert len(message) < 300 + len(str(path))


def test_missing_file(tmp_path):
    refused(tmp_path / "nowhere.mp4", "no such file")


def test_dangling_link(tmp_path):
    (tmp_path / "link.mp4").symlink_to(tmp_path / "gone.mp4")
    refused(tmp_path / "link.mp4", "is a link to a file that is not there")


def test_folder(tmp_path):
    refused(tmp_path, "is a folder")


def test_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe.mp4")
    refused(tmp_path / "pipe.mp4", "not a regular file")


def test_no_permission(make_media, monkeypatch):
    path = make_media()

    def forbid(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", forbid)
    refused(path, "check its permissions")


def test_zero_character_in_the_path():
    with pytest.raises(MsmaError, match="cannot be opened"):
        load_clip("a\0b.mp4")


def test_address_is_not_read():
    with pytest.raises(MsmaError, match="download the file"):
        load_clip("https://example.org/clip.mp4")


def test_empty_file(tmp_path):
    (tmp_path / "empty.mp4").touch()
    refused(tmp_path / "empty.mp4", "is empty")


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (bytes(range(200, 20, -1)) * 20, "is not a known video or audio file"),
        (b"\0" * 5000, "holds only zeros"),
        (b"\x89PNG\r\n\x1a\n" + b"x" * 100, "still image"),
        (b"#EXTM3U\n#EXTINF:1,\nother.ts\n", "points to other files"),
        (b"v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\n", "points to other files"),
        (b"ffconcat version 1.0\nfile other.mp4\n", "points to other files"),
        (b"hello, this is a letter", "is not a known video or audio file"),
    ],
)
def test_not_media(tmp_path, content, text):
    path = tmp_path / "film.mp4"
    path.write_bytes(content)
    refused(path, text)


def test_script_cannot_open_another_file_even_if_taken_for_media(make_media, tmp_path, monkeypatch):
    make_media("secret.mp4")
    script = tmp_path / "film.mp4"
    script.write_text("ffconcat version 1.0\nfile secret.mp4\n")
    with av.open(str(script), format="concat") as opened:  # what FFmpeg does when nobody stops it
        assert opened.streams.video
    monkeypatch.setattr(container_module, "demuxer_for", lambda _: "concat")
    refused(script, "is damaged")


def test_mp4_without_index(make_media):
    path = make_media(size=(320, 240), options={"crf": "1"})
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    refused(path, "index (moov atom) is missing")


def test_mp4_whose_index_is_broken(make_media):
    path = make_media()
    content = path.read_bytes()
    position = content.index(b"moov")
    path.write_bytes(content[: position + 4] + b"\xff" * 400)
    refused(path, "download or convert it again")


@pytest.mark.parametrize("name", ["a.mp4", "a.wav"])
def test_zero_samples(make_media, name):
    path = make_media(name, seconds=0, fps=None if name == "a.wav" else 10, codecs=("libx264", "pcm_s16le"))
    refused(path, "holds no video and no audio")


def test_more_bytes_than_allowed(make_media):
    refused(make_media(), "raise max_bytes", Limits(max_bytes=1000))


def test_claims_8k(make_media):
    path = make_media(size=(8192, 4320), seconds=0.1, rate=None, options={"preset": "ultrafast", "crf": "51"})
    assert path.stat().st_size < 1_000_000
    refused(path, "8192x4320")


def test_claims_ten_hours(make_media):
    path = make_media("long.mkv")
    content = path.read_bytes()
    position = content.index(b"\x44\x89\x88") + 3
    path.write_bytes(content[:position] + struct.pack(">d", 36_000_000.0) + content[position + 8 :])
    refused(path, "claims to last 36000 s")


@pytest.mark.parametrize(("name", "codec"), [("clip.ts", "aac"), ("sound.wav", "pcm_s16le")])
def test_runs_longer_than_allowed(make_media, monkeypatch, name, codec):
    path = make_media(name, fps=10 if name == "clip.ts" else None, codecs=("libx264", codec))
    refused(path, "max_seconds", Limits(max_seconds=1.0))


@pytest.mark.parametrize("kind", ["video", "audio"])
def test_runs_longer_than_it_claims(make_media, kind):
    path = make_media("a.mkv", fps=10 if kind == "video" else None, rate=16000 if kind == "audio" else None)
    content = path.read_bytes()
    position = content.index(b"\x44\x89\x88") + 3
    path.write_bytes(content[:position] + struct.pack(">d", 500.0) + content[position + 8 :])
    refused(path, "runs beyond the limit of 1 s", Limits(max_seconds=1.0))


def test_impossible_sample_rate_costs_the_audio_only(make_media):
    path = make_media("a.avi", codecs=("mpeg4", "pcm_s16le"), options={})
    content = path.read_bytes()
    clip = load_clip(content.replace(struct.pack("<HHI", 1, 1, 16000), struct.pack("<HHI", 1, 1, 7)))
    assert clip.reasons == ("audio track has an impossible sample rate (7 Hz)",)
    assert len(clip.frames) == 8
    assert len(clip.waveform) == 0


def test_too_many_frames_a_second(make_media):
    refused(make_media(fps=100, seconds=4), "more than 20 frames a second", Limits(max_fps=20))


def test_too_many_streams(make_media):
    refused(make_media(), "2 streams are over the limit of 1", Limits(max_streams=1))


@given(st.binary(max_size=600))
@example(b"RIFF\0\0\0\0AVI ")
@example(b"ID3\x04\0\0\0\0\0\0\xff\xf1\x50\x80")
def test_sniffing_takes_any_bytes(head):
    demuxer = demuxer_for(head)
    assert demuxer is None or av.ContainerFormat(demuxer, "r").is_input


@given(st.binary(max_size=400))
def test_random_bytes_end_in_one_clear_error(content):
    with pytest.raises(MsmaError):
        load_clip(content, name="random bytes")


@given(st.lists(st.integers(0, 2**32 - 1), max_size=20))
def test_looking_for_the_index_ends(tmp_path_factory, sizes):
    path = tmp_path_factory.mktemp("atoms") / "atoms.mp4"
    path.write_bytes(b"".join(struct.pack(">I4s", size, b"free") for size in sizes))
    with path.open("rb") as file:
        assert not mov_has_index(file)


@pytest.mark.parametrize(
    ("name", "codecs", "demuxer"),
    [
        ("a.mp4", ("libx264", "aac"), "mov"),
        ("a.mov", ("mpeg4", "pcm_s16le"), "mov"),
        ("a.mkv", ("libx264", "aac"), "matroska"),
        ("a.webm", ("libvpx", "libopus"), "matroska"),
        ("a.avi", ("mpeg4", "mp2"), "avi"),
        ("a.mpg", ("mpeg2video", "mp2"), "mpeg"),
        ("a.ts", ("libx264", "aac"), "mpegts"),
        ("a.flv", ("flv", "aac"), "flv"),
        ("a.wmv", ("msmpeg4v3", "libmp3lame"), "asf"),
        ("a.m2v", ("mpeg2video", ""), "mpegvideo"),
        ("a.wav", ("", "pcm_s16le"), "wav"),
        ("a.mp3", ("", "libmp3lame"), "mp3"),
        ("a.mp2", ("", "mp2"), "mp3"),
        ("a.flac", ("", "flac"), "flac"),
        ("a.ogg", ("", "libopus"), "ogg"),
        ("a.aac", ("", "aac"), "aac"),
        ("a.m4a", ("", "aac"), "mov"),
        ("a.aiff", ("", "pcm_s16be"), "aiff"),
    ],
)
def test_every_container_is_read_by_its_content(make_media, name, codecs, demuxer):
    path = make_media(
        name,
        fps=25 if codecs[0] else None,
        rate=48000 if codecs[1] else None,
        codecs=codecs,
        layout="stereo",
        options={},
    )
    renamed = path.rename(path.with_suffix(".bin"))
    clip = load_clip(renamed)
    assert clip.media.container == demuxer
    assert len(clip.frames) == (8 if codecs[0] else 0)
    if codecs[1]:
        assert len(clip.waveform) / 16000 == pytest.approx(2.0, abs=0.08)
    assert clip.reasons == tuple(
        reason for reason, codec in (("no video track", codecs[0]), ("no audio track", codecs[1])) if not codec
    )
