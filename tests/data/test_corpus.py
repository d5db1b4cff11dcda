"""A manifest joined with its clip cache: which clips can be read, and where they are."""

from __future__ import annotations

from pathlib import Path

import pytest

from msma.data.cache import CacheReport
from msma.data.corpora.manifest import Manifest, Row
from msma.data.corpus import Corpus
from msma.types import MsmaError

ROWS = [Row(f"{i}.mp4", Path(f"{i}.mp4"), str(i), ("train", "test")[i % 2], (0.5,) * 5) for i in range(5)]


def corpus_of(*readable: str) -> Corpus:
    report = CacheReport(Path("cache"), {f"{name}.mp4": Path("cache") / f"{name}.clip" for name in readable})
    return Corpus(Manifest("planted", tuple(ROWS), {}), report)


def names(rows) -> list[str]:
    return [row.clip for row in rows]


def test_clips_that_cannot_be_read_are_left_out():
    assert names(corpus_of("4", "1").rows) == ["1.mp4", "4.mp4"]


def test_a_split_has_its_clips_that_can_be_read():
    corpus = corpus_of("0", "1", "4")
    assert names(corpus.split("train")) == ["0.mp4", "4.mp4"]
    assert names(corpus.split("test")) == ["1.mp4"]


def test_all_is_a_split():
    assert names(corpus_of("0", "1", "4").split("all")) == ["0.mp4", "1.mp4", "4.mp4"]


def test_a_split_of_which_no_clip_can_be_read_is_one_line():
    with pytest.raises(MsmaError, match=r"^planted: no clip of split 'test' can be read; see the table above$"):
        corpus_of("0").split("test")


def test_a_split_that_the_manifest_does_not_have_is_one_line():
    with pytest.raises(MsmaError, match=r"split 'val' has no clips in this manifest; it has: test \(2\), train \(3\)"):
        corpus_of("0", "1").split("val")


def test_the_entry_of_a_clip_is_its_file_in_the_cache():
    corpus = corpus_of("3")
    assert corpus.entry(corpus.rows[0]) == Path("cache/3.clip")
