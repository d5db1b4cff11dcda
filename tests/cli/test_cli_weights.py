"""`msma weights`: what is reported, and where it goes."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from msma.cli import main
from msma.cli.commands import app
from msma.weights.wheels import PACKAGED


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.setenv("MSMA_WEIGHTS", str(tmp_path / "weights"))
    monkeypatch.setenv("COLUMNS", "200")
    return lambda *arguments: CliRunner().invoke(app, ["weights", *map(str, arguments)])


def test_list_names_licence_size_source_and_the_command_of_what_is_not_there(run):
    shown = run("list").stdout
    for name, weights in PACKAGED.items():
        (line,) = [line for line in shown.splitlines() if f" {name} " in line]
        assert all(text in line for text in (weights.licence, " MB", weights.source, f"msma weights pull {name}"))


def test_list_names_what_is_there_and_in_which_folder(run, wheels, tmp_path):
    run("pull", "ge2e", "--wheel", wheels["ge2e"])
    result = run("list")
    assert "msma weights pull ge2e" not in result.stdout
    assert "msma weights pull efficientnet_lite0" in result.stdout
    assert result.stderr == f"the weights folder is {tmp_path / 'weights'}\n"


def test_pull_names_licence_source_and_path_at_the_end(run, wheels, tmp_path):
    result = run("pull", "ge2e", "--wheel", wheels["ge2e"])
    path = tmp_path / "weights" / "ge2e.safetensors"
    assert result.exit_code == 0
    assert result.stdout == ""
    assert result.stderr.splitlines()[-1] == f"ge2e: Apache-2.0, from {PACKAGED['ge2e'].source}; in {path}"
    assert path.is_file()


def test_pull_names_what_it_fetches(run, wheels, monkeypatch):
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(wheels["ge2e"].parent))
    assert run("pull", "ge2e").stderr.splitlines()[0] == "fetching Resemblyzer 0.1.4 (15.7 MB)"
    assert "fetching" not in run("pull", "ge2e").stderr


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [(["nothing"], "no such weights"), (["ge2e", "--wheel", str(Path(__file__))], "is not Resemblyzer-0.1.4")],
)
def test_what_cannot_be_pulled_is_one_line(arguments, problem, run, monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["msma", "weights", "pull", *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    error = capsys.readouterr().err
    assert (ended.value.code, error.count("\n"), problem in error) == (1, 1, True)
