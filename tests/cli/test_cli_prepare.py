"""`msma prepare`: what is written, what is reported, and that a key goes nowhere."""

from __future__ import annotations

import pickle
import re
from pathlib import Path

import pytest
from packed import locked_zipped, zipped
from typer.testing import CliRunner

from msma.cli.commands import app
from msma.data.corpora.chalearn import ANNOTATIONS, TRANSCRIPTIONS
from msma.data.corpora.manifest import read_manifest
from msma.types import TRAITS

KEY = "a secret key"


@pytest.fixture
def run():
    def invoke(*arguments: object, **environment: str):
        return CliRunner().invoke(app, ["prepare", *map(str, arguments)], env=environment)

    return invoke


def annotation(*clips: str) -> bytes:
    return pickle.dumps({trait: dict.fromkeys(clips, 0.5) for trait in TRAITS}, protocol=2)


@pytest.fixture
def downloads(tmp_path, make_media) -> Path:
    """Train in a zip, test in a zip with a key; two good clips and an unreadable one."""
    media = make_media("made.mp4", seconds=1.0, rate=None).read_bytes()
    folder = tmp_path / "downloads"
    folder.mkdir()
    (folder / "train-1.zip").write_bytes(
        zipped(
            {"a.001.mp4": media, "b.001.mp4": b"no media", ANNOTATIONS["train"]: annotation("a.001.mp4", "b.001.mp4")}
        )
    )
    files = {"c.001.mp4": media, ANNOTATIONS["test"]: annotation("c.001.mp4")}
    (folder / "test-1e.zip").write_bytes(
        locked_zipped(files | {TRANSCRIPTIONS[2]: pickle.dumps({"c.001.mp4": "hello"})}, KEY)
    )
    return folder


@pytest.mark.parametrize("way", ["option", "variable"])
def test_archives_become_a_manifest_and_the_key_is_written_nowhere(run, downloads, tmp_path, way):
    out = tmp_path / "corpus" / "manifest.csv"
    options = ("--key", "wrong", "--key", KEY) if way == "option" else ()
    environment = {"MSMA_KEYS": f"wrong\n{KEY}\n"} if way == "variable" else {}
    result = run("chalearn", downloads, "--out", out, *options, **environment)
    assert result.exit_code == 0, result.stderr
    manifest = read_manifest(out)
    assert [(row.clip, row.source, row.split, row.columns) for row in manifest.rows] == [
        ("a.001.mp4", "a", "train", {"transcript": ""}),
        ("c.001.mp4", "c", "test", {"transcript": "hello"}),
    ]
    assert all(row.path.is_relative_to(tmp_path / "corpus" / "extracted") for row in manifest.rows)
    assert "b.001.mp4" in manifest.facts["problems"]["unreadable"][0]
    assert manifest.facts["problems"]["clips without a transcript"] == ["a.001.mp4", "b.001.mp4"]
    assert any("emotional stability" in note for note in manifest.facts["notes"])
    assert KEY not in result.stdout + result.stderr
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert not [path for path in files if KEY.encode() in path.read_bytes() or KEY in str(path)]


def test_without_the_key_the_rest_is_prepared_and_the_remedy_is_reported(run, downloads, tmp_path):
    result = run("chalearn", downloads, "--out", tmp_path / "manifest.csv")
    assert result.exit_code == 0
    assert [row.clip for row in read_manifest(tmp_path / "manifest.csv").rows] == ["a.001.mp4"]
    assert "archives not used" in result.stderr
    assert "test-1e.zip: 3 of 3 members are encrypted" in result.stderr
    assert "--key" in result.stderr


def test_archives_are_unpacked_to_another_folder_if_one_is_named(run, downloads, tmp_path):
    out = tmp_path / "manifest.csv"
    run("chalearn", downloads, "--out", out, "--extract", tmp_path / "elsewhere")
    assert read_manifest(out).rows[0].path == tmp_path / "elsewhere" / "train-1.zip" / "a.001.mp4"
    assert not (tmp_path / "extracted").exists()


