"""One file of the cache: what comes back is what went in, and no damage stays unseen."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from msma.config import ClipConfig, Limits
from msma.data.cache_entry import cached_windows, read_notes, to_int16, write_entry
from msma.media.audio import SILENT_DB, level_db
from msma.media.clip import clip_from_arrays, load_windows
from msma.media.faces import Detector, track_face
from msma.media.prepare import prepare
from msma.types import MsmaError, RawWindow

CONFIG = ClipConfig(fps=2.0, window_s=2.0)
LEFT_HALF = Detector("left", lambda p: np.array([[0, 0, p.shape[1] / 2, p.shape[0], 0.9]], np.float32))


def decoded(path: Path) -> list[RawWindow]:
    clips = load_windows(path, CONFIG, Limits())
    return [RawWindow(clip, track_face(clip, CONFIG, LEFT_HALF)) for clip in clips]


def gradient(index: int, width: int, height: int) -> np.ndarray:
    """A frame with smooth light and colour, as frames have."""
    x, y = np.meshgrid(np.linspace(0, 200, width), np.linspace(0, 200, height))
    return np.stack([x + index, y + index, 200 - x], axis=-1).astype(np.uint8)


def kept(frames: np.ndarray | None, waveform: np.ndarray | None) -> RawWindow:
    clip = clip_from_arrays(frames, waveform, fps=2.0)
    return RawWindow(clip, track_face(clip, CONFIG, LEFT_HALF))


@pytest.fixture(scope="module")
def entry(tmp_path_factory) -> Path:
    """A small entry with two windows."""
    rng = np.random.default_rng(0)
    pictures = rng.integers(0, 255, (2, 8, 8, 3), np.uint8)
    window = kept(pictures, rng.uniform(-0.5, 0.5, 300).astype(np.float32))
    path = tmp_path_factory.mktemp("entry") / "small.clip"
    write_entry(path, [window, replace(window, clip=replace(window.clip, reasons=("breaks off",)))])
    return path


def test_everything_of_a_decoded_clip_comes_back_and_only_frames_lose_a_little(make_media, tmp_path):
    windows = decoded(make_media(seconds=5.0, picture=gradient, size=(160, 120)))
    write_entry(tmp_path / "a.clip", windows)
    again = list(cached_windows(tmp_path / "a.clip"))
    assert len(again) == len(windows) == 2
    for before, after in zip(windows, again, strict=True):
        assert np.array_equal(after.clip.waveform, before.clip.waveform)
        assert np.array_equal(after.clip.frame_times_s, before.clip.frame_times_s)
        assert np.array_equal(after.face.boxes, before.face.boxes)
        assert np.array_equal(after.face.valid, before.face.valid)
        rest = replace(before.clip, frames=after.clip.frames, frame_times_s=after.clip.frame_times_s)
        assert vars(replace(rest, waveform=after.clip.waveform)) == vars(after.clip)
        assert (after.face.detector, after.face.reasons) == ("left", before.face.reasons)
        assert np.abs(after.clip.frames.astype(float) - before.clip.frames).mean() < 1.0


def test_an_entry_in_a_folder_whose_name_is_no_text_comes_back(tmp_path):
    window = kept(np.zeros((2, 8, 8, 3), np.uint8), None)
    named = replace(window, clip=replace(window.clip, name="\udcfe.mp4"))
    write_entry(tmp_path / "\udcff" / "a.clip", [named])
    assert [one.clip.name for one in cached_windows(tmp_path / "\udcff" / "a.clip")] == [r"\udcfe.mp4"]


def test_the_same_windows_give_the_same_bytes(entry, tmp_path):
    windows = list(cached_windows(entry))
    for name in ("one", "other"):
        write_entry(tmp_path / name, windows)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "other").read_bytes()


@pytest.mark.parametrize("lacking", ["picture", "sound"])
def test_a_clip_that_lacks_a_stream_is_kept_as_such(tmp_path, lacking):
    frames = None if lacking == "picture" else np.full((3, 8, 10, 3), 50, np.uint8)
    window = kept(frames, None if lacking == "sound" else np.full(100, 0.5, np.float32))
    write_entry(tmp_path / "a.clip", [window])
    (again,) = cached_windows(tmp_path / "a.clip")
    assert again.clip.frames.shape == window.clip.frames.shape
    assert np.array_equal(again.clip.waveform, window.clip.waveform)
    assert again.face.boxes.shape == window.face.boxes.shape


def test_some_windows_can_be_read_alone(entry):
    (second,) = cached_windows(entry, [1])
    assert second.clip.reasons == ("breaks off",)


@pytest.mark.parametrize("modality", ["audio", "visual"])
def test_of_a_modality_that_is_not_asked_for_nothing_is_read(entry, modality):
    both, alone = next(cached_windows(entry)), next(cached_windows(entry, modalities=(modality,)))
    heard, seen = modality == "audio", modality == "visual"
    assert np.array_equal(alone.clip.waveform, both.clip.waveform[: None if heard else 0])
    assert np.array_equal(alone.clip.frames, both.clip.frames[: None if seen else 0])
    assert len(alone.clip.frame_times_s) == len(alone.face.boxes) == len(alone.clip.frames)
    assert prepare(alone, CONFIG).inputs.present.tolist() == [heard, seen]


def test_notes_tell_of_each_window_why_it_is_less_than_perfect(tmp_path):
    window = kept(np.zeros((2, 8, 8, 3), np.uint8), np.full(16000, 2e-4, np.float32))
    write_entry(tmp_path / "a.clip", [replace(window, face=replace(window.face, reasons=("several faces",)))])
    (notes,) = read_notes(tmp_path / "a.clip")
    assert notes["degradations"] == ["audio is very quiet (-74 dBFS)", "several faces"]


# audio


@given(st.lists(st.integers(-32768, 32767), max_size=50))
@settings(deadline=None)
def test_sixteen_bit_audio_is_kept_exactly(samples):
    waveform = (np.array(samples) / 32768).astype(np.float32)
    whole, step = to_int16(waveform)
    assert np.array_equal((whole * step).astype(np.float32), waveform)


@given(peak=st.floats(2.0**-24, 4.0, width=32), seed=st.integers(0, 99))
@settings(max_examples=50, deadline=None)
@example(peak=1.0, seed=0)
def test_any_other_audio_is_kept_to_16_bits_of_its_own_loudest_sample_and_never_clipped(peak, seed):
    waveform = np.random.default_rng(seed).uniform(-peak, peak, 300).astype(np.float32)
    waveform[7] = -peak
    whole, step = to_int16(waveform)
    assert np.abs(whole * step - waveform).max() <= peak / 32767 * 0.51


def test_the_largest_sample_that_16_bits_lack_is_not_clipped():
    waveform = np.array([1.0, -1.0, 0.5, 0.0], np.float32)
    whole, step = to_int16(waveform)
    assert whole * step == pytest.approx(waveform, abs=2e-5)


@pytest.mark.parametrize("level", [SILENT_DB - 0.5, SILENT_DB + 0.5, -100.0])
def test_very_quiet_audio_keeps_its_level(level):
    waveform = np.random.default_rng(0).normal(0, 10 ** (level / 20), 16000).astype(np.float32)
    whole, step = to_int16(waveform)
    assert level_db((whole * step).astype(np.float32)) == pytest.approx(level_db(waveform), abs=0.001)


def test_audio_that_is_not_finite_is_refused(tmp_path):
    window = kept(None, np.zeros(100, np.float32))
    window.clip.waveform[5] = np.nan
    with pytest.raises(MsmaError, match="not finite"):
        write_entry(tmp_path / "a.clip", [window])
    assert not (tmp_path / "a.clip").exists()


# damage


@given(where=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
@settings(max_examples=300, deadline=None)
@example(where=0.0, bit=0)
@example(where=0.9999999, bit=7)
def test_every_flipped_bit_is_found(entry, where, bit):
    content = bytearray(entry.read_bytes())
    content[int(where * len(content))] ^= 1 << bit
    flipped = entry.with_name("flipped.clip")
    flipped.write_bytes(content)
    with pytest.raises(MsmaError, match=r"flipped\.clip: damaged cache entry \([^\n]+\); delete it[^\n]+$"):
        list(cached_windows(flipped))


@given(share=st.floats(0, 1, exclude_max=True))
@settings(max_examples=100, deadline=None)
def test_every_cut_is_found_even_without_the_digest(entry, share):
    content = entry.read_bytes()
    cut = entry.with_name("cut.clip")
    cut.write_bytes(content[: int(share * len(content))])
    for read in (lambda path: list(cached_windows(path)), read_notes):
        with pytest.raises(MsmaError, match="damaged cache entry"):
            read(cut)


def test_a_flipped_bit_that_leaves_what_the_notes_say_is_found(entry):
    content = entry.read_bytes()
    spelt = entry.with_name("flipped.clip")
    spelt.write_bytes(content.replace(b"e-05", b"E-05", 1))
    assert spelt.read_bytes() != content
    for read in (lambda path: list(cached_windows(path)), read_notes):
        with pytest.raises(MsmaError, match="damaged cache entry"):
            read(spelt)


def test_bytes_after_the_end_are_found(entry, tmp_path):
    (tmp_path / "long.clip").write_bytes(entry.read_bytes() + b"\0")
    for read in (lambda path: list(cached_windows(path)), read_notes):
        with pytest.raises(MsmaError, match="damaged cache entry"):
            read(tmp_path / "long.clip")


def test_an_entry_of_another_format_is_refused(entry, tmp_path):
    (tmp_path / "old.clip").write_bytes(entry.read_bytes().replace(b"msma clip 5", b"msma clip 1", 1))
    with pytest.raises(MsmaError, match="another format"):
        read_notes(tmp_path / "old.clip")


def test_an_entry_that_is_not_there_is_said_so(tmp_path):
    with pytest.raises(MsmaError, match=r"gone\.clip"):
        list(cached_windows(tmp_path / "gone.clip"))


def test_nothing_is_left_of_an_entry_whose_windows_end_in_a_failure(entry, tmp_path):
    def windows():
        yield from cached_windows(entry)
        raise MsmaError("video breaks off")

    with pytest.raises(MsmaError, match="breaks off"):
        write_entry(tmp_path / "a.clip", windows())
    assert list(tmp_path.iterdir()) == []
