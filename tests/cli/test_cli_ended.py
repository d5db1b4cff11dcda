"""Runs of `msma predict` that end early, by a signal, a full disk or a closed pipe, in processes of their own."""

from __future__ import annotations

import csv
import json
import os
import random
import re
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.slow  # real processes, each of which loads what a command does

RUN = """
import contextlib, os, sys, time
from types import SimpleNamespace as Made
import msma.media.isolated, msma.prediction.batch, msma.prediction.model, msma.prediction.settings
from msma.types import MODALITIES, TRAITS, MsmaError, Prediction

def load(*_, **__):
    if "unloadable" in os.environ:
        raise MsmaError("no such weights")
    return Made(weights=Made(calibration=None, config=Made(notice="Made up.")))

def predict_each(model, paths, **_):
    shares = dict.fromkeys(MODALITIES, 0.5)
    for path in paths:
        sys.stderr.write(f"at {path}\\n")
        time.sleep(float(os.environ.get("seconds", "0")))
        failed = path in os.environ.get("failing", "").split()
        traits = None if failed else dict.fromkeys(TRAITS, 0.25)
        reasons = [f"{path}: " + "\\u00e9\\n" * 400]
        yield Prediction(
            path, "failed" if failed else "ok", reasons, traits, None, None, shares, shares, [], "made up", "Made up."
        )
        sys.stderr.write(f"written {path}\\n")

msma.media.isolated.MediaProcesses = lambda _: contextlib.nullcontext()
msma.prediction.model.load = load
msma.prediction.batch.predict_each = predict_each
msma.prediction.settings.fingerprint = lambda *_, **__: os.environ.get("settings", "same")
from msma.cli import main
main()
"""
"""`msma` with predictions that take `seconds` each; it says which it is at, and which the command took."""
FILES = [f"{place}.mp4" for place in range(12)]
FORMATS = ("table", "json", "jsonl", "csv")
KEPT = ("json", "jsonl", "csv")
"""Formats that can be resumed."""


def started(*arguments: str | Path, stdout: Any = subprocess.PIPE, bytes_at_most: int | None = None, **settings: str):
    def limited() -> None:
        if bytes_at_most is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (bytes_at_most, bytes_at_most))

    return subprocess.Popen(
        [sys.executable, "-c", RUN, "predict", *map(str, arguments)],
        stdout=stdout,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | settings,
        preexec_fn=limited,
    )


