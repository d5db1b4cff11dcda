"""Prediction files of any tool: what is read, what is counted, what is refused with its line and the remedy."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from labels import labelled_corpus, predictions_for, write_csv, write_predictions

from msma.data.corpora.manifest import Manifest, Row
from msma.evaluation.predictions_csv import Read, parse_trait_columns, read_predictions
from msma.types import TRAITS, MsmaError

SMALL = labelled_corpus(train=6, test=4, sources=3)
CLIPS = [row.clip for row in SMALL.split("test")]
HEADER = ["clip", *TRAITS]


def lines(clips: list[str] = CLIPS) -> list[list[object]]:
    return [[clip, 0.1, 0.2, 0.3, 0.4, index / 10] for index, clip in enumerate(clips)]


@pytest.fixture
def read(tmp_path):
    """Reads a file with these lines for the test split of SMALL."""

    def read_it(
        rows: list[list[object]], header: list[str] = HEADER, delimiter: str = ",", manifest: Manifest = SMALL, **how
    ) -> Read:
        path = write_csv(tmp_path / "p.csv", header, rows, delimiter)
        return read_predictions(path, manifest, "test", **how)

    return read_it


def scores_of(read: Read) -> list[list[float]]:
    return read.predictions.predicted.tolist()


EXPECTED = [[0.1, 0.2, 0.3, 0.4, index / 10] for index in range(4)]


def test_a_perfect_file_is_read_without_a_word(read):
    found = read(lines())
    assert (found.predictions.clips, scores_of(found)) == (CLIPS, EXPECTED)
    assert (found.failed, found.warnings) == ({}, [])
    assert np.array_equal(found.predictions.target, [row.target for row in SMALL.split("test")])


def test_the_order_is_that_of_the_manifest(read):
    assert read(lines()[::-1]).predictions.clips == CLIPS


def test_every_score_is_read_to_the_last_digit(tmp_path):
    manifest = labelled_corpus()
    predictions = predictions_for(manifest)
    path = write_predictions(tmp_path / "p.csv", predictions)
    assert np.array_equal(read_predictions(path, manifest, "test").predictions.predicted, predictions.predicted)


@pytest.mark.parametrize(
    "written",
    [
        lambda clip: clip.removesuffix(".mp4"),
        lambda clip: f"/data/test/{clip}",
        lambda clip: f"C:\\data\\{clip}",
        lambda clip: f"test/{clip.removesuffix('.mp4')}",
        lambda clip: f" {clip} ",
    ],
    ids=["without .mp4", "path", "path of Windows", "path without .mp4", "spaces"],
)
def test_a_clip_may_be_written_otherwise(read, written):
    assert read(lines([written(clip) for clip in CLIPS])).predictions.clips == CLIPS


def test_a_clip_of_the_manifest_may_lack_its_ending(read):
    rows = tuple(replace(row, clip=row.clip.removesuffix(".mp4")) for row in SMALL.rows)
    assert len(read(lines(), manifest=Manifest("bare", rows, {})).predictions.clips) == 4


def test_a_clip_is_found_by_the_file_that_it_is_in(read):
    rows = tuple(replace(row, clip=f"person {index}") for index, row in enumerate(SMALL.rows))
    found = read(lines(), header=["path", *TRAITS], manifest=Manifest("by person", rows, {}))
    assert found.predictions.clips == [f"person {index}" for index in range(6, 10)]


def test_a_name_that_fits_several_clips_is_an_error(read):
    rows = tuple(Row(f"{who}/1.mp4", Path(f"{who}/1.mp4"), who, "test", (0.5,) * 5) for who in ("ann", "bob"))
    manifest = Manifest("twice", (*SMALL.split("train"), *rows), {})
    assert len(read(lines(["ann/1.mp4", "bob/1.mp4"]), manifest=manifest).predictions.clips) == 2
    with pytest.raises(MsmaError, match=r"line 2: '1.mp4' fits several"):
        read(lines(["1.mp4"]), manifest=manifest)


@pytest.mark.parametrize("header", [["CLIP", *(t.upper() for t in TRAITS)], [" clip", *(f"{t} " for t in TRAITS)]])
def test_column_names_are_in_any_case(read, header):
    assert scores_of(read(lines(), header=header)) == EXPECTED


def test_columns_are_found_in_any_order_among_others(read):
    header = ["frames", *reversed(TRAITS), "interview", "clip"]
    found = read([[9, *reversed(scores), 0.7, clip] for clip, *scores in lines()], header=header)
    assert scores_of(found) == EXPECTED
    assert any("interview is not scored" in warning for warning in found.warnings)
    assert any("1 other columns are not read: 'frames'" in warning for warning in found.warnings)


def test_columns_can_be_named(read):
    header = ["VideoName", "o", "c", "e", "a", "Neurotisicm"]
    named = parse_trait_columns(
        "openness=o, conscientiousness=C,extraversion=e,agreeableness=a,neuroticism=neurotisicm"
    )
    assert scores_of(read(lines(), header=header, clip_column="videoname", trait_columns=named)) == EXPECTED


@pytest.mark.parametrize("text", ["o", "interview=i", "openness=", "openness=a,openness=b", "", "warmth=w"])
def test_names_of_columns_that_are_no_traits_are_refused(text):
    with pytest.raises(MsmaError, match="--trait-columns"):
        parse_trait_columns(text)


@pytest.mark.parametrize("delimiter", [";", "\t"], ids=["semicolon", "tab"])
def test_other_separators_are_read_with_points_and_with_commas(read, delimiter):
    assert scores_of(read(lines(), delimiter=delimiter)) == EXPECTED
    comma = [[clip, *(str(score).replace(".", ",") for score in scores)] for clip, *scores in lines()]
    assert scores_of(read(comma, delimiter=delimiter)) == EXPECTED


def test_quoted_decimal_commas_and_percent_are_read(read):
    comma = [[clip, *(str(score).replace(".", ",") for score in scores)] for clip, *scores in lines()]
    assert scores_of(read(comma)) == EXPECTED
    percent = [[clip, *(f"{100 * score:.0f}%" for score in scores)] for clip, *scores in lines()]
    found = read(percent)
    assert np.allclose(found.predictions.predicted, EXPECTED, rtol=0, atol=1e-15)
    assert any("column 'openness' is in percent; 100% was read as 1" in warning for warning in found.warnings)


def test_a_byte_order_mark_and_windows_line_ends_are_read(tmp_path):
    text = "\r\n".join(",".join(map(str, line)) for line in [HEADER, *lines()])
    (tmp_path / "p.csv").write_bytes(b"\xef\xbb\xbf" + text.encode())
    assert scores_of(read_predictions(tmp_path / "p.csv", SMALL, "test")) == EXPECTED


def test_empty_lines_are_no_lines(tmp_path):
    text = "\n\n".join(",".join(map(str, line)) for line in [HEADER, *lines()])
    (tmp_path / "p.csv").write_text(text + "\n\n")
    found = read_predictions(tmp_path / "p.csv", SMALL, "test")
    assert (scores_of(found), found.warnings) == (EXPECTED, [])


def test_missing_clips_are_counted_and_not_scored(read):
    found = read(lines()[:3])
    assert found.predictions.clips == CLIPS[:3]
    assert found.failed == {CLIPS[3]: "no prediction"}
    (warning,) = found.warnings
    assert f"1 of 4 clips of split 'test' have no prediction and are not scored: {CLIPS[3]}" in warning


def test_unknown_clips_are_counted_and_the_first_are_named(read):
    found = read([*lines(), *lines([f"new{i}.mp4" for i in range(5)])])
    (warning,) = found.warnings
    assert "5 rows are for clips that are not in the manifest: 'new0.mp4', 'new1.mp4', 'new2.mp4' and 2 more" in warning
    assert scores_of(found) == EXPECTED


def test_clips_of_other_splits_are_told_and_are_no_fault(read):
    (warning,) = read([*lines(), *lines([row.clip for row in SMALL.split("train")])], strict=True).warnings
    assert "6 rows are for clips of other splits" in warning


def test_a_clip_that_comes_twice_alike_is_counted(read):
    found = read([*lines(), lines()[2]])
    (warning,) = found.warnings
    assert f"1 rows repeat a clip with the same scores: {CLIPS[2]}" in warning
    assert scores_of(found) == EXPECTED


def test_a_clip_that_comes_twice_with_different_scores_is_an_error(read):
    other = [CLIPS[1], 0.1, 0.2, 0.3, 0.4, 0.9]
    with pytest.raises(MsmaError, match=rf"line 6: clip {CLIPS[1]} is duplicated with different scores"):
        read([*lines(), other])


@pytest.mark.parametrize("bad", ["", "nan", "n/a", "0.5.1", "inf", "None"])
def test_a_score_that_is_no_number_is_counted_and_its_clip_not_scored(read, bad):
    rows = lines()
    rows[1][2] = bad
    found = read(rows)
    assert found.failed == {CLIPS[1]: f"conscientiousness is {bad!r}"}
    assert found.predictions.clips == [CLIPS[0], *CLIPS[2:]]
    (warning,) = found.warnings
    assert "1 clips have a score that is not a number and are not scored" in warning


@pytest.mark.parametrize("score", ["1.2", "-0.01", "57", "1e9"])
def test_a_score_out_of_range_is_an_error_that_names_line_and_remedy(read, score):
    rows = lines()
    rows[2][4] = score
    with pytest.raises(
        MsmaError, match=rf"p.csv, line 4: agreeableness is {re.escape(score)}, not in \[0, 1\], one of 1 such.*--clamp"
    ):
        read(rows)


def test_scores_out_of_range_can_be_moved_to_the_ends(read):
    rows = lines()
    rows[0][1], rows[3][5] = 1.25, -3
    found = read(rows, clamp=True)
    assert (found.predictions.predicted[0, 0], found.predictions.predicted[3, 4]) == (1, 0)
    assert "2 scores outside [0, 1] were moved" in found.warnings[0]


@pytest.mark.parametrize(
    "rows",
    [lines()[:3], [*lines(), *lines(["new.mp4"])], [*lines(), lines()[0]], [[CLIPS[0], *["nan"] * 5], *lines()[1:]]],
    ids=["missing", "unknown", "repeated", "not a number"],
)
def test_with_strict_whatever_would_be_counted_is_an_error(read, rows):
    assert len(read(rows).warnings) == 1
    with pytest.raises(MsmaError, match="--strict"):
        read(rows, strict=True)


def test_a_file_without_a_known_clip_is_an_error_that_shows_both_kinds_of_names(read):
    with pytest.raises(MsmaError, match=rf"2 for unknown clips: 'a', 'b'; clips are called like '{CLIPS[0]}'"):
        read(lines(["a", "b"]))


def test_a_file_of_another_split_is_an_error(read):
    with pytest.raises(MsmaError, match="6 for other splits"):
        read(lines([row.clip for row in SMALL.split("train")]))


@pytest.mark.parametrize(
    ("header", "lacks"),
    [
        (["video", *TRAITS], "'clip'"),
        ([*HEADER[:5], "n"], "'neuroticism'"),
        ([f"0.{place}" for place in range(1, 7)], "'clip'"),
    ],
    ids=["no clip", "no trait", "no header"],
)
def test_a_missing_column_is_named_with_those_that_are_there(read, header, lacks):
    with pytest.raises(MsmaError, match=f"lacks the column {lacks}; it has {header[0]}.*--trait-columns"):
        read(lines(), header=header)


def test_a_column_that_comes_twice_is_an_error(read):
    with pytest.raises(MsmaError, match="more than one column 'openness'"):
        read([[*line, 0.5] for line in lines()], header=[*HEADER, "Openness"])


@pytest.mark.parametrize("cells", [3, 9])
def test_a_line_with_another_number_of_cells_is_an_error(read, cells):
    rows = lines()
    rows[1] = [*rows[1], 1, 1, 1][:cells]
    with pytest.raises(MsmaError, match=f"line 3: has {cells} cells, the header has 6; so 1 of 4"):
        read(rows)


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "has no rows"),
        ("clip;ö\n".encode("utf-16"), r"no rows below its header \(clip, ö\)"),
        (b"PK\x03\x04\xff\xfe\x00\x00", "UTF-8"),
        (b"clip," + b"x" * (1 << 20), "line 1: a cell is longer"),
        (",".join(HEADER).encode() + b'\n"' + b"never closed\n" * 20_000, "line 2: a cell is longer"),
    ],
    ids=["empty", "utf-16", "a zip", "one endless line", "a quote that is never closed"],
)
def test_what_is_no_csv_is_refused(tmp_path, content, why):
    (tmp_path / "p.csv").write_bytes(content)
    with pytest.raises(MsmaError, match=why):
        read_predictions(tmp_path / "p.csv", SMALL, "test")


def test_a_file_that_is_not_there_is_an_error_with_its_name(tmp_path):
    with pytest.raises(MsmaError, match=r"gone\.csv"):
        read_predictions(tmp_path / "gone.csv", SMALL, "test")


def test_only_the_traits_that_are_labelled_are_asked_for(read):
    manifest = labelled_corpus(train=6, test=4, sources=3, traits=("openness", "neuroticism"))
    found = read(
        [[clip, o, n] for clip, o, *_, n in lines()], header=["clip", "openness", "neuroticism"], manifest=manifest
    )
    assert found.predictions.predicted[:, [0, 4]].tolist() == [[o, n] for o, *_, n in EXPECTED]
    assert np.isnan(found.predictions.predicted[:, 1:4]).all()


def test_a_split_that_the_manifest_has_not_is_an_error(tmp_path):
    path = write_csv(tmp_path / "p.csv", HEADER, lines())
    with pytest.raises(MsmaError, match="split 'val' has no clips"):
        read_predictions(path, SMALL, "val")
