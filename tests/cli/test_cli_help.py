"""What `msma --help` shows: groups in the order of use, each command on one short line."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
import typer.main
from typer.testing import CliRunner

from msma.cli.commands import app

ORDER = {
    "Predict": "predict explain report serve",
    "Data and encoders": "synth prepare weights",
    "Train": "train crossval calibrate ablate",
    "Evaluate": "evaluate score compare robustness corruptions profile schema",
    "Share": "card share export",
    "This machine": "doctor",
}
LEFT_WORDS = r"answers?|told|tells|sounds?|pictures?|spoil\w*|one a core|goes on|come[s]? twice|anew|readings?"


def commands(group: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Every command by its name, those of a group as `prepare table`."""
    for name, command in group.commands.items():
        yield prefix + name, command
        if hasattr(command, "commands"):
            yield from commands(command, f"{name} ")


MSMA: Any = typer.main.get_command(app)


every_command = pytest.mark.parametrize("command", [pytest.param(one, id=name) for name, one in commands(MSMA)])


@pytest.fixture(scope="module")
def shown() -> list[str]:
    return CliRunner(env={"COLUMNS": "80", "TERMINAL_WIDTH": "80"}).invoke(app, ["--help"]).stdout.splitlines()


def test_commands_stand_in_groups_in_the_order_of_use(shown):
    groups: dict[str, list[str]] = {}
    for line in shown:
        if head := re.match(r"╭─ (.+?) ─", line):
            groups[head[1]] = []
        elif row := re.match(r"│ ([a-z]+) ", line):
            groups[list(groups)[-1]].append(row[1])
    assert {name: " ".join(rows) for name, rows in groups.items() if name != "Options"} == ORDER


def test_each_command_has_its_whole_line_at_80_columns(shown):
    for name, command in MSMA.commands.items():
        line = (command.help or "").split("\n")[0]
        assert re.search(rf"^│ {name} +{re.escape(line)} +│$", "\n".join(shown), re.MULTILINE), name


@every_command
def test_the_line_of_a_command_is_a_short_sentence(command):
    line, _, more = (command.help or "").partition("\n")
    assert len(line) < 70
    assert line.endswith(".")
    assert not more or more.startswith("\n")


@every_command
def test_help_is_in_the_words_of_the_field(command):
    said = [command.help or "", *(getattr(option, "help", None) or "" for option in command.params)]
    assert not re.search(rf"\b({LEFT_WORDS})\b", "\n".join(said), re.IGNORECASE)


@every_command
def test_every_option_says_what_it_is_for(command):
    assert [option.name for option in command.params if not getattr(option, "help", None)] == []