def ran(*arguments: str | Path, **options: Any) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of a run that is not ended."""
    with started(*arguments, **options) as process:
        out, errors = process.communicate(timeout=60)
    return process.returncode, out, errors


def ended(process: subprocess.Popen, number: int, after: str, wait_s: float = 0.0) -> str:
    """Send a signal some time after a line on stderr; returns all of stderr."""
    with process:
        errors = ""
        while f"{after}\n" not in errors:
            line = process.stderr.readline()
            assert line, errors
            errors += line
        time.sleep(wait_s)
        process.send_signal(number)
        return errors + process.communicate(timeout=60)[1]


def lines_of(errors: str) -> list[str]:
    """What a run says besides its progress."""
    return [line for line in errors.splitlines() if not line.startswith(("at ", "written ", "predicting "))]


def paths_in(path: Path, format: str) -> list[str]:
    """The files of the predictions in a file that is whole."""
    text = path.read_text()
    if format == "json":
        return [one["path"] for one in json.loads(text)]
    if format == "jsonl":
        return [json.loads(line)["path"] for line in text.splitlines()]
    if format == "csv":
        rows = list(csv.DictReader(text.splitlines(keepends=True), strict=True))
        assert all(None not in row and None not in row.values() for row in rows)
        return [row["path"] for row in rows]
    return re.findall(r"^ ?(\d+\.mp4)", text, re.MULTILINE)


@pytest.mark.parametrize(
    ("format", "number"),
    [("table", signal.SIGTERM), ("json", signal.SIGTERM), ("jsonl", signal.SIGINT), ("csv", signal.SIGHUP)],
)
def test_a_signal_leaves_all_that_was_predicted(tmp_path, format, number):
    out, chance = tmp_path / "out", random.Random(f"{format} {number}")
    process = started(*FILES, "--format", format, "--out", out, seconds="0.02")
    errors = ended(process, number, f"at {chance.choice(FILES[1:8])}", chance.uniform(0.0, 0.04))
    (said,) = re.findall(
        rf"^ended by {number.name}: (\d+) of 12 files are predicted; they are in \S*/out\b", errors, re.M
    )
    assert process.returncode == 128 + number
    assert "Traceback" not in errors
    assert paths_in(out, format) == FILES[: int(said)]
    assert int(said) >= len(re.findall("^written ", errors, re.MULTILINE)) > 0


@pytest.mark.parametrize("format", ["json", "table"])
def test_a_signal_leaves_stdout_whole(tmp_path, format):
    with (tmp_path / "out").open("w") as stdout:
        process = started(*FILES, "--format", format, stdout=stdout, seconds="0.02")
        errors = ended(process, signal.SIGTERM, "at 5.mp4")
    assert "ended by SIGTERM: 5 of 12 files are predicted\n" in errors
    assert paths_in(tmp_path / "out", format) == FILES[:5]


@pytest.mark.parametrize("format", KEPT)
def test_a_killed_run_leaves_what_was_written(tmp_path, format):
    chance = random.Random(format)
    process = started(*FILES, "--format", format, "--out", tmp_path / "out", seconds="0.002")
    errors = ended(process, signal.SIGKILL, f"at {chance.choice(FILES[1:8])}", chance.uniform(0.0, 0.006))
    found = paths_in(tmp_path / "out", format)
    assert found == FILES[: len(found)]
    assert len(found) >= len(re.findall("^written ", errors, re.MULTILINE)) > 0


def test_a_json_file_is_readable_at_every_moment(tmp_path):
    out = tmp_path / "out"
    with started(*FILES, "--format", "json", "--out", out, seconds="0.02") as process:
        seen = []
        for line in process.stderr:
            if line.startswith("at"):
                seen.append(paths_in(out, "json"))
    assert seen == [FILES[:count] for count in range(12)]


def test_a_second_signal_does_not_break_off_the_end(tmp_path):
    out = tmp_path / "out"
    process = started(*FILES, "--format", "table", "--out", out, seconds="0.05")
    process.stderr.readline()
    time.sleep(0.1)
    process.send_signal(signal.SIGTERM)
    process.send_signal(signal.SIGINT)
    errors = process.communicate(timeout=60)[1]
    assert process.returncode in (128 + signal.SIGTERM, 128 + signal.SIGINT)
    assert "Traceback" not in errors
    assert paths_in(out, "table")


def test_a_signal_that_is_ignored_ends_nothing(tmp_path):
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as nohup does
    try:
        process = started(*FILES, "--format", "json", "--out", tmp_path / "out", seconds="0.01")
    finally:
        signal.signal(signal.SIGHUP, before)
    ended(process, signal.SIGHUP, "at 3.mp4")
    assert process.returncode == 0
    assert paths_in(tmp_path / "out", "json") == FILES


@pytest.mark.parametrize("format", ["json", "table"])
def test_what_is_there_stays_until_the_new_one_is_whole(tmp_path, format):
    out = tmp_path / "out"
    out.write_text("from before")
    errors = ended(started(*FILES, "--format", format, "--out", out, seconds="0.02"), signal.SIGTERM, "at 4.mp4")
    assert out.read_text() == "from before"
    assert f"4 of 12 files are predicted; they are in {out}.unfinished" in errors
    assert paths_in(tmp_path / "out.unfinished", format) == FILES[:4]
    assert ran(*FILES, "--format", format, "--out", out)[0] == 0
    assert paths_in(out, format) == FILES
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


@pytest.mark.parametrize(
    ("format", "number"), [("json", signal.SIGKILL), ("jsonl", signal.SIGTERM), ("csv", signal.SIGKILL)]
)
def test_a_run_that_was_ended_twice_is_resumed_and_equals_an_unbroken_one(tmp_path, format, number):
    out, options = tmp_path / "out", ("--format", format, "--out", tmp_path / "out")
    ended(started(*FILES, *options, seconds="0.02"), number, "at 3.mp4")
    again = ended(started(*FILES, *options, "--resume", seconds="0.02"), number, "at 7.mp4")
    code, _, errors = ran(*FILES, *options, "--resume")
    assert ran(*FILES, "--format", format, "--out", tmp_path / "unbroken")[0] == code == 0
    assert out.read_bytes() == (tmp_path / "unbroken").read_bytes()
    assert ("at 2.mp4" in again, "at 6.mp4" in errors) == (False, False)
    assert "12 files: 12 ok, 0 degraded" in errors
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "unbroken"]


@pytest.mark.parametrize("format", ["json", "csv"])
def test_resumed_predictions_are_in_the_order_of_the_files(tmp_path, format):
    options = ("--format", format, "--out", tmp_path / "out")
    ran("b.mp4", "d.mp4", *options)
    _, _, errors = ran("a.mp4", "d.mp4", "c.mp4", "b.mp4", *options, "--resume")
    assert paths_in(tmp_path / "out", format) == ["a.mp4", "d.mp4", "c.mp4", "b.mp4"]
    assert re.findall("at (.*)", errors) == ["a.mp4", "c.mp4"]


@pytest.mark.parametrize("format", ["json", "csv"])
def test_what_is_whole_of_a_broken_file_is_taken_over(tmp_path, format):
    options = (*FILES, "--format", format, "--out", tmp_path / "out")
    ran(*options)
    whole = (tmp_path / "out").read_bytes()
    (tmp_path / "out").write_bytes(whole[: len(whole) * 2 // 3])
    assert re.search(r"taken over: [678] of 12 files", ran(*options, "--resume")[2])
    assert (tmp_path / "out").read_bytes() == whole


@pytest.mark.parametrize("arguments", [("--format", "json"), ("--out", "out"), ("--format", "table", "--out", "out")])
def test_resume_needs_a_file_that_can_be_read_again(arguments):
    code, _, errors = ran("a.mp4", "--resume", *arguments)
    assert code == 2
    assert "--resume needs --out and --format json, jsonl or csv" in re.sub(r"\s*│?\n│?\s*", " ", errors)


def test_two_runs_do_not_write_into_one_file(tmp_path):
    out = tmp_path / "out"
    with started(*FILES, "--format", "json", "--out", out, seconds="10") as first:
        first.stderr.readline()
        code, _, errors = ran("b.mp4", "--format", "json", "--out", out)
        first.kill()
    assert (code, errors.count("\n")) == (1, 1)
    assert f"{out}: another run writes its predictions into it" in errors
    assert paths_in(out, "json") == []


def test_a_run_that_was_killed_holds_nothing(tmp_path):
    options = ("--format", "json", "--out", tmp_path / "out")
    ended(started(*FILES, *options, seconds="0.1"), signal.SIGKILL, "at 2.mp4")
    assert ran(*FILES, *options)[0] == 0


@pytest.mark.parametrize("format", KEPT)
def test_a_full_disk_is_one_line_and_leaves_what_was_written(tmp_path, format):
    out = tmp_path / "out"
    code, _, errors = ran(*FILES, "--format", format, "--out", out, bytes_at_most=9000)
    (line,) = lines_of(errors)
    assert code == 1
    assert re.match(rf"msma: {re.escape(str(out))}: cannot be written \(", line)
    assert paths_in(out, format) == FILES[: len(re.findall("^written ", errors, re.MULTILINE))]
    assert len(re.findall("^written ", errors, re.MULTILINE)) > 1


@pytest.mark.parametrize("format", FORMATS)
def test_a_full_disk_leaves_what_was_there_and_no_empty_file(tmp_path, format):
    out = tmp_path / "out"
    out.write_text("from before")
    code, _, errors = ran(*FILES, "--format", format, "--out", out, bytes_at_most=0)
    (line,) = lines_of(errors)
    assert (code, out.read_text()) == (1, "from before")
    assert re.match(rf"msma: {re.escape(str(out))}\.unfinished: cannot be written \(", line)
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


@pytest.mark.parametrize("format", ["json", "table"])
def test_stdout_that_takes_no_more_is_one_line(format):
    with Path("/dev/full").open("w") as full:
        code, _, errors = ran("a.mp4", "--format", format, stdout=full)
    (line,) = lines_of(errors)
    assert code == 1
    assert re.match(r"msma: (stdout: cannot be written \()?.*no space left", line, re.IGNORECASE)


@pytest.mark.parametrize("format", ["json"])
def test_a_closed_pipe_ends_the_run_quietly(format):
    with started(*FILES, "--format", format, seconds="0.02") as process:
        process.stdout.readline()
        process.stdout.close()
        errors = process.stderr.read()
    assert process.returncode == 1
    assert not lines_of(errors)
    assert "at 11.mp4" not in errors


def test_a_link_stays_one_and_the_file_keeps_its_mode(tmp_path):
    (tmp_path / "real").write_text("from before")
    (tmp_path / "real").chmod(0o640)
    (tmp_path / "link").symlink_to("real")
    assert ran("a.mp4", "--format", "json", "--out", tmp_path / "link")[0] == 0
    assert (tmp_path / "link").is_symlink()
    assert paths_in(tmp_path / "real", "json") == ["a.mp4"]
    assert (tmp_path / "real").stat().st_mode & 0o777 == 0o640


def test_a_run_that_does_not_begin_leaves_nothing(tmp_path):
    assert ran("a.mp4", "--format", "json", "--out", tmp_path / "out", unloadable="yes")[0] == 1
    assert list(tmp_path.iterdir()) == []


def test_a_pipe_is_written_to_as_it_is():
    code, out, _ = ran("a.mp4", "--format", "json", "--out", "/dev/stdout")
    assert code == 0
    assert [one["path"] for one in json.loads(out)] == ["a.mp4"]
