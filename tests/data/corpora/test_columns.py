"""Further columns for the clips of a corpus: tables as others have them, and tables that do not fit."""

from __future__ import annotations

from pathlib import Path

import pytest

from msma.data.corpora.columns import read_columns
from msma.types import MsmaError

CLIPS = ("a.001.mp4", "a.002.mp4", "b.001.mp4")


def table(path: Path, *lines: str) -> Path:
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def read(*paths: Path, clip_column: str = "clip") -> dict[str, dict[str, str]]:
    return read_columns(paths, clip_column, CLIPS, ["transcript"])[0]


def test_a_clip_has_the_values_of_its_row(tmp_path):
    path = table(tmp_path / "a.csv", "clip,gender,age", "b.001.mp4,f,30", "a.001.mp4, m ,")
    assert read(path) == {"b.001.mp4": {"gender": "f", "age": "30"}, "a.001.mp4": {"gender": "m", "age": ""}}


def test_clips_may_be_written_without_mp4(tmp_path):
    assert list(read(table(tmp_path / "a.csv", "clip,gender", "a.001,f"))) == ["a.001.mp4"]


@pytest.mark.parametrize("written", ["train/a.001.mp4", "C:\\train\\a.001", "A.001.MP4"])
def test_clips_may_be_written_as_paths(tmp_path, written):
    assert list(read(table(tmp_path / "a.csv", "clip,gender", f"{written},f"))) == ["a.001.mp4"]


def test_the_tables_of_first_impressions_are_read_as_they_are(tmp_path):
    """One for training and validation, one for the test split; semicolons; clips in VideoName."""
    dev = table(tmp_path / "eth_gender_annotations_dev.csv", "VideoName;Ethnicity;Gender", "a.001.mp4;2;1")
    test = table(tmp_path / "eth_gender_annotations_test.csv", "VideoName;Ethnicity;Gender", "b.001.mp4;3;2")
    assert read(dev, test, clip_column="VideoName") == {
        "a.001.mp4": {"Ethnicity": "2", "Gender": "1"},
        "b.001.mp4": {"Ethnicity": "3", "Gender": "2"},
    }


def test_two_tables_of_the_same_clips_add_up_where_their_columns_differ(tmp_path):
    one = table(tmp_path / "a.csv", "clip,gender", "a.001,f")
    assert read(one, table(tmp_path / "b.csv", "clip,age", "a.001,30")) == {"a.001.mp4": {"gender": "f", "age": "30"}}
    with pytest.raises(MsmaError, match=r"c\.csv: clip a\.001\.mp4 has 'gender' in another table too; keep one"):
        read(one, table(tmp_path / "c.csv", "clip,gender", "a.001,f"))


@pytest.mark.parametrize(
    ("lines", "told"),
    [
        (
            ["clip,gender", "a.001,f", "c.001,f", "d.001,f"],
            r"2 of 3 rows .* such as 'c\.001' \(line 3\); clips are called like 'a",
        ),
        (
            ["clip,gender", "a.001,f", "a.001.mp4,f"],
            r"clip a\.001\.mp4 is duplicated \(line 2 and line 3\); keep one of its rows",
        ),
        (["clip,Openness,openness", "a.001,1,2"], r"the manifest has a column 'openness' of its own; rename it"),
        (["clip,transcript", "a.001,hello"], r"the manifest has a column 'transcript' of its own; rename it"),
        (["clip,split", "a.001,train"], r"the manifest has a column 'split' of its own; rename it"),
        (["clip,gender,gender", "a.001,f,m"], r"column 'gender' is duplicated; rename one"),
        (["name,gender", "a.001,f"], r"has no column 'clip'; it has: name, gender; say with --clip-column"),
        (["clip", "a.001"], r"has no column beside that of the clips; add one"),
        (["clip,gender"], r"has no rows"),
    ],
)
def test_a_table_that_does_not_fit_is_refused_with_one_line(tmp_path, lines, told):
    with pytest.raises(MsmaError, match=told) as error:
        read(table(tmp_path / "a.csv", *lines))
    assert str(error.value).startswith(str(tmp_path / "a.csv"))
    assert "\n" not in str(error.value)


def test_a_table_that_is_not_there_is_reported(tmp_path):
    with pytest.raises(MsmaError, match=r"a\.csv: cannot be read \(no such file"):
        read(tmp_path / "a.csv")
