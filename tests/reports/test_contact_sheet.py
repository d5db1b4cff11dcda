"""The page of the corruptions: self-contained, complete, and safe whatever a file is called."""

from __future__ import annotations

import base64
import re
from dataclasses import replace

import cv2
import numpy as np
import pytest
from markupsafe import escape
from parsed_page import Page

from msma.corruptions.table import CORRUPTIONS, find_corruption
from msma.media.clip import clip_from_arrays, load_clip
from msma.reports.contact_sheet import MOVING, contact_sheet
from msma.reports.media import STILL_SIDE
from msma.types import SAMPLE_RATE, Clip


@pytest.fixture(scope="module")
def clip() -> Clip:
    rng = np.random.default_rng(0)
    frames = rng.integers(0, 256, (8, 48, 64, 3), np.uint8)
    waveform = (0.1 * rng.standard_normal(2 * SAMPLE_RATE)).clip(-1, 1).astype(np.float32)
    return clip_from_arrays(frames, waveform, fps=4.0, name="person.mp4")


def sheet(clip: Clip, *names: str, severities: tuple[int, ...] = (3,)) -> str:
    return contact_sheet(
        clip, [find_corruption(name) for name in names], severities, donor=replace(clip, name="other.mp4")
    )


def test_the_page_asks_nobody_for_anything(clip):
    page = Page(sheet(clip, "white_noise", "gaussian_noise"))
    sources = [value for _, attributes in page.tags for key, value in attributes.items() if key in ("src", "href")]
    assert sources
    assert all(source and source.startswith(("data:", "#")) for source in sources)
    assert not {"script", "link", "iframe", "object", "base"} & {tag for tag, _ in page.tags}
    assert page.policy().startswith("default-src 'none';")


def test_every_corruption_has_a_section_with_what_it_does_and_its_level(clip):
    page = sheet(clip, *CORRUPTIONS)
    for row in CORRUPTIONS.values():
        assert f'id="{row.name}"' in page
        assert str(escape(row.about[1:])) in page
        assert f"{row.parameter} {row.level(row.severities[len(row.severities) // 2]):g}" in page


def test_the_clean_clip_comes_first_and_severities_follow(clip):
    page = sheet(clip, "white_noise", severities=(5, 1))
    assert re.findall(r"<figcaption><strong>([^<]*)<", page) == ["Clean", "Severity 1", "Severity 5"]


def test_what_is_all_or_nothing_is_shown_whatever_the_severity(clip):
    page = sheet(clip, "no_audio", severities=(1,))
    assert re.findall(r"<figcaption><strong>([^<]*)<", page) == ["Clean", "Severity 5"]
    assert "no audio" in page


def test_a_corruption_of_the_audio_is_heard_and_one_of_the_frames_is_seen(clip):
    heard, seen = Page(sheet(clip, "white_noise")), Page(sheet(clip, "gaussian_noise"))
    assert (len(heard.all("audio")), len(heard.all("svg")), len(heard.all("img"))) == (2, 2, 0)
    assert (len(seen.all("audio")), len(seen.all("svg")), len(seen.all("img"))) == (0, 0, 8)


def test_where_neither_modality_is_corrupted_both_are_there(clip):
    apart = replace(find_corruption("no_audio"), modalities=(), apply=lambda clip, *_: clip)
    page = Page(contact_sheet(clip, [apart], (5,), donor=clip))
    assert (len(page.all("audio")), len(page.all("img"))) == (2, 8)


def test_the_families_that_have_a_film_are_in_the_table():
    assert {row.family for row in CORRUPTIONS.values()} >= MOVING


