"""The manifest: what is written is read, a corpus can move, and a mistake is named with its line."""

from __future__ import annotations

import json
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from msma.data.corpora.manifest import COLUMNS, SPLITS, Row, read_manifest, targets, write_manifest
from msma.types import TRAITS, MsmaError

HEADER = [*COLUMNS, *TRAITS]

SCORES = (0.5, 0.25, 1.0, 0.0, 0.75)
LINE = "a.mp4,train/a.mp4,a,train,0.5,0.25,1.0,0.0,0.75"

text = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
scores = st.tuples(*[st.floats(0, 1)] * 5)
records = st.tuples(text, text, st.sampled_from(SPLITS), scores)


def row(folder: Path, clip: str = "a.mp4", split: str = "train") -> Row:
    return Row(clip, folder / split / clip, clip[0], split, SCORES)


@pytest.fixture
def written(tmp_path: Path):
    """Writes a manifest by hand, header and lines."""

    def write(*lines: str, header: str = ",".join(HEADER)) -> Path:
        path = tmp_path / "manifest.csv"
        path.write_text("\n".join([header, *lines]) + "\n", encoding="utf-8")
        return path

    return write


@given(stored=st.lists(records, min_size=1, max_size=6, unique_by=lambda record: record[0]))
@settings(deadline=None, max_examples=60)
def test_what_is_written_is_read(stored):
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder).resolve()
        rows = [Row(clip, home / f"{place}.mp4", *more) for place, (clip, *more) in enumerate(stored)]
        write_manifest(home / "manifest.csv", "mine", rows, {"notes": ["a note"]})
        manifest = read_manifest(home / "manifest.csv")
    assert (manifest.corpus, list(manifest.rows), manifest.facts) == ("mine", rows, {"notes": ["a note"]})


def test_paths_below_the_manifest_are_stored_relative(tmp_path):
    write_manifest(tmp_path / "manifest.csv", "mine", [row(tmp_path)], {})
    assert str(tmp_path) not in (tmp_path / "manifest.csv").read_text(encoding="utf-8")


def test_a_corpus_can_move(tmp_path):
    write_manifest(tmp_path / "old" / "manifest.csv", "mine", [row(tmp_path / "old")], {})
    (tmp_path / "old").rename(tmp_path / "new")
    assert read_manifest(tmp_path / "new" / "manifest.csv").rows[0].path == tmp_path / "new" / "train" / "a.mp4"


def test_paths_elsewhere_are_stored_whole(tmp_path):
    write_manifest(tmp_path / "here" / "manifest.csv", "mine", [row(tmp_path / "elsewhere")], {})
    assert read_manifest(tmp_path / "here" / "manifest.csv").rows[0].path == tmp_path / "elsewhere" / "train" / "a.mp4"


