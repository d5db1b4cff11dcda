"""`msma explain`: a page for a video, and one line for what cannot be explained."""

from __future__ import annotations

import pytest
from typer.testing import CliRunner

from msma.cli import main
from msma.cli.commands import app


def test_the_page_of_a_video_is_written_and_its_cost_reported(make_media, tmp_path):
    result = CliRunner().invoke(app, ["explain", str(make_media()), "--out", str(tmp_path / "explain.html")])
    assert result.exit_code == 0
    assert "Where a prediction comes from" in (tmp_path / "explain.html").read_text(encoding="utf-8")
    assert "passes of the network in" in result.stderr
    assert "no validity for real ones" in result.stderr


def test_a_file_that_is_no_video_is_one_line_and_leaves_no_page(tmp_path, monkeypatch, capsys):
    (tmp_path / "fake.mp4").write_text("no video")
    arguments = ["msma", "explain", str(tmp_path / "fake.mp4"), "--out", str(tmp_path / "explain.html")]
    monkeypatch.setattr("sys.argv", arguments)
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 1
    assert "fake.mp4" in capsys.readouterr().err.splitlines()[-1]
    assert not (tmp_path / "explain.html").exists()