def test_a_wrong_name_for_the_manifest_is_reported_before_anything_is_unpacked(run, downloads, tmp_path):
    result = run("chalearn", downloads, "--out", tmp_path / "manifest.json")
    assert result.exit_code == 1
    assert "a manifest ends in .csv" in str(result.exception)
    assert not (tmp_path / "extracted").exists()


def test_the_three_annotation_files_alone_are_enough_without_a_media_check(run, tmp_path):
    for split, name in ANNOTATIONS.items():
        (tmp_path / name).write_bytes(annotation(f"{split}.001.mp4", f"{split}.002.mp4"))
    out = tmp_path / "manifest.csv"
    refused = run("chalearn", tmp_path, "--out", out)
    assert refused.exit_code == 1
    assert not out.exists()
    result = run("chalearn", tmp_path, "--out", out, "--no-media-check")
    assert result.exit_code == 0
    assert "6 of 6 clips have no file" in result.stderr
    manifest = read_manifest(out)
    assert len(manifest.rows) == 6
    assert manifest.rows[0].path == tmp_path / "test" / "test.001.mp4"


def test_further_columns_reach_the_manifest_and_clips_without_are_named(run, tmp_path):
    for split, name in ANNOTATIONS.items():
        (tmp_path / name).write_bytes(annotation(f"{split}.001.mp4", f"{split}.002.mp4"))
    (tmp_path / "a.csv").write_text("VideoName;Gender\ntrain.001.mp4;1\nval.002.mp4;2\n")
    (tmp_path / "b.csv").write_text("VideoName;Gender\ntest.001.mp4;1\n")
    out, options = tmp_path / "manifest.csv", ("--clip-column", "VideoName", "--no-media-check")
    tables = [word for name in ("a", "b") for word in ("--columns", tmp_path / f"{name}.csv")]
    result = run("chalearn", tmp_path, "--out", out, *tables, *options)
    assert result.exit_code == 0, result.stderr
    manifest = read_manifest(out)
    genders = {row.clip: row.columns["Gender"] for row in manifest.rows}
    assert genders == {
        "train.001.mp4": "1",
        "train.002.mp4": "",
        "val.001.mp4": "",
        "val.002.mp4": "2",
        "test.001.mp4": "1",
        "test.002.mp4": "",
    }
    left = ["test.002.mp4", "train.002.mp4", "val.001.mp4"]
    assert manifest.facts["problems"]["clips without further columns"] == left
    (tmp_path / "b.csv").write_text("VideoName;Gender\nother.001.mp4;1\n")
    refused = run("chalearn", tmp_path, "--out", tmp_path / "other.csv", *tables, *options)
    assert refused.exit_code == 1
    assert "1 of 1 rows are for clips without labels here, such as 'other.001.mp4' (line 2)" in str(refused.exception)
    assert not (tmp_path / "other.csv").exists()


def test_a_hostile_archive_ends_the_command_with_one_line(run, downloads, tmp_path):
    (downloads / "hostile.zip").write_bytes(zipped({"../../x.mp4": b""}))
    result = run("chalearn", downloads, "--out", tmp_path / "manifest.csv")
    assert result.exit_code == 1
    assert "hostile.zip: member '../../x.mp4' leads out of its folder" in str(result.exception)
    assert not (tmp_path / "extracted").exists()


def test_control_characters_of_a_name_do_not_reach_the_terminal(run, downloads, tmp_path):
    (downloads / "evil\x1b[2J.mp4").touch()
    result = run("chalearn", downloads, "--out", tmp_path / "manifest.csv")
    assert "evil\N{REPLACEMENT CHARACTER}[2J.mp4" in result.stderr
    assert "\x1b[2J" not in result.stderr


