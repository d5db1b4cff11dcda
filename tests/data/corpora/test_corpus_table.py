"""Any corpus as a table: scores on any scale, some of the traits, splits by source, and every mistake."""

from __future__ import annotations

import csv
import io
import os
import re
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from msma.data.corpora import table_file, table_limits
from msma.data.corpora.layout import Layout
from msma.data.corpora.manifest import read_manifest, write_manifest
from msma.data.corpora.table import find_table, split_by_source
from msma.types import TRAITS, MsmaError

LAYOUT = Layout(path="file", split="set")
HEADER = "file,set,openness,extraversion"


def readable(_: Sequence[Path]) -> dict[Path, str]:
    """A check that every file passes."""
    return {}


@pytest.fixture
def table(tmp_path: Path):
    """Writes a table; the media of its first column is there, unless `media` is False."""

    def write(*lines: str, header: str = HEADER, name: str = "mine.csv", media: bool = True, bom: str = "") -> Path:
        path = tmp_path / name
        path.write_text(bom + "\n".join([header, *lines]) + "\n", encoding="utf-8")
        for line in lines if media else ():
            file = tmp_path / line.split(",")[0]
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(b"media")
        return path

    return write


def scores(found) -> dict[str, tuple[float, ...]]:
    """Clip to its labelled scores."""
    return {row.clip: tuple(score for score in row.target if not np.isnan(score)) for row in found.rows}


# what is read


def test_rows_have_the_path_the_split_and_the_scores_of_the_table(table, tmp_path):
    path = table("media/a.mp4,train,0.5,0.25", "media/b.mp4,test,1,0")
    first, second = find_table(path, LAYOUT, readable).rows
    assert (first.clip, first.path, first.source, first.split) == ("a.mp4", tmp_path / "media/a.mp4", "a.mp4", "train")
    assert (second.clip, second.split) == ("b.mp4", "test")
    assert np.array_equal(first.target, [0.5, np.nan, 0.25, np.nan, np.nan], equal_nan=True)
    assert np.array_equal(second.target, [1.0, np.nan, 0.0, np.nan, np.nan], equal_nan=True)


def test_scores_are_brought_from_their_scale_to_0_to_1_and_the_scale_is_recorded(table):
    path = table("a.mp4,train,1,7", "b.mp4,train,4,2.5")
    found = find_table(path, replace(LAYOUT, range=(1.0, 7.0)), readable)
    assert scores(found) == {"a.mp4": (0.0, 1.0), "b.mp4": (0.5, 0.25)}
    assert found.facts["range"] == [1.0, 7.0]
    assert any("from [1, 7] to [0, 1]; no scale was flipped" in note for note in found.facts["notes"])


@given(low=st.floats(-1e6, 1e6), width=st.floats(1e-3, 1e6), share=st.floats(0, 1))
def test_every_score_of_a_scale_ends_in_0_to_1(low, width, share):
    high = low + width
    score = min(max(low + share * width, low), high)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "mine.csv"
        path.write_text(f"{HEADER}\na.mp4,train,{score!r},{high!r}\n", encoding="utf-8")
        ((first, last),) = scores(find_table(path, replace(LAYOUT, range=(low, high)), None)).values()
    assert 0 <= first <= 1
    assert first == pytest.approx(share, abs=1e-4)
    assert last == 1


def test_traits_may_have_columns_of_any_name(table):
    path = table("a.mp4,train,0.1,0.2", header="file,set,E_mean,o")
    layout = replace(LAYOUT, traits={"openness": "o", "Extraversion": "E_mean"})
    found = find_table(path, layout, readable)
    assert scores(found) == {"a.mp4": (0.2, 0.1)}
    assert found.facts["columns"] == {
        "path": "file", "source": None, "split": "set", "openness": "o", "extraversion": "E_mean"
    }  # fmt: skip


def test_upper_and_lower_case_of_column_names_do_not_count(table):
    path = table("a.mp4,train,0.1,0.2", header="File,SET,Openness,EXTRAVERSION")
    assert scores(find_table(path, LAYOUT, readable)) == {"a.mp4": (0.1, 0.2)}


