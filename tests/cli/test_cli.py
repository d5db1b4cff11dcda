"""The command line: what goes to stdout and stderr, exit codes, and every kind of bad input in one batch."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import sys
from pathlib import Path

import pytest
from rich.progress import Task, TaskID
from typer.testing import CliRunner
from voices import voice

import msma
from msma.cli import main
from msma.cli.commands import app
from msma.cli.show.predictions import writer_of
from msma.cli.show.progress import RateColumn
from msma.cli.show.tables import show_cache_report
from msma.data.cache import CacheReport
from msma.files.names import meant
from msma.prediction.predictions_json import load_predictions
from msma.types import TRAITS


@pytest.fixture
def run():
    return lambda *arguments: CliRunner().invoke(app, [str(argument) for argument in arguments])


def test_synth_says_how_to_bring_hats_into_the_manifest(run, tmp_path):
    options = ("--clips", 6, "--seconds", 1, "--workers", 1)
    result = run(
        "synth", tmp_path / "a", *options, "--attribute", "hat", "--label-bias", "agreeableness=0.2,openness=-0.1"
    )
    assert result.exit_code == 0, result.stderr
    assert f"--columns {tmp_path}/a/annotation/attributes.csv" in result.stderr
    planted = json.loads((tmp_path / "a" / "oracle.json").read_text())["parameters"]["attribute"]
    assert planted == {"column": "hat", "label_bias": {"openness": -0.1, "agreeableness": 0.2}}


@pytest.mark.parametrize("bias", ["agreeableness", "agreeableness=much", "openness=0.1,openness=0.2", ""])
def test_a_label_bias_that_is_none_is_refused(run, tmp_path, bias):
    assert run("synth", tmp_path / "a", "--attribute", "hat", "--label-bias", bias).exit_code == 2


def test_a_label_bias_needs_hats(run, tmp_path):
    result = run("synth", tmp_path / "a", "--label-bias", "agreeableness=0.2")
    assert result.exit_code == 1
    assert "add --attribute hat to --label-bias" in str(result.exception)


def test_synth_renders_structure_in_clips_that_are_long_enough_for_it(run, tmp_path, monkeypatch):
    monkeypatch.setattr("msma.data.synthetic.render.render_clip", lambda folder, plan, _: (folder / plan.name).touch())
    result = run("synth", tmp_path / "a", "--clips", 6, "--seconds", 4, "--structure")
    assert result.exit_code == 1
    assert "needs 8 seconds or more" in str(result.exception)
    assert run("synth", tmp_path / "a", "--clips", 6, "--structure", "--workers", 1).exit_code == 0
    parameters = json.loads((tmp_path / "a" / "oracle.json").read_text())["parameters"]
    assert (parameters["seconds"], parameters["structure"]) == (8, True)


def test_a_file_that_crashes_its_decoder_fails_alone(run, make_media, crashing_media):
    result = run(
        "predict",
        make_media("a.mp4", sound=voice),
        crashing_media,
        make_media("b.mp4", sound=voice),
        "--format",
        "json",
    )
    predictions = json.loads(result.stdout)
    assert result.exit_code == 0
    assert [prediction["status"] for prediction in predictions] == ["degraded", "failed", "degraded"]


def test_workers_change_no_byte(run, make_media):
    files = [make_media(f"{name}.mp4", seconds=seconds) for name, seconds in (("a", 20.0), ("b", 1.0), ("c", 3.0))]
    one, three = (run("predict", *files, "--format", "json", "--workers", count).stdout for count in (1, 3))
    assert one == three


def test_predict_json_is_a_list_with_one_object_per_input(run, make_media):
    result = run("predict", make_media("a.mp4"), make_media("b.mp4", rate=None), "--format", "json")
    predictions = json.loads(result.stdout)
    assert result.exit_code == 0
    assert [Path(prediction["path"]).name for prediction in predictions] == ["a.mp4", "b.mp4"]
    wanted = {"path", "status", "reasons", "traits", "intervals", "coverage"}
    wanted |= {"quality", "used", "windows", "model", "notice"}
    assert all(wanted <= prediction.keys() for prediction in predictions)
    assert {"start_s", "end_s", "traits"} <= predictions[0]["windows"][0].keys()
    assert "labels" not in predictions[0]  # they are of the weights


def test_predict_jsonl_csv_and_table_agree_with_json(run, make_media):
    path = make_media(sound=voice)
    expected = json.loads(run("predict", path, "--format", "json").stdout)[0]
    assert json.loads(run("predict", path, "--format", "jsonl").stdout) == expected
    (row,) = csv.DictReader(io.StringIO(run("predict", path, "--format", "csv").stdout))
    assert [float(row[trait]) for trait in TRAITS] == list(expected["traits"].values())
    ends = [[float(row[f"{trait}_low"]), float(row[f"{trait}_high"])] for trait in TRAITS]
    assert (ends, float(row["coverage"])) == (list(expected["intervals"].values()), expected["coverage"])
    table, (low, high) = run("predict", path).stdout, expected["intervals"]["openness"]
    assert f"{expected['traits']['openness']:.2f}" in table
    assert "-".join(f"{end:.2f}".removeprefix("0") for end in (low, high)) in table


def test_messages_and_notice_go_to_stderr(run, make_media):
    result = run("predict", make_media(sound=voice), "--format", "json")
    assert "1 files: 0 ok, 1 degraded, 0 abstained, 0 failed" in result.stderr
    assert "rendered people" in result.stderr


def test_predict_writes_to_a_file(run, make_media, tmp_path):
    out = tmp_path / "new" / "predictions.json"
    result = run("predict", make_media(sound=voice), "--format", "json", "--out", out)
    assert result.stdout == ""
    assert json.loads(out.read_text())[0]["status"] == "degraded"


def test_a_batch_of_bad_inputs_continues_with_one_line_for_each(run, make_media, tmp_path):
    good = make_media("good 'clip' – ümläut.mp4", sound=voice)
    (tmp_path / "empty.mp4").touch()
    (tmp_path / "random.mp4").write_bytes(bytes(range(256)) * 40)
    half = tmp_path / "half.mp4"
    half.write_bytes(make_media("whole.mp4").read_bytes()[:2000])
    (tmp_path / "script.mp4").write_text(f"ffconcat version 1.0\nfile '{good.name}'\n")
    bad = [tmp_path / name for name in ("empty.mp4", "random.mp4", "half.mp4", "script.mp4", "missing.mp4")]
    result = run("predict", *bad, good, "--format", "json")
    predictions = json.loads(result.stdout)
    assert result.exit_code == 0
    assert [prediction["status"] for prediction in predictions] == ["failed"] * 5 + ["degraded"]
    for path, prediction in zip(bad, predictions, strict=False):
        (reason,) = prediction["reasons"]
        assert str(path) in reason
        assert "\n" not in reason
        assert f"failed: {reason}" in result.stderr


def test_the_exit_code_is_not_zero_where_nothing_worked(run, tmp_path):
    (tmp_path / "empty.mp4").touch()
    assert run("predict", tmp_path / "empty.mp4").exit_code == 1


def test_the_tracks_that_were_named_are_in_the_prediction(run, make_media):
    result = run("predict", make_media(), "--format", "json", "--audio-track", 1, "--video-track", 1)
    media = json.loads(result.stdout)[0]["media"]
    assert (media["audio_track"], media["video_track"]) == (1, 1)


def test_a_track_that_is_not_there_fails_the_clip(run, make_media):
    result = run("predict", make_media(), "--format", "json", "--audio-track", 2)
    assert result.exit_code == 1
    assert "has no audio track 2" in json.loads(result.stdout)[0]["reasons"][0]


@pytest.mark.parametrize("option", ["--audio-track", "--video-track"])
def test_explain_reads_the_track_that_was_named(run, make_media, tmp_path, option):
    result = run("explain", make_media(), "--out", tmp_path / "page.html", option, 2)
    assert "track 2 that can be decoded" in str(result.exception)


@pytest.mark.parametrize("command", ["predict", "explain"])
def test_a_clip_is_not_overwritten_by_its_prediction(run, make_media, command):
    clip = make_media()
    before = clip.read_bytes()
    result = run(command, clip, "--out", clip)
    assert "is read, and would be overwritten; name another --out" in str(result.exception)
    assert clip.read_bytes() == before


def test_a_folder_without_media_is_an_error(run, tmp_path):
    result = run("predict", tmp_path)
    assert result.exit_code == 1
    assert "holds no media file" in result.stderr


def test_a_failure_that_ends_a_command_is_one_line_and_exit_code_1(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(
        sys, "argv", ["msma", "train", str(tmp_path / "no.yaml"), "--manifest", "m.csv", "--out", "run"]
    )
    with pytest.raises(SystemExit) as end:
        main()
    assert end.value.code == 1
    assert re.fullmatch(r"msma: .*no\.yaml: [^\n]+\n", capsys.readouterr().err)


def test_a_name_with_brackets_is_shown_as_it_is(run, make_media):
    assert "Title [dQw4w9].mp4" in run("predict", make_media("Title [dQw4w9].mp4")).stdout


def test_a_file_whose_name_is_not_valid_text_is_predicted(run, make_media, tmp_path):
    path = os.fsdecode(os.fsencode(make_media()) + b"\xff.mp4")
    Path(make_media()).rename(path)
    for format in ("json", "csv", "table"):
        out = tmp_path / f"predictions.{format}"
        assert run("predict", path, "--format", format, "--out", out).exit_code == 0
        assert r"\udcff.mp4" in out.read_text(encoding="utf-8").replace("\\\\", "\\")
    (prediction,) = load_predictions(tmp_path / "predictions.json")
    assert meant(prediction.path) == path


def test_a_failure_in_a_folder_that_is_no_text_names_the_file(run, tmp_path):
    folder = tmp_path / os.fsdecode(b"no text \xff")
    folder.mkdir()
    (folder / os.fsdecode(b"a\xfe.mp4")).write_bytes(b"no media")
    for format in ("json", "jsonl", "csv", "table"):
        result = run("predict", folder, "--format", format)
        assert r"a\udcfe.mp4" in result.stdout.replace("\\\\", "\\")
        assert re.search(r"failed: .*no text \\udcff/a\\udcfe.mp4", result.stderr)


def test_predictions_made_before_an_early_end_are_written(make_media, tmp_path):
    def interrupted() -> None:
        with writer_of("json", tmp_path / "predictions.json") as write:
            write(msma.load().predict(make_media()))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert len(json.loads((tmp_path / "predictions.json").read_text())) == 1


def test_a_limit_can_be_changed(run, make_media):
    result = run("predict", make_media(seconds=3.0), "--limit", "max_seconds=1")
    assert result.exit_code == 1
    assert "limit of 1 s" in result.stderr


def test_a_filled_cache_is_reported_in_one_table_and_a_line_for_each_failed_clip(capsys, tmp_path):
    entries = {f"{index}.mp4": tmp_path / f"{index}.clip" for index in range(40)}
    failed = {f"bad{index}.mp4": f"bad{index}.mp4: no moov [atom]" for index in range(25)}
    show_cache_report(CacheReport(tmp_path, entries, {"1.mp4": ["no audio track"]}, failed, total_bytes=40 * 2048))
    out, errors = capsys.readouterr()
    header, row = (re.split(r" {2,}", line.strip()) for line in errors.splitlines() if re.search(r"clips|65", line))
    assert [cell.strip() for cell in header] == ["clips", "ok", "degraded", "failed", "KiB a clip"]
    assert [cell.strip() for cell in row] == ["65", "39", "1", "25", "2"]
    assert errors.count("\nfailed: bad") == 20
    assert "failed: bad0.mp4: no moov [atom]\n" in errors
    assert "failed: and 5 more\n" in errors
    assert out == ""


def test_the_bar_shows_how_many_are_done_in_a_second():
    column = RateColumn("clips")
    task = Task(TaskID(0), "preparing", total=10, completed=0, _get_time=lambda: 0.0)
    assert column.render(task).plain == "clips"
    task.finished_speed = 12.34
    assert column.render(task).plain == "12.3 clips/s"


def test_an_unknown_format_is_refused_before_any_work(run, make_media):
    result = run("predict", make_media(), "--format", "xml")
    assert result.exit_code == 2
    assert re.search(r"'table'.*'json'.*'jsonl'.*'csv'", result.stderr, re.DOTALL)
