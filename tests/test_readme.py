"""The README tells the truth: its commands and options exist, its Python runs, its links lead somewhere."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command
from voices import voice

from msma.cli.commands import app

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
WRITTEN_BY_MAKE_DOCS = "commands.md"
FILES = [
    *(ROOT / name for name in ("README.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md")),
    *(path for path in sorted((ROOT / "docs").rglob("*.md")) if path.name != WRITTEN_BY_MAKE_DOCS),
    *sorted((ROOT / "recipes").rglob("*.yaml")),
]


def commands(text: str) -> list[list[str]]:
    """The words of each command line in a fenced or indented block, or in the comments of a recipe."""
    blocks = re.findall(r"(?ms)^```\w*\n(.*?)^```$", text) + re.findall(r"(?m)^(?:#  | {3}) (.*)$", text)
    code = "\n".join(blocks).replace("\\\n", " ").replace(" && ", "\n")
    lines = re.findall(r"(?m)^\s*(?:\.venv/bin/)?(msma [a-z].*)$", code)
    return [shlex.split(line, comments=True)[1:] for line in lines]


def test_the_readme_is_under_150_lines():
    assert len(README.splitlines()) < 150


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_every_command_that_is_shown_can_be_parsed(path):
    for words in commands(path.read_text(encoding="utf-8")):
        command = get_command(app)
        while hasattr(command, "commands"):  # typer has a click of its own
            command, words = command.commands[words[0]], words[1:]
        command.make_context("msma", list(words))  # raises on an option or argument that does not exist


def options(command: Any) -> set[str]:
    """Every option of a command and of those below it."""
    own = {name for parameter in command.params for name in (*parameter.opts, *parameter.secondary_opts)}
    return own.union(*(options(one) for one in getattr(command, "commands", {}).values()))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_every_command_and_option_that_prose_names_exists(path):
    spans = [" ".join(span.split()) for span in re.findall(r"(?<!`)`([^`]+)`(?!`)", path.read_text(encoding="utf-8"))]
    for span in spans:
        if re.match(r"msma [a-z]", span) or re.match(r"--[a-z]", span):
            command, words = get_command(app), span.removeprefix("msma ").split()
            while words and not words[0].startswith("-") and hasattr(command, "commands"):
                command, words = command.commands[words[0]], words[1:]
            assert {word for word in words if word.startswith("--")} <= options(command), span


def test_the_readme_shows_each_command_of_the_main_way():
    shown = {words[0] for words in commands(README)}
    assert {"synth", "prepare", "train", "evaluate", "predict"} <= shown


def test_the_python_of_the_readme_runs(make_media, monkeypatch, capsys):
    (code,) = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)
    path = make_media("your_video.mp4", sound=voice)
    monkeypatch.chdir(path.parent)
    exec(compile(code, "README.md", "exec"), {})  # noqa: S102
    assert "openness" in capsys.readouterr().out


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_every_number_is_filled_in(path):
    assert re.findall(r"@[A-Z]{3,}@", path.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize("path", [path for path in FILES if path.suffix == ".md"], ids=lambda path: path.name)
def test_every_link_to_a_file_leads_somewhere(path):
    for target in re.findall(r"\]\((?!https?://)([^)#]+)", path.read_text(encoding="utf-8")):
        assert target == WRITTEN_BY_MAKE_DOCS or (path.parent / target).exists(), target


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_every_source_file_that_is_named_exists(path):
    for name in re.findall(r"`([\w/]+\.py)\b", path.read_text(encoding="utf-8")):
        assert any((folder / name).is_file() for folder in (ROOT, ROOT / "src" / "msma", ROOT / "tests")), name


def test_every_make_target_that_is_named_exists():
    targets = set(re.findall(r"(?m)^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8")))
    assert set(re.findall(r"`?make ([a-z]+)", README)) <= targets