@pytest.mark.parametrize("count", range(1, 6))
def test_any_subset_of_the_traits_will_do(table, tmp_path, count):
    traits = TRAITS[:count]
    path = table("a.mp4,train" + ",0.5" * count, header=",".join(["file", "set", *traits]))
    found = find_table(path, LAYOUT, readable)
    write_manifest(tmp_path / "manifest.csv", found.corpus, found.rows, found.facts)
    assert read_manifest(tmp_path / "manifest.csv").traits == traits


def test_a_subset_of_the_traits_that_are_there_may_be_chosen(table):
    path = table("a.mp4,train,0.1,5")
    (row,) = find_table(path, replace(LAYOUT, traits={"openness": "openness"}), readable).rows
    assert row.target[0] == 0.1
    assert row.columns == {"table_extraversion": "5"}


def test_other_columns_are_kept_as_text_and_come_back_from_the_manifest(table, tmp_path):
    header = f"{HEADER},gender,age group,clip,path,table_clip,"
    path = table('a.mp4,train,0.1,0.2,f,"20, or so",c,p,t,0', header=header)
    found = find_table(path, LAYOUT, readable)
    write_manifest(tmp_path / "manifest.csv", found.corpus, found.rows, found.facts)
    (row,) = read_manifest(tmp_path / "manifest.csv").rows
    assert row.columns == {
        "gender": "f", "age group": "20, or so", "table_clip": "c", "table_path": "p", "table_table_clip": "t",
        "column 10": "0",
    }  # fmt: skip


@pytest.mark.parametrize("names", [["x/a.mp4", "y/b.mp4"], ["x/a.mp4", "y/a.mp4"], ["a.mp4", "x/a.mp4"]])
def test_a_clip_has_the_name_of_its_file_where_no_other_has_it(table, names):
    path = table(*(f"{name},train,0.5,0.5" for name in names))
    found = find_table(path, LAYOUT, readable)
    unique = len({Path(name).name for name in names}) == 2
    assert [row.clip for row in found.rows] == ([Path(name).name for name in names] if unique else names)


def test_paths_are_relative_to_another_folder_if_one_is_named(table, tmp_path):
    path = table("a.mp4,train,0.5,0.5", media=False)
    (tmp_path / "media").mkdir()
    (tmp_path / "media" / "a.mp4").touch()
    (row,) = find_table(path, replace(LAYOUT, root=tmp_path / "media"), readable).rows
    assert row.path == tmp_path / "media" / "a.mp4"


@pytest.mark.parametrize(
    ("written", "file"),
    [
        ("P1\\intro.mp4", "P1/intro.mp4"),
        ("P1\\intro.mp4", "P1\\intro.mp4"),
        ("caf\u00e9.mp4", "cafe\u0301.mp4"),
        ("Intro.MP4", "intro.mp4"),
        ("caf\\udce9.mp4", "caf\udce9.mp4"),
    ],
    ids=["Windows", "a backslash in the name", "NFC", "case", "no UTF-8"],
)
def test_a_file_is_found_as_people_and_other_systems_write_it(table, tmp_path, written, file):
    path = table(f"{written},train,0.5,0.5", media=False)
    (tmp_path / file).parent.mkdir(exist_ok=True)
    (tmp_path / file).touch()
    found = find_table(path, LAYOUT, readable)
    assert [row.path for row in found.rows] == [tmp_path / file]
    write_manifest(tmp_path / "out" / "manifest.csv", "mine", found.rows, found.facts)
    (row,) = read_manifest(tmp_path / "out" / "manifest.csv").rows
    assert os.fspath(row.path) == os.fspath((tmp_path / file).resolve())


def test_two_rows_for_one_file_in_other_case_are_one_clip(table, tmp_path):
    path = table("intro.mp4,train,0.5,0.5", "Intro.MP4,train,0.25,0.5", media=False)
    (tmp_path / "intro.mp4").touch()
    with pytest.raises(MsmaError, match=r"line 3 \(Intro.MP4\) has other labels than line 2 \(intro.mp4\)"):
        find_table(path, LAYOUT, readable)


def test_case_that_fits_two_files_is_an_error_that_names_both(table, tmp_path):
    path = table("a.MP4,train,0.5,0.5", media=False)
    for file in ("a.mp4", "A.mp4"):
        (tmp_path / file).touch()
    with pytest.raises(MsmaError, match=r"a\.MP4: may be 'A\.mp4' or 'a\.mp4'"):
        find_table(path, LAYOUT, readable)


