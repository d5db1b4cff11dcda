"""The README tells the truth: its commands and options exist, its Python runs, its links lead somewhere."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import click
import pytest
from typer.main import get_command

from msma.cli import app

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
FILES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")), *sorted((ROOT / "recipes").rglob("*.yaml"))]


def commands(text: str) -> list[list[str]]:
    lines = re.findall(r"(?m)^[#\s]*(?:\.venv/bin/)?(msma [a-z].*)$", text.replace("\\\n", " "))
    return [shlex.split(line, comments=True)[1:] for line in lines]


def test_the_readme_is_under_200_lines():
    assert len(README.splitlines()) < 200


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_every_command_that_is_shown_can_be_parsed(path):
    for words in commands(path.read_text(encoding="utf-8")):
        command: click.Command = get_command(app)
        while isinstance(command, click.Group):
            command, words = command.commands[words[0]], words[1:]
        command.make_context("msma", list(words))  # raises on an option or argument that does not exist


def test_the_readme_shows_each_command_of_the_main_way():
    shown = {words[0] for words in commands(README)}
    assert {"synth", "prepare", "train", "evaluate", "predict"} <= shown


def test_the_python_of_the_readme_runs(make_media, monkeypatch, capsys):
    (code,) = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)
    path = make_media("your_video.mp4")
    monkeypatch.chdir(path.parent)
    exec(compile(code, "README.md", "exec"), {})  # noqa: S102
    assert "openness" in capsys.readouterr().out


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_every_number_is_filled_in(path):
    assert re.findall(r"@[A-Z]{3,}@", path.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize("path", [path for path in FILES if path.suffix == ".md"], ids=lambda path: path.name)
def test_every_link_to_a_file_leads_somewhere(path):
    for target in re.findall(r"\]\((?!https?://)([^)#]+)", path.read_text(encoding="utf-8")):
        assert (path.parent / target).exists(), target


def test_every_make_target_that_is_named_exists():
    targets = set(re.findall(r"(?m)^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8")))
    assert set(re.findall(r"`?make ([a-z]+)", README)) <= targets
