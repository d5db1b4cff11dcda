"""`msma robustness` from files to table, JSON and figures."""

from __future__ import annotations

import importlib.util
import json
import signal
from dataclasses import replace
from pathlib import Path

import pytest
from planted import RECIPE, changed, planted_corpus
from typer.testing import CliRunner, Result

from msma.cli import steps
from msma.cli.commands import app
from msma.cli.ending import Ended
from msma.cli.steps import severities_in
from msma.data import cache
from msma.data.corpora.manifest import write_manifest
from msma.training.run import train


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    """Folder with `manifest.csv` and a trained `run`, and the clip cache."""
    folder = tmp_path_factory.mktemp("corpus")
    corpus = planted_corpus(folder / "clips", train=12, held_out=4)
    train(changed(RECIPE, train={"steps": 4, "batch_size": 6}), corpus, folder / "run", cpu=True)
    rows = [replace(row, columns={"group": row.source[-1]}) for row in corpus.rows]
    write_manifest(folder / "manifest.csv", "planted", rows, {})
    return folder, corpus.cache


@pytest.fixture
def run(corpus, monkeypatch):
    """Run the command on clips that are decoded already, in this process."""
    folder, filled = corpus
    monkeypatch.setattr(cache, "fill_cache", lambda *_, **__: filled)
    monkeypatch.setattr("msma.cli.robustness.at_once", lambda *_: 0)

    def invoke(out: Path, *more: object) -> Result:
        arguments = ("robustness", "--model", folder / "run", "--manifest", folder / "manifest.csv", "--out", out)
        return CliRunner().invoke(app, [str(argument) for argument in (*arguments, *more)])

    return invoke


def test_the_six_are_reported_as_a_table_and_written_with_figures(run, tmp_path):
    result = run(tmp_path)
    assert result.exit_code == 0, result.stderr
    for name in ("visual_missing", "audio_missing", "visual_noise", "audio_noise", "visual_missing_audio_noise"):
        assert name in result.stdout
    assert "mean retention over the six scenarios at severity 3: " in result.stdout
    assert "check, the network uses what it reads: " in result.stdout
    assert {path.name for path in tmp_path.iterdir()} == {
        "cells",
        "curves.svg",
        "heatmap.svg",
        "robustness.yaml",
        "summary.json",
    }
    assert len(list((tmp_path / "cells").iterdir())) == 7
    assert f"7 cells and summary.json are in {tmp_path}" in result.stderr


def test_json_is_the_file_and_nothing_else_is_on_stdout(run, tmp_path):
    values = json.loads(run(tmp_path, "--format", "json", "--severity", "2-3").stdout)
    assert values == json.loads((tmp_path / "summary.json").read_text())
    assert (values["corpus"], values["split"], values["suite"]) == ("planted", "test", "six")
    assert list(values["six"]["retention"]) == ["2", "3"]
    assert len(values["cells"]) == 2 + 4 * 2


def test_a_suite_of_the_users_own_is_run(run, tmp_path):
    (tmp_path / "own.yaml").write_text("- {name: phone, corruptions: [no_visual, {white_noise: 2}]}")
    values = json.loads(run(tmp_path / "out", "--suite", tmp_path / "own.yaml", "--format", "json").stdout)
    assert list(values["scenarios"]) == ["phone"]


def test_called_again_it_shows_the_same_without_running_a_cell(run, tmp_path, monkeypatch):
    before = run(tmp_path).stdout
    monkeypatch.setattr(
        "msma.evaluation.robustness.suite.run_cell", lambda job: pytest.fail(f"{job.cell.name} is run again")
    )
    assert run(tmp_path).stdout == before


def test_all_splits_can_be_taken_together(run, tmp_path):
    (tmp_path / "own.yaml").write_text("- {name: deaf, corruptions: [no_audio]}")
    more = ("--split", "all", "--suite", tmp_path / "own.yaml", "--format", "json")
    values = json.loads(run(tmp_path / "out", *more).stdout)
    assert (values["split"], values["clips"]) == ("all", 20)


def test_groups_are_reported_with_what_is_left_in_each(run, tmp_path):
    result = run(tmp_path, "--slices", "group")
    assert "group: too few sources" in result.stdout
    group = json.loads((tmp_path / "summary.json").read_text())["slices"]["columns"]["group"]
    assert len(group["groups"]) == 2
    for one in group["groups"].values():
        assert (one["clips"], one["sources"], len(one["cells"])) == (2, 1, 6)


def test_a_column_that_is_not_there_is_reported_before_anything_is_run(run, tmp_path):
    result = run(tmp_path / "out", "--slices", "hat")
    assert result.exit_code == 1
    assert "'hat' is no column of the manifest; it has: group" in str(result.exception)
    assert not (tmp_path / "out").exists()


def test_without_matplotlib_all_else_is_done(run, tmp_path, monkeypatch):
    plain = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "matplotlib" else plain(name))
    result = run(tmp_path)
    assert result.exit_code == 0
    assert "pip install 'msma[plots]'" in result.stderr
    assert (tmp_path / "summary.json").is_file()
    assert not (tmp_path / "curves.svg").exists()


def test_ctrl_c_says_how_to_resume_and_keeps_finished_cells(run, tmp_path, monkeypatch):
    from msma.evaluation.robustness import suite

    plain = suite.run_cell

    def interrupted(job):
        if job.cell.scenario == "audio_noise":
            raise Ended(signal.SIGINT)
        return plain(job)

    with monkeypatch.context() as patch:
        patch.setattr(suite, "run_cell", interrupted)
        result = run(tmp_path)
    assert result.exit_code == 130
    assert "the same command resumes" in result.stderr
    assert len(list((tmp_path / "cells").iterdir())) == 4
    assert run(tmp_path).exit_code == 0


@pytest.mark.parametrize("text", ["0", "6", "3-1", "1-6", "a", "1-", "", "1-2-3", "２"])
def test_a_severity_that_is_none_is_refused(run, tmp_path, text):
    assert run(tmp_path, "--severity", text).exit_code == 2


def test_severities_are_one_or_a_range_or_some():
    assert severities_in("3") == (3,)
    assert severities_in("2-4") == (2, 3, 4)
    assert severities_in("5-5") == (5,)
    assert severities_in("5, 1,2-3") == (1, 2, 3, 5)


@pytest.mark.parametrize("more", [("--suite", "seven"), ("--format", "xml")])
def test_a_choice_that_is_not_there_is_refused(run, tmp_path, more):
    assert run(tmp_path, *more).exit_code == 2


def test_a_split_that_is_not_there_is_one_line(run, tmp_path):
    result = run(tmp_path, "--split", "dev")
    assert result.exit_code == 1
    assert "split 'dev' has no clips in this manifest" in str(result.exception)


def test_processes_are_one_per_core_or_one_on_a_gpu(monkeypatch):
    monkeypatch.setattr("os.cpu_count", lambda: 8)
    assert (steps.at_once("cpu", None), steps.at_once("cuda:1", None), steps.at_once("cpu", 3)) == (8, 1, 3)
    for there, processes in ((True, 1), (False, 8)):
        monkeypatch.setattr("torch.cuda.is_available", lambda there=there: there)
        assert steps.at_once(None, None) == processes