def test_clips_of_windows_folders_are_called_as_those_of_others(table):
    path = table("x\\a.mp4,train,0.5,0.5", "y\\b.mp4,train,0.5,0.5", media=False)
    assert [row.clip for row in find_table(path, LAYOUT, None).rows] == ["a.mp4", "b.mp4"]


def test_absolute_paths_of_another_machine_are_found_by_their_ends_and_that_is_said(table, tmp_path):
    lines = [f"C:\\data\\{who}\\intro.mp4,train,0.5,0.5" for who in ("P1", "P2")]
    path = table(*lines, media=False)
    for who in ("P1", "P2"):
        (tmp_path / who).mkdir()
        (tmp_path / who / "intro.mp4").touch()
    found = find_table(path, LAYOUT, readable)
    assert [row.path for row in found.rows] == [tmp_path / who / "intro.mp4" for who in ("P1", "P2")]
    assert any("2 paths are of another place and were found by their ends" in note for note in found.facts["notes"])


@pytest.mark.parametrize(
    ("separator", "content"),
    [(",", '"a, b.mp4",train,0.5,0.25'), (";", "a, b.mp4;train;0,5;0,25"), ("\t", "a, b.mp4\ttrain\t0,5\t0.25")],
    ids=["comma", "semicolon", "tab"],
)
@pytest.mark.parametrize("bom", ["", "\ufeff"], ids=["", "byte order mark"])
@pytest.mark.parametrize("end", ["\n", "\r\n"], ids=["LF", "CRLF"])
def test_the_separator_is_found_out(tmp_path, separator, content, bom, end):
    path = tmp_path / "mine.csv"
    path.write_bytes(f"{bom}{HEADER.replace(',', separator)}{end}{content}{end}{end}".encode())
    assert scores(find_table(path, LAYOUT, None)) == {"a, b.mp4": (0.5, 0.25)}


def test_parquet_gives_the_same_as_csv(table, tmp_path):
    text = table("a.mp4,train,1,7,1", "b.mp4,Test,4,2.5,", header=f"{HEADER},age")
    columns = {
        "file": ["a.mp4", "b.mp4"],
        "set": pyarrow.array(["train", "Test"]).dictionary_encode(),
        "openness": pyarrow.array([1, 4], pyarrow.int8()),
        "extraversion": [7.0, 2.5],
        "age": pyarrow.array([1, None], pyarrow.int64()),
        "embedding": [[1.0], [2.0]],
    }
    pq.write_table(pyarrow.table(columns), tmp_path / "mine.parquet")
    layout = replace(LAYOUT, range=(1.0, 7.0))
    first, second = find_table(text, layout, readable), find_table(tmp_path / "mine.parquet", layout, readable)
    assert repr(first.rows) == repr(second.rows)
    assert "columns that are no text, number or date are left out: embedding" in second.facts["notes"]


def test_parquet_without_pyarrow_names_the_command(tmp_path, monkeypatch):
    pq.write_table(pyarrow.table({"file": ["a"]}), tmp_path / "mine.parquet")
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(MsmaError, match=r"Parquet needs pyarrow; pip install 'msma\[parquet\]'"):
        find_table(tmp_path / "mine.parquet", LAYOUT, None)


def test_whose_neuroticism_it_is_is_left_to_the_reader(table):
    path = table("a.mp4,train,0.5", header="file,set,neuroticism")
    assert any("whether high means neurotic or stable" in n for n in find_table(path, LAYOUT, readable).facts["notes"])


def test_scores_are_read_as_their_columns_are_written_and_that_is_noted(table):
    path = table('a.mp4,train,75%,"0,5"', 'b.mp4,train,100%,"0,25"')
    found = find_table(path, LAYOUT, readable)
    assert scores(found) == {"a.mp4": (0.75, 0.5), "b.mp4": (1.0, 0.25)}
    assert "column 'openness' is in percent; 100% was read as 1" in found.facts["notes"]


# sources and splits


@pytest.mark.parametrize(
    ("written", "split"),
    [
        *(("train", "train"), ("Training", "train"), ("test", "test"), (" testing ", "test")),
        *(("val", "val"), ("valid", "val"), ("VALIDATION", "val"), ("dev", "val")),
    ],
)
def test_splits_may_have_their_usual_names(table, written, split):
    assert find_table(table(f"a.mp4,{written},0.5,0.5"), LAYOUT, readable).rows[0].split == split