def test_what_only_shows_in_motion_has_a_film_with_its_audio(clip, tmp_path):
    still = replace(find_corruption("no_visual"), family="timing", apply=lambda clip, *_: clip)
    _, film = Page(contact_sheet(clip, [still], (5,), donor=clip)).all("video")
    path = tmp_path / "film.mp4"
    path.write_bytes(base64.b64decode((film["src"] or "").removeprefix("data:video/mp4;base64,")))
    played = load_clip(path)
    assert played.duration_s == pytest.approx(clip.duration_s, abs=0.15)
    assert len(played.waveform) == pytest.approx(len(clip.waveform), rel=0.05)
    off = [[np.abs(shown - own.astype(int)).mean() for own in clip.frames] for shown in played.frames]
    assert np.argmin(off, axis=1).tolist() == list(range(len(clip.frames)))


def test_the_audio_is_the_corrupted_one(clip, tmp_path):
    sources = [audio["src"] or "" for audio in Page(sheet(clip, "white_noise", severities=(5,))).all("audio")]
    levels = []
    for source in sources:
        path = tmp_path / "audio.mp3"
        path.write_bytes(base64.b64decode(source.removeprefix("data:audio/mpeg;base64,")))
        waveform = load_clip(path).waveform
        assert abs(len(waveform) - len(clip.waveform)) < 0.1 * SAMPLE_RATE
        levels.append(np.square(waveform).mean())
    assert levels[1] / levels[0] == pytest.approx(2, rel=0.2)  # noise as loud as the audio


def test_the_frames_are_the_corrupted_ones(clip):
    grey = replace(clip, frames=np.full((8, 480, 640, 3), 128, np.uint8))
    sources = [image["src"] or "" for image in Page(sheet(grey, "gaussian_noise", severities=(5,))).all("img")]
    jpegs = [base64.b64decode(source.removeprefix("data:image/jpeg;base64,")) for source in sources]
    shown = [cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR) for jpeg in jpegs]
    assert {max(frame.shape) for frame in shown if frame is not None} == {STILL_SIDE}
    spread = [float(frame.std()) for frame in shown if frame is not None]
    assert max(spread[:4]) < 1 < 10 < min(spread[4:])


def test_a_time_without_a_frame_says_so(clip):
    def half(clip: Clip, rng: np.random.Generator, level: float) -> Clip:
        return replace(clip, frames=clip.frames[:4], frame_times_s=clip.frame_times_s[:4])

    page = contact_sheet(clip, [replace(find_corruption("no_visual"), apply=half)], (5,), donor=clip)
    assert page.count("no frame</div>") == 2


def test_a_clip_without_audio_or_without_frames_is_no_trouble(clip):
    silent = replace(clip, waveform=clip.waveform[:0])
    dark = replace(clip, frames=clip.frames[:0], frame_times_s=clip.frame_times_s[:0])
    assert Page(sheet(silent, "white_noise", "gaussian_noise")).all("audio") == []
    assert Page(sheet(dark, "white_noise", "gaussian_noise")).all("img") == []


def test_every_frame_player_and_drawing_has_a_name_for_those_who_cannot_see_it(clip):
    page = Page(sheet(clip, "white_noise", "gaussian_noise"))
    assert all("severity 3" in (image["alt"] or "") or "clean" in (image["alt"] or "") for image in page.all("img"))
    assert all(part["aria-label"] for tag in ("audio", "svg", "nav") for part in page.all(tag))
    titles = {title["id"] for title in page.all("h3")}
    assert all(part["aria-labelledby"] in titles for part in page.all("section"))
    assert page.all("html") == [{"lang": "en"}]


@pytest.mark.parametrize("name", ['<script>alert("1")</script>.mp4', "a&b'\".mp4", "lone \udcff surrogate.mp4"])
def test_names_of_files_are_escaped(clip, name):
    row = replace(find_corruption("white_noise"), needs=("donor",), apply=lambda waveform, *_, **__: waveform)
    page = contact_sheet(replace(clip, name=name), [row], (3,), donor=replace(clip, name=name))
    shown = str(escape(name.encode("utf-8", "backslashreplace").decode()))
    assert page.count(shown) == 2
    assert Page(page).all("script") == []
    assert page.encode()  # can be written
