"""What folders and patterns mean: media by content, and a word on all that is passed over."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from msma.prediction.folders import FORBIDDEN, LINKED, MATCHED, NO_MEDIA, NOTES, SPECIAL, media_files


@pytest.fixture
def folder(tmp_path) -> Path:
    made = tmp_path / "folder"
    made.mkdir()
    return made


def names(folder: Path, **options: bool) -> list[str]:
    return [Path(path).name for path in media_files([str(folder)], **options).files]


def passed_over(folder: Path | str, **options: bool) -> dict[str, list[str]]:
    """Names by what is the matter with them."""
    found = media_files([str(folder)], **options).passed_over
    return {kind: [Path(path).name for path in paths] for kind, paths in found.items() if paths}


@pytest.mark.parametrize(
    ("made", "name", "codecs"),
    [
        ("a.mp4", "a", ("libx264", "aac")),
        ("a.mp4", "a.3g2", ("libx264", "aac")),
        ("a.mkv", "a.backup", ("libx264", "aac")),
        ("a.mov", "a.qt", ("libx264", "aac")),
        ("a.mpg", "a.vob", ("mpeg2video", "mp2")),
        ("a.ts", "a.txt", ("libx264", "aac")),
        ("a.avi", "a.jpg", ("mpeg4", "mp2")),
        ("a.aiff", "a.dat", ("", "pcm_s16be")),
        ("a.mp3", "a.part", ("", "libmp3lame")),
    ],
)
def test_media_is_known_by_content(make_media, folder, made, name, codecs):
    rates = {"fps": 25 if made == "a.mpg" else 10 if codecs[0] else None, "rate": 48000}
    make_media(made, codecs=codecs, options={}, **rates).rename(folder / name)
    assert names(folder) == [name]
    assert passed_over(folder) == {}


@pytest.mark.parametrize(
    "content",
    [b"", b"notes\n" * 50, "name,score\n".encode("utf-16"), b"\x89PNG\r\n\x1a\n", b"PK\x03\x04", b"{}", bytes(3000)],
    ids=["empty", "text", "UTF-16", "PNG", "zip", "JSON", "zeros"],
)
def test_what_is_no_media_is_counted_and_can_be_included(make_media, folder, content):
    make_media().rename(folder / "clip.mp4")
    (folder / "other").write_bytes(content)
    assert names(folder) == ["clip.mp4"]
    assert passed_over(folder) == {NO_MEDIA: ["other"]}
    assert names(folder, all_files=True) == ["clip.mp4", "other"]


def test_damaged_media_is_taken_by_its_name_so_that_it_fails_with_its_reason(folder):
    (folder / "cut.MP4").write_bytes(bytes(100))
    assert names(folder) == ["cut.MP4"]


def test_notes_of_macos_are_counted(make_media, folder):
    make_media().rename(folder / "clip.mp4")
    (folder / "._clip.mp4").write_bytes(b"\x00\x05\x16\x07\x00\x02\x00\x00Mac OS X" + bytes(100))
    assert names(folder) == ["clip.mp4"]
    assert passed_over(folder) == {NOTES: ["._clip.mp4"]}
    assert names(folder, all_files=True) == ["._clip.mp4", "clip.mp4"]


def test_media_whose_name_begins_like_a_note_is_media(make_media, folder):
    make_media().rename(folder / "._clip.mp4")
    assert names(folder) == ["._clip.mp4"]


def test_linked_folders_are_counted_and_can_be_followed(make_media, folder, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    make_media().rename(tmp_path / "elsewhere" / "clip.mp4")
    (folder / "link").symlink_to(tmp_path / "elsewhere")
    assert passed_over(folder) == {LINKED: ["link"]}
    assert media_files([str(folder)], follow_links=True).files == [str(folder / "link" / "clip.mp4")]


def test_links_in_a_circle_are_followed_once(make_media, folder):
    make_media().rename(folder / "clip.mp4")
    (folder / "again").symlink_to(folder)
    assert names(folder, follow_links=True) == ["clip.mp4"]


def test_a_linked_file_is_a_file(make_media, folder):
    (folder / "clip").symlink_to(make_media())
    assert names(folder) == ["clip"]


def test_a_folder_that_may_not_be_read_is_counted(make_media, folder, monkeypatch):
    make_media().rename(folder / "clip.mp4")
    (folder / "closed").mkdir()
    scandir = os.scandir

    def guarded(path: str):
        if str(path).endswith("closed"):
            raise PermissionError(13, "Permission denied", path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", guarded)
    assert names(folder) == ["clip.mp4"]
    assert passed_over(folder) == {FORBIDDEN: ["closed"]}


def test_a_pipe_is_counted_and_never_opened(make_media, folder):
    make_media().rename(folder / "clip.mp4")
    os.mkfifo(folder / "pipe")
    assert passed_over(folder, all_files=True) == {SPECIAL: ["pipe"]}


def test_folders_that_a_pattern_matches_are_counted(make_media, folder):
    make_media().rename(folder / "clip.mp4")
    (folder / "deep").mkdir()
    assert passed_over(f"{folder}/*") == {MATCHED: ["deep"]}


def test_each_kind_is_one_line_with_an_example(folder):
    for name in ("a.txt", "b.txt", "._c.mp4"):
        (folder / name).write_text("text")
    first, second = media_files([str(folder)]).lines()
    assert first == f"passed over: 2 that hold no media that is known; --all-files includes them ({folder}/a.txt, …)"
    assert second.startswith("passed over: 1 that are notes of macOS")