def test_sources_are_read_from_their_column(table):
    path = table("a.mp4,train,0.5,0.5,Ann", "b.mp4,train,0.5,0.5,Ann", header=f"{HEADER},who")
    found = find_table(path, replace(LAYOUT, source="who"), readable)
    assert [row.source for row in found.rows] == ["Ann", "Ann"]
    assert not any("source of its own" in note for note in found.facts["notes"])


def test_without_a_source_column_each_clip_is_its_own_and_that_is_said(table):
    found = find_table(table("a.mp4,train,0.5,0.5"), LAYOUT, readable)
    assert found.rows[0].source == "a.mp4"
    assert any("each clip is a source of its own" in note for note in found.facts["notes"])


def test_a_drawn_split_is_recorded_and_the_same_for_the_same_seed_in_any_order(table):
    lines = [f"{number}.mp4,,0.5,0.5" for number in range(40)]
    layouts = [Layout(path="file", seed=seed, shares=(50.0, 25.0, 25.0)) for seed in (1, 1, 2)]
    paths = [table(*lines), table(*lines[::-1], name="other.csv"), table(*lines)]
    found = [find_table(path, layout, None) for path, layout in zip(paths, layouts, strict=True)]
    first, again, other = ({row.clip: row.split for row in one.rows} for one in found)
    assert first == again != other
    assert Counter(first.values()) == {"train": 20, "val": 10, "test": 10}
    assert found[0].facts["split"] == {"shares": [50.0, 25.0, 25.0], "seed": 1}


sizes = st.lists(st.integers(1, 5), min_size=3, max_size=40)
shares = st.tuples(*[st.floats(5, 80)] * 3)


@given(sizes=sizes, shares=shares, seed=st.integers(0, 9))
@settings(deadline=None, max_examples=100)
def test_drawn_splits_share_no_source_fill_every_split_and_hold_their_shares(sizes, shares, seed):
    sources = [f"s{number}" for number, size in enumerate(sizes) for _ in range(size)]
    splits = split_by_source(Path("t.csv"), sources, shares, seed)
    owners = {source: {split for s, split in zip(sources, splits, strict=True) if s == source} for source in sources}
    assert all(len(owner) == 1 for owner in owners.values())
    count = Counter(splits)
    assert count.keys() == {"train", "val", "test"}
    for split, share in zip(("train", "val", "test"), shares, strict=True):
        assert count[split] <= max(share / sum(shares) * len(sources), 0) + max(sizes)


def test_a_share_of_0_gives_no_clips(table):
    lines = [f"{number}.mp4,,0.5,0.5" for number in range(10)]
    found = find_table(table(*lines), Layout(path="file", shares=(80.0, 20.0, 0.0)), None)
    assert Counter(row.split for row in found.rows) == {"train": 8, "val": 2}


def test_a_broken_file_changes_the_split_of_no_other_clip(table):
    lines = [f"{number}.mp4,,0.5,0.5" for number in range(20)]

    def check(paths: Sequence[Path]) -> dict[Path, str]:
        return {path: f"{path}: broken" for path in paths if path.name == "7.mp4"}

    whole = find_table(table(*lines), Layout(path="file"), readable)
    found = find_table(table(*lines), Layout(path="file"), check)
    assert [row for row in map(repr, whole.rows) if "'7.mp4'" not in row] == list(map(repr, found.rows))


def test_a_column_called_split_that_is_not_used_is_reported(table):
    path = table(*(f"{n}.mp4,train,0.5,0.5" for n in range(3)), header=HEADER.replace("set", "split"))
    found = find_table(path, Layout(path="file"), readable)
    assert any("--split-column" in note for note in found.facts["notes"])
    assert found.rows[0].columns == {"table_split": "train"}


# rows that cannot be used

GOOD = "good.mp4,train,0.5,0.5"