def test_a_relative_manifest_path_gives_the_same_rows(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_manifest(Path("manifest.csv"), "mine", [row(Path())], {})
    assert read_manifest(tmp_path / "manifest.csv").rows == (row(tmp_path),)


@pytest.mark.parametrize("path", ["train\\a.mp4", "Train/A.mp4", "C:\\corpus\\train\\a.mp4", "./train//a.mp4"])
def test_a_path_may_be_written_as_on_another_system(written, tmp_path, path):
    (tmp_path / "train").mkdir()
    (tmp_path / "train" / "a.mp4").touch()
    (row,) = read_manifest(written(LINE.replace("train/a.mp4", path))).rows
    assert row.path == tmp_path / "train" / "a.mp4"


def test_a_path_that_is_no_text_comes_back(tmp_path):
    stored = row(tmp_path / "no text \udcff", clip="a\udcfe.mp4")
    stored.path.parent.mkdir(parents=True)
    stored.path.touch()
    write_manifest(tmp_path / "manifest.csv", "mine", [stored], {"notes": ["a\udcff"]})
    assert (tmp_path / "manifest.csv").read_text(encoding="utf-8")
    assert read_manifest(tmp_path / "manifest.csv").rows[0].path == stored.path


def test_scores_of_numpy_are_written_as_numbers(tmp_path):
    scores = tuple(np.array(SCORES))
    write_manifest(tmp_path / "manifest.csv", "mine", [Row("a.mp4", tmp_path / "a.mp4", "a", "train", scores)], {})
    assert read_manifest(tmp_path / "manifest.csv").rows[0].target == SCORES


def test_columns_may_stand_in_any_order_and_more_may_be_there(written):
    path = written("0.75,0.0,1.0,0.25,0.5,train,a,train/a.mp4,a.mp4,me", header=",".join([*HEADER[::-1], "annotator"]))
    assert read_manifest(path).rows == (replace(row(path.parent), columns={"annotator": "me"}),)


def test_other_columns_are_kept(tmp_path):
    rows = [replace(row(tmp_path), columns={"gender": "f", "age group": "20, or so"})]
    write_manifest(tmp_path / "manifest.csv", "mine", rows, {})
    assert list(read_manifest(tmp_path / "manifest.csv").rows) == rows


@pytest.mark.parametrize(
    "header", [HEADER, [*COLUMNS, "openness", "extraversion"]], ids=["empty columns", "no columns"]
)
def test_a_corpus_may_label_some_traits_only(written, header):
    scores = {"openness": "0.5", "extraversion": "1.0"}
    line = ",".join(["a.mp4", "a.mp4", "a", "train", *(scores.get(name, "") for name in header[4:])])
    manifest = read_manifest(written(line, header=",".join(header)))
    assert manifest.traits == ("openness", "extraversion")
    assert np.array_equal(targets(manifest.rows), [[0.5, np.nan, 1.0, np.nan, np.nan]], equal_nan=True)


def test_without_facts_the_corpus_has_the_name_of_the_file(written):
    manifest = read_manifest(written(LINE))
    assert (manifest.corpus, manifest.facts) == ("manifest", {})


def test_targets_are_one_line_a_clip_in_ocean_order(tmp_path):
    assert np.array_equal(targets([row(tmp_path), row(tmp_path)]), [SCORES, SCORES])


def test_a_split_is_its_rows_in_order(tmp_path):
    rows = [row(tmp_path, "b.mp4"), row(tmp_path, "c.mp4", "test"), row(tmp_path, "a.mp4")]
    write_manifest(tmp_path / "manifest.csv", "mine", rows, {})
    assert read_manifest(tmp_path / "manifest.csv").split("train") == (rows[0], rows[2])


@pytest.mark.parametrize("split", ["val", "dev", ""])
def test_a_split_without_clips_says_which_there_are(written, split):
    manifest = read_manifest(written(LINE, LINE.replace("a.mp4", "b.mp4").replace(",train,", ",test,")))
    with pytest.raises(
        MsmaError, match=f"split '{split}' has no clips in this manifest; it has: test \\(1\\), train \\(1\\)"
    ):
        manifest.split(split)


def test_a_split_without_clips_says_what_was_left_out_when_it_was_made(tmp_path):
    write_manifest(
        tmp_path / "manifest.csv", "mine", [row(tmp_path)], {"problems": {"no score": ["a", "b"], "odd": []}}
    )
    with pytest.raises(MsmaError, match=r"it has: train \(1\); when it was made there were: 2 no score$"):
        read_manifest(tmp_path / "manifest.csv").split("test")


def test_a_manifest_that_a_spreadsheet_saved_is_read(written):
    path = written(LINE.replace(",", ";").replace(".25", ",25").replace(".75", ",75"), header=";".join(HEADER))
    path.write_text(
        path.read_text().replace("0.0", "0").replace("1.0", "1").replace("0.5", "0,5"), encoding="utf-8-sig"
    )
    assert read_manifest(path).rows == (row(path.parent),)


@pytest.mark.parametrize(
    ("lines", "told"),
    [
        ([LINE, LINE], "clip a.mp4 is duplicated (line 2 and line 3)"),
        ([LINE, LINE.replace("a.mp4", "b.mp4").replace("1.0", "1.01")], "line 3: extraversion is '1.01'"),
        ([LINE.replace("0.25", "-0.01")], "line 2: conscientiousness is '-0.01'"),
        ([LINE.replace("0.75", "nan")], "line 2: neuroticism is 'nan'"),
        ([LINE.replace("0.75", "inf")], "line 2: neuroticism is 'inf'"),
        (
            [LINE, LINE.replace("a.mp4", "b.mp4").replace("0.5", "")],
            "line 3: clip b.mp4 has no openness; label all clips or none; so 1 of 2 rows lack it",
        ),
        (["a.mp4,a.mp4,a,train,,,,,"], "no clip has a score"),
        ([f"{LINE},more"], "line 2: has 10 cells, the header has 9"),
        ([LINE.replace("0.5", "high")], "column 'openness' has no number in 1 of 1 rows, such as 'high' (line 2)"),
        (["a.mp4,a.mp4,a,train,0.5"], "line 2: has 5 cells, the header has 9"),
        ([LINE.replace(",train,", ",dev,")], "line 2: split is 'dev'; use train, val, test"),
        ([LINE.replace(",train,", ",,")], "line 2: split is ''"),
        ([], "has no rows"),
    ],
)
def test_a_mistake_is_one_line_that_names_it(written, lines, told):
    path = written(*lines)
    with pytest.raises(MsmaError) as caught:
        read_manifest(path)
    assert str(caught.value).startswith(str(path))
    assert told in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("column", COLUMNS)
def test_a_missing_column_is_named(written, column):
    header = ",".join(name for name in COLUMNS if name != column)
    with pytest.raises(MsmaError, match=f"lacks the columns {column};"):
        read_manifest(written(header, header=header))


@pytest.mark.parametrize(
    "content", [None, b"", b"\xff\xfe\x00", b"a" * 200_000], ids=["missing", "empty", "not text", "one endless field"]
)
def test_a_file_that_is_no_manifest_is_refused(tmp_path, content):
    path = tmp_path / "manifest.csv"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(MsmaError, match=f"^{path}(, line 1)?: .*make it with `msma prepare`") as caught:
        read_manifest(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("facts", ["{", "[1]", "null", '"text"', "[" * 100_000])
def test_facts_that_are_no_object_are_refused(written, facts):
    path = written(LINE)
    path.with_suffix(".facts.json").write_text(facts, encoding="utf-8")
    with pytest.raises(MsmaError, match=str(path.with_suffix(".facts.json"))):
        read_manifest(path)


def test_facts_are_an_object_beside_the_rows(tmp_path):
    write_manifest(tmp_path / "manifest.csv", "mine", [row(tmp_path)], {"ceiling": {"audio": 0.4}})
    stored = json.loads((tmp_path / "manifest.facts.json").read_text(encoding="utf-8"))
    assert stored == {"corpus": "mine", "ceiling": {"audio": 0.4}}


def test_a_manifest_that_is_no_csv_is_refused_before_anything_is_overwritten(tmp_path):
    (tmp_path / "oracle.json").write_text("{}")
    with pytest.raises(MsmaError, match=r"oracle\.csv"):
        write_manifest(tmp_path / "oracle.json", "corpus", [], {})
    assert (tmp_path / "oracle.json").read_text() == "{}"
