"""Clips in tables of others: matched by the longest common end, never with another's, and never by a guess."""

from __future__ import annotations

from pathlib import Path

import pytest

from msma.data.corpora.clip_names import Names, match_clips, names_of_clips
from msma.data.corpora.manifest import Manifest, Row
from msma.types import MsmaError

NFC, NFD = "caf\u00e9.mp4", "cafe\u0301.mp4"


def corpus(*clips: str, **paths: str) -> Manifest:
    """Clips whose files are below /corpus; `paths` are those of clips that are not called like their files."""
    where = {clip: clip for clip in clips} | paths
    rows = (Row(clip, Path("/corpus", path), clip, "test", (0.5,) * 5) for clip, path in where.items())
    return Manifest("mine", tuple(rows), {})


def table(*paths: str) -> Manifest:
    """A manifest as `msma prepare table` makes it, of files that are called as the clips."""
    rows = (Row(Path(path).name, Path("/corpus", path), path, "test", (0.5,) * 5) for path in paths)
    return Manifest("mine", tuple(rows), {"named_folders": all("/" in path for path in paths)})


def matched(manifest: Manifest, *written: str) -> list[str | None]:
    return match_clips(written, Names(names_of_clips(manifest)), lambda place: f"row {place + 1}")


TWO = corpus("P1/intro.mp4", "P2/intro.mp4")


@pytest.mark.parametrize(
    "written",
    [
        ("P1/intro.mp4", "P2/intro.mp4"),
        ("/data/P1/intro.mp4", "./P2/intro.mp4"),
        ("P1\\intro.mp4", "C:\\data\\P2\\intro.mp4"),
        ("P1/intro", "P2/intro"),
        ("p1/Intro.MP4", "P2/INTRO"),
        ("x/../P1/intro.mp4", "P2//intro.mp4"),
    ],
    ids=["as they are", "whole paths", "Windows", "no suffix", "case", "dots"],
)
def test_a_path_takes_the_clip_of_its_folder(written):
    assert matched(TWO, *written) == ["P1/intro.mp4", "P2/intro.mp4"]


@pytest.mark.parametrize(
    "written", ["P3/intro.mp4", "/data/P3/intro.mp4", "P3\\intro", "intro.mp4/P1", "outro.mp4", ""]
)
def test_what_is_in_no_folder_of_the_labels_takes_none(written):
    assert matched(TWO, written) == [None]


def test_a_folder_that_the_table_of_labels_names_counts_even_if_all_share_it():
    manifest = table("P2/intro.mp4", "P2/outro.mp4")
    assert matched(manifest, "P1/intro.mp4", "P2/outro.mp4") == [None, "outro.mp4"]
    assert matched(manifest, "P1/intro.mp4", "P2/intro.mp4") == [None, "intro.mp4"]
    assert matched(manifest, "/elsewhere/P2/intro.mp4", "outro") == ["intro.mp4", "outro.mp4"]


def test_a_folder_that_labels_do_not_name_does_not_count():
    assert matched(corpus("a.001.mp4"), "test80_17/a.001.mp4") == ["a.001.mp4"]
    assert matched(table("a.mp4"), "/anywhere/a.mp4") == ["a.mp4"]


def test_labels_with_whole_paths_match_relative_ones():
    manifest = corpus("/home/ann/P1/intro.mp4", "/home/ann/P2/intro.mp4")
    assert matched(manifest, "P2/intro.mp4", "P1/intro.mp4") == ["/home/ann/P2/intro.mp4", "/home/ann/P1/intro.mp4"]


def test_a_clip_called_otherwise_is_found_by_its_file_in_its_folder():
    manifest = corpus(ann="P1/intro.mp4", bob="P2/intro.mp4")
    assert matched(manifest, "P2/intro.mp4", "ann", "P3/intro.mp4") == ["bob", "ann", None]


def test_two_labels_for_one_prediction_are_an_error_that_names_both():
    with pytest.raises(MsmaError, match=r"row 1: 'intro.mp4' fits several clips, 'P1/intro.mp4' and 'P2/intro.mp4'"):
        matched(TWO, "intro.mp4")


def test_two_predictions_for_one_label_are_an_error_that_names_both():
    with pytest.raises(MsmaError, match=r"row 3: 'P2/intro.mp4' and 'P1/intro.mp4' both fit the clip 'intro.mp4'"):
        matched(corpus("intro.mp4", "outro.mp4"), "P1/intro.mp4", "outro.mp4", "P2/intro.mp4")


def test_of_two_predictions_the_longer_common_end_takes_the_label():
    manifest = corpus("a.001.mp4", **{"b.001.mp4": "val/b.001.mp4"})
    assert matched(manifest, "old/b.001.mp4", "val/b.001.mp4") == [None, "b.001.mp4"]


def test_one_prediction_may_be_written_twice():
    assert matched(corpus("intro.mp4"), "P1/intro.mp4", "intro") == ["intro.mp4", "intro.mp4"]


def test_a_whole_name_means_its_clip_though_others_end_so():
    assert matched(corpus("intro.mp4", "P1/intro.mp4"), "intro.mp4", "P1/intro.mp4") == ["intro.mp4", "P1/intro.mp4"]


def test_case_counts_where_it_tells_clips_apart():
    manifest = corpus("A.mp4", "a.mp4")
    assert matched(manifest, "a.mp4", "x/A.mp4") == ["a.mp4", "A.mp4"]
    with pytest.raises(MsmaError, match=r"'A.MP4' fits several clips, 'A.mp4' and 'a.mp4'"):
        matched(manifest, "A.MP4")


@pytest.mark.parametrize(("label", "written"), [(NFC, NFD), (NFD, NFC)], ids=["NFD written", "NFC written"])
def test_unicode_is_compared_as_it_is_read(label, written):
    assert matched(corpus(label), f"caf\u00e9/{written}") == [label]


def test_bytes_that_are_no_text_match_what_is_shown_of_them():
    assert matched(corpus("caf\udce9.mp4"), "P1/caf\\udce9.mp4") == ["caf\udce9.mp4"]
