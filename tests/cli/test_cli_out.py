"""Where a command is to write is checked before the work: the inputs named here are not even there."""

from __future__ import annotations

import os
import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import typer.main
from typer.testing import CliRunner

from msma.cli import train
from msma.cli.commands import app
from msma.data.corpora import manifest
from msma.files.folders import locked

RECIPE, MANIFEST = ("recipe.yaml", "--manifest", "m.csv"), ("--manifest", "m.csv")
FILES = {
    "predict": ("clip.mp4", "--out"),
    "explain": ("clip.mp4", "--out"),
    "report": ("run", "--out"),
    "prepare chalearn": ("corpus", "--out"),
    "prepare table": ("table.csv", "--path-column", "path", "--out"),
    "corruptions": ("--preview",),
    "profile": ("--model", "run", "--out"),
    "card": ("run", "--out"),
}
FOLDERS = {
    "synth": (),
    "train": (*RECIPE, "--out"),
    "crossval": (*RECIPE, "--out"),
    "ablate": (*RECIPE, "--out"),
    "evaluate": (*MANIFEST, "--model", "run", "--out"),
    "score": ("predictions.csv", *MANIFEST, "--out"),
    "robustness": (*MANIFEST, "--out"),
    "share": ("run", "--to", "owner/name", "--out"),
    "export onnx": ("--model", "run", "--out"),
}
NAMED = {"corruptions": "--preview", "synth": "OUT"}
"""What names the place, where it is not --out."""
every_command = pytest.mark.parametrize(("command", "before"), (FILES | FOLDERS).items(), ids=list(FILES | FOLDERS))


def refused(command: str, *arguments: str | Path) -> str:
    """The line that a command ends with."""
    result = CliRunner().invoke(app, [*command.split(), *map(str, arguments)])
    assert result.exit_code == 1, result.output
    line = str(result.exception)
    assert "\n" not in line
    return line


@pytest.fixture
def read_only(monkeypatch):
    """As on a disk that is mounted so: whoever runs the tests may be allowed everything."""
    access = os.access
    monkeypatch.setattr(os, "access", lambda path, mode: not mode & os.W_OK and access(path, mode))


def test_every_command_that_writes_is_here():
    writing = set()

    def gather(group: Any, prefix: str = "") -> None:
        for name, command in group.commands.items():
            if hasattr(command, "commands"):
                gather(command, f"{name} ")
            elif {"out", "preview"} & {option.name for option in command.params}:
                writing.add(prefix + name)

    gather(typer.main.get_command(app))
    assert writing == {*FILES, *FOLDERS}


@pytest.mark.parametrize(("command", "before"), FILES.items(), ids=list(FILES))
def test_a_folder_in_the_place_of_a_file_is_refused(tmp_path, command, before):
    place = tmp_path / "taken.csv"
    place.mkdir()
    assert refused(command, *before, place) == f"{place}: is a folder; name a file with {NAMED.get(command, '--out')}"


@pytest.mark.parametrize(("command", "before"), FOLDERS.items(), ids=list(FOLDERS))
def test_a_file_in_the_place_of_a_folder_is_refused(tmp_path, command, before):
    place = tmp_path / "taken"
    place.write_text("mine")
    assert refused(command, *before, place) == f"{place}: is a file; name a folder with {NAMED.get(command, '--out')}"
    assert place.read_text() == "mine"


@every_command
def test_a_place_below_a_file_is_refused(tmp_path, command, before):
    (tmp_path / "taken").write_text("mine")
    place = tmp_path / "taken" / "new" / "out.csv"
    said = f"{place}: {tmp_path / 'taken'} is a file and can hold no other; name another {NAMED.get(command, '--out')}"
    assert refused(command, *before, place) == said


@every_command
def test_a_folder_that_cannot_be_written_to_is_refused(tmp_path, read_only, command, before):
    place = tmp_path / "new" / "out.csv"
    said = f"{place}: {tmp_path} cannot be written to; name another {NAMED.get(command, '--out')}"
    assert refused(command, *before, place) == said
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("command", sorted(FOLDERS.keys() - {"train"}))
def test_a_folder_that_another_run_writes_into_is_refused_with_who_that_is(tmp_path, command):
    place = tmp_path / "out"
    with locked(place), ThreadPoolExecutor(1) as another:
        said = another.submit(refused, command, *FOLDERS[command], place).result()
    assert re.match(
        rf"{re.escape(str(place))}: process {os.getpid()} on .*, since .*, writes into it; wait until", said
    )


def test_a_run_that_is_written_is_not_calibrated(tmp_path, monkeypatch):
    monkeypatch.setattr(train, "uncalibrated", lambda *_: None)
    monkeypatch.setattr(manifest, "read_manifest", lambda *_: None)
    with locked(tmp_path), ThreadPoolExecutor(1) as another:
        assert "writes into it" in another.submit(refused, "calibrate", *MANIFEST, "--model", tmp_path).result()


def test_a_run_whose_calibration_cannot_be_written_is_refused(tmp_path, read_only):
    assert "name another --model" in refused("calibrate", *MANIFEST, "--model", tmp_path)


def test_a_run_is_not_trained_over_before_its_clips_are_read(tmp_path):
    (tmp_path / "state.pt").touch()
    assert "holds a run already" in refused("train", *RECIPE, "--out", tmp_path)
