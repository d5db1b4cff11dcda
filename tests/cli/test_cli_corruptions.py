"""`msma corruptions`: the list in three formats, and the page."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from msma.cli import main
from msma.cli.commands import app
from msma.corruptions.table import CORRUPTIONS, HELD_OUT


@pytest.fixture
def run():
    return lambda *arguments: CliRunner().invoke(app, [str(argument) for argument in arguments])


def test_the_list_has_every_corruption(run):
    result = run("corruptions")
    assert result.exit_code == 0
    for row in CORRUPTIONS.values():
        assert row.name in result.stdout


def test_the_json_has_the_levels_by_severity(run):
    listed = json.loads(run("corruptions", "--format", "json").stdout)["corruptions"]
    assert [row["name"] for row in listed] == list(CORRUPTIONS)
    for row in listed:
        assert tuple(row["levels"].values()) == CORRUPTIONS[row["name"]].levels
        assert row["held_out"] == (row["family"] in HELD_OUT)
    assert next(row for row in listed if row["name"] == "no_audio")["levels"] == {"5": 1.0}


def test_only_some_are_listed_where_they_are_named(run):
    lines = run("corruptions", "--format", "markdown", "--only", "no_audio, white_noise").stdout.splitlines()
    assert [line.split("|")[1].strip() for line in lines] == ["name", "---", "`no_audio`", "`white_noise`"]


def test_an_unknown_name_is_one_line_that_names_those_near_it(monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["msma", "corruptions", "--only", "white_noise,gausian_noise"])
    with pytest.raises(SystemExit) as ended:
        main()
    (line,) = capsys.readouterr().err.splitlines()
    assert ended.value.code == 1
    assert line.startswith(
        "msma: gausian_noise: no such corruption; `msma corruptions` lists all; near it: gaussian_noise"
    )


def test_the_page_is_of_a_rendered_clip_where_none_is_named(run, tmp_path):
    out = tmp_path / "new" / "sheet.html"
    result = run("corruptions", "--preview", out, "--only", "white_noise,gaussian_noise", "--severity", "3")
    page = out.read_text(encoding="utf-8")
    assert result.exit_code == 0
    assert result.stdout == ""
    assert str(out) in result.stderr
    assert (page.count("<audio"), page.count("<img")) == (2, 8)
    assert "no_audio" not in page


def test_the_page_is_of_the_first_seconds_of_the_clip_that_is_named(run, make_media, tmp_path):
    clip, donor = make_media("<b>mine.mp4", seconds=6.0), make_media("other.mp4")
    out = tmp_path / "sheet.html"
    arguments = ("--only", "gaussian_noise", "--severity", "1", "--clip", clip, "--clip", donor)
    result = run("corruptions", "--preview", out, *arguments)
    assert result.exit_code == 0
    page = out.read_text(encoding="utf-8")
    assert "&lt;b&gt;mine.mp4" in page
    assert "from 0 to 4 s" in page
    assert "<b>" not in page


@pytest.mark.parametrize(
    "wrong",
    [
        ("--preview", "x.html", "--severity", "0,3"),
        ("--preview", "x.html", "--severity", "3-1"),
        ("--preview", "x.html", "--format", "json"),
        ("--preview", "x.html", "--clip", "a.mp4", "--clip", "b.mp4", "--clip", "c.mp4"),
        ("--severity", "3"),
        ("--clip", "a.mp4"),
        ("--format", "html"),
    ],
    ids=" ".join,
)
def test_options_that_do_not_fit_are_refused(run, wrong, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = run("corruptions", *wrong)
    assert result.exit_code == 2
    assert not (tmp_path / "x.html").exists()