@pytest.mark.parametrize(
    ("line", "kind", "told"),
    [
        ("a.mp4,train,,0.5", "no score", "line 3 (a.mp4): openness ''"),
        ("a.mp4,train,0.5,NaN", "no score", "line 3 (a.mp4): extraversion 'NaN'"),
        ("a.mp4,train,N/A,none", "no score", "line 3 (a.mp4): openness 'N/A', extraversion 'none'"),
        ("a.mp4,train,high,0.5", "no score", "line 3 (a.mp4): openness 'high'"),
        (",train,0.5,0.5", "no path", "line 3 ()"),
        ("a\0.mp4,train,0.5,0.5", "no path", "line 3 (a\0.mp4)"),
        ("a.mp4,,0.5,0.5", "no split", "line 3 (a.mp4)"),
        ("good.mp4,train,0.5,0.5", "repeated", "line 3 (good.mp4)"),
        ("./x/../good.mp4,train,0.50,0.5", "repeated", "line 3 (./x/../good.mp4)"),
    ],
)
def test_a_row_that_cannot_be_used_is_reported_and_left_out(table, line, kind, told):
    found = find_table(table(GOOD, line, media=False), LAYOUT, None)
    assert [row.clip for row in found.rows] == ["good.mp4"]
    assert {name: lines for name, lines in found.problems.items() if lines} == {kind: [told]}


@pytest.mark.parametrize("score", ["0", "8", "-inf", "inf", "1e400"])
def test_with_a_range_scores_outside_are_reported_and_left_out(table, score):
    path = table("good.mp4,train,1,7", f"a.mp4,train,{score},4")
    found = find_table(path, replace(LAYOUT, range=(1.0, 7.0)), readable)
    assert [row.clip for row in found.rows] == ["good.mp4"]
    assert found.problems["out of range"][0].startswith("line 3 (a.mp4): openness")


def test_a_row_without_a_source_is_reported_and_left_out(table):
    path = table(f"{GOOD},Ann", "a.mp4,train,0.5,0.5, ", header=f"{HEADER},who")
    found = find_table(path, replace(LAYOUT, source="who"), readable)
    assert [row.clip for row in found.rows] == ["good.mp4"]
    assert found.problems["no source"] == ["line 3 (a.mp4)"]


def test_files_that_are_not_there_or_not_media_are_reported_and_left_out(table, tmp_path):
    def check(paths: Sequence[Path]) -> dict[Path, str]:
        return {path: f"{path}: broken" for path in paths if path.name == "a.mp4"}

    path = table(GOOD, "a.mp4,train,0.5,0.5")
    with path.open("a") as file:
        file.write("missing.mp4,train,0.5,0.5\n")
    found = find_table(path, LAYOUT, check)
    assert [row.clip for row in found.rows] == ["good.mp4"]
    assert found.problems["unreadable"] == [f"{tmp_path / 'a.mp4'}: broken"]
    assert found.problems["no such file"] == [f"line 4 (missing.mp4): {tmp_path / 'missing.mp4'}"]


def test_without_a_check_labels_alone_are_enough(table):
    found = find_table(table(GOOD, "a.mp4,train,0.5,0.5", media=False), LAYOUT, None)
    assert len(found.rows) == 2
    assert "2 of 2 clips have no file" in found.facts["notes"]


# mistakes


@pytest.mark.parametrize(
    ("lines", "layout", "told"),
    [
        (
            ["a.mp4,train,5,0.5"],
            LAYOUT,
            r"1 of 1 rows have a score that is not in \[0, 1\], such as line 2 \(a.mp4\): openness 5; .*--range L",
        ),
        (["a.mp4,train,-0.1,0.5"], LAYOUT, "openness -0.1"),
        (
            ["a.mp4,fold3,0.5,0.5"],
            LAYOUT,
            r"1 of 1 rows have an unknown split, such as line 2 \(a.mp4\): 'fold3'; use train",
        ),
        ([GOOD, "good.mp4,train,0.5,0.6"], LAYOUT, "line 3 .* has other labels than line 2 .*, the same clip"),
        ([GOOD, "good.mp4,test,0.5,0.5"], LAYOUT, "line 3 .* has other labels than line 2"),
        ([GOOD], replace(LAYOUT, path="video"), "has no column 'video'; it has: file, set, openness, extraversion"),
        ([GOOD], replace(LAYOUT, source="who"), "has no column 'who'"),
        ([GOOD], replace(LAYOUT, split="fold"), "has no column 'fold'"),
        ([GOOD], replace(LAYOUT, traits={"openness": "o"}), "has no column 'o'"),
        ([GOOD], replace(LAYOUT, traits={"honesty": "openness"}), "'honesty' is not a trait; --traits takes openness"),
        ([GOOD], replace(LAYOUT, traits={"openness": "set", "neuroticism": "set"}), "two traits are read from one"),
        ([GOOD], replace(LAYOUT, range=(7.0, 1.0)), "--range 7,1: give the lowest"),
        ([GOOD], replace(LAYOUT, range=(1.0, float("nan"))), "--range 1,nan"),
        ([GOOD], Layout(path="file"), "1 sources cannot fill 3 splits; set a share of --split to 0"),
        ([GOOD], Layout(path="file", shares=(0.0, 0.0, 0.0)), "--split: give the shares"),
        ([GOOD], Layout(path="file", shares=(-1.0, 1.0, 1.0)), "--split: give the shares"),
        (["a.mp4,train,0.5"], LAYOUT, "line 2: has 3 cells, the header has 4"),
        (['a.mp4,"train"x,0.5,0.5'], LAYOUT, "line 2: text follows a closing quotation mark"),
        ([], LAYOUT, "has no rows"),
    ],
)
def test_a_mistake_is_one_line_that_names_it(table, lines, layout, told):
    path = table(*lines)
    with pytest.raises(MsmaError, match=told) as caught:
        find_table(path, layout, None)
    assert "\n" not in str(caught.value)