def test_a_table_becomes_a_manifest(run, make_media, tmp_path):
    for number in range(4):
        make_media(f"{number}.mp4", seconds=1.0, rate=None)
    (tmp_path / "bad.mp4").write_bytes(b"no media")
    lines = [
        f"{name}.mp4,p{name},{score},4,f" for name, score in zip((0, 1, 2, 3, "bad"), (1, 3, 5, 7, 7), strict=True)
    ]
    table = tmp_path / "mine.csv"
    table.write_text("\n".join(["video,person,O_mean,extraversion,gender", *lines]), encoding="utf-8")
    out = tmp_path / "manifest.csv"
    options = ("--path-column", "video", "--traits", "openness=O_mean,extraversion", "--source-column", "person")
    result = run("table", table, "--out", out, *options, "--range", "1,7", "--split", "50,25,25", "--seed", 3)
    assert result.exit_code == 0, result.stderr
    manifest = read_manifest(out)
    assert manifest.corpus == "mine"
    assert manifest.traits == ("openness", "extraversion")
    assert [row.target[0] for row in manifest.rows] == [0, 1 / 3, 2 / 3, 1]
    assert {row.split for row in manifest.rows} == {"train", "val", "test"}
    assert [row.columns for row in manifest.rows] == [{"gender": "f"}] * 4
    assert manifest.facts["range"] == [1, 7]
    assert manifest.facts["columns"]["openness"] == "O_mean"
    assert manifest.facts["split"] == {"shares": [50, 25, 25], "seed": 3}
    assert "bad.mp4" in manifest.facts["problems"]["unreadable"][0]


def test_a_table_alone_is_enough_without_a_media_check(run, tmp_path):
    table = tmp_path / "mine.csv"
    table.write_text("clip,set,openness\na.mp4,train,0.5\nb.mp4,test,0.5\n", encoding="utf-8")
    options = ("--out", tmp_path / "manifest.csv", "--path-column", "clip", "--split-column", "set")
    assert run("table", table, *options).exit_code == 1
    assert run("table", table, *options, "--no-media-check").exit_code == 0
    assert [row.split for row in read_manifest(tmp_path / "manifest.csv").rows] == ["train", "test"]


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (
            (),
            "2 sources cannot fill 3 splits; set a share of --split to 0 (1 of 4 rows can be used, 2 no score, 1 no su",
        ),
        (("--split-column", "set"), "1 of 4 rows have an unknown split, such as line 2 (a.mp4): 'fold1'; use train"),
    ],
    ids=["too few sources", "unknown split"],
)
def test_counts_come_before_an_error_about_splits(run, tmp_path, options, told):
    table = tmp_path / "mine.csv"
    rows = ["a.mp4,fold1,0.5", "b.mp4,train,", "c.mp4,train,?", "d.mp4,train,0.5"]
    table.write_text("\n".join(["clip,set,openness", *rows]), encoding="utf-8")
    (tmp_path / "a.mp4").touch()
    result = run("table", table, "--out", tmp_path / "manifest.csv", "--path-column", "clip", *options)
    assert result.exit_code == 1
    assert told in str(result.exception)
    counts = dict(re.findall(r"(no score|no such file|unknown split|usable)\W+(\d+)", result.stderr))
    assert counts["no score"] == "2"
    assert counts["no such file"] == "1"
    assert "no score: line 4 (c.mp4): openness '?'" in result.stderr


def test_an_error_without_any_usable_row_counts_them(run, tmp_path):
    table = tmp_path / "mine.csv"
    table.write_text("clip,openness\na.mp4,0.5\nb.mp4,\n", encoding="utf-8")
    result = run("table", table, "--out", tmp_path / "manifest.csv", "--path-column", "clip", "--split", "100,0,0")
    assert result.exit_code == 1
    assert "no clip with a label can be read (1 no score, 1 no such file)" in str(result.exception)


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        (("--range", "1-7"), "--range takes 2 numbers"),
        (("--split", "60,40"), "--split takes 3 numbers"),
        (("--split", "60,20,20", "--split-column", "set"), "give one of the two"),
        (("--traits", "openness=a,openness=b"), "--traits names a trait twice"),
    ],
)
def test_an_option_that_cannot_be_understood_is_refused_before_any_work(run, tmp_path, options, problem):
    result = run("table", tmp_path / "missing.csv", "--out", tmp_path / "m.csv", "--path-column", "file", *options)
    assert result.exit_code == 2
    assert problem in " ".join(result.stderr.replace("│", " ").split())