def test_columns_without_the_name_of_a_trait_ask_for_them(table):
    with pytest.raises(
        MsmaError, match=r"no column is named as a trait; it has: file, set, o; say --traits openness=COLUMN"
    ):
        find_table(table("a.mp4,train,1", header="file,set,o"), LAYOUT, None)


@pytest.mark.parametrize("header", ["file,set,openness,openness", "file,file,openness,set"])
def test_a_duplicate_column_is_named(table, header):
    with pytest.raises(MsmaError, match="is duplicated; rename one"):
        find_table(table("a.mp4,train,0.5,0.5", header=header), LAYOUT, None)


def test_a_name_that_fits_two_columns_is_not_guessed(table):
    with pytest.raises(MsmaError, match="has no column 'FILE'; it has: file, File"):
        find_table(table("a.mp4,train,0.5,0.5", header="file,File,set,openness"), replace(LAYOUT, path="FILE"), None)


# hostile tables


@pytest.mark.parametrize(
    "content",
    [None, b"", b"\xff\xfe\x00", b"a" * 300_000, b'"' + b"a\n" * 200_000, b"PAR1", b"PAR1" + bytes(100) + b"PAR1"],
    ids=["missing", "empty", "not text", "an endless name", "an open quote", "half a Parquet", "a broken Parquet"],
)
def test_what_is_no_table_is_refused_in_one_line(tmp_path, content):
    path = tmp_path / "mine.csv"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(MsmaError) as caught:
        find_table(path, LAYOUT, None)
    assert re.match(rf"{path}(, line 1)?: ", str(caught.value))
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < len(str(path)) + 400


@pytest.mark.parametrize(("limit", "value"), [("MAX_BYTES", 100), ("MAX_ROWS", 5), ("MAX_COLUMNS", 3)])
@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_a_table_over_a_limit_is_refused(table, tmp_path, monkeypatch, limit, value, form):
    path = table(*(f"{number}.mp4,train,0.5,0.5" for number in range(10)))
    if form == "parquet":
        rows = list(csv.DictReader(io.StringIO(path.read_text())))
        path = tmp_path / "mine.parquet"
        pq.write_table(pyarrow.Table.from_pylist(rows), path)
    monkeypatch.setattr(table_file if limit == "MAX_BYTES" else table_limits, limit, value)
    with pytest.raises(MsmaError, match="larger than "):
        find_table(path, LAYOUT, None)


@pytest.mark.timeout(20)
def test_a_parquet_file_of_30_kb_does_not_become_gigabytes(tmp_path):
    giant = pyarrow.DictionaryArray.from_arrays(pyarrow.array([0] * 5000, pyarrow.int32()), ["x" * 20_000_000])
    path = tmp_path / "mine.parquet"
    pq.write_table(pyarrow.table({"file": giant, "openness": [0.5] * 5000}), path, compression="zstd")
    assert path.stat().st_size < 100_000
    with pytest.raises(MsmaError, match="100000 bytes in a cell"):
        find_table(path, Layout(path="file"), None)
