"""`msma report` from files to a page, and the page in a real browser: offline, silent, and as narrow as a telephone."""

from __future__ import annotations

import importlib.util
import re
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from answered import prediction, run_folder, written
from typer.testing import CliRunner, Result
from voices import voice

from msma.cli.commands import app

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def pages(tmp_path_factory) -> dict[str, Path]:
    """One of predictions of every status, and one of a run."""
    folder = tmp_path_factory.mktemp("reports")
    long_name = "a_name_without_any_place_to_break_it_" * 4 + ".mp4"
    predictions = [
        prediction(),
        prediction("degraded", long_name, windows=12),
        prediction("abstained"),
        prediction("failed", long_name),
    ]
    sources = {"predictions": written(folder / "predictions.json", *predictions), "run": run_folder(folder / "run")}
    for name, source in sources.items():
        result = run("report", source, "--out", folder / f"{name}.html")
        assert result.exit_code == 0, result.output
    return {name: folder / f"{name}.html" for name in sources}


def test_a_file_of_predictions_and_a_run_folder_each_become_a_page(pages):
    predictions, of_run = (pages[name].read_text(encoding="utf-8") for name in ("predictions", "run"))
    assert "<title>msma: predictions</title>" in predictions
    assert "<title>msma: Run run</title>" in of_run


def test_what_predict_writes_can_be_reported_with_and_without_media(make_media, tmp_path):
    clip = make_media(sound=voice)
    (tmp_path / "empty.mp4").write_bytes(b"")
    for format, more in (("json", ["--media-preview"]), ("jsonl", [])):
        out = tmp_path / f"predictions.{format}"
        predicted = run("predict", clip, tmp_path / "empty.mp4", "--format", format, *more, "--out", out)
        assert predicted.exit_code == 0, predicted.output
        result = run("report", out, "--out", tmp_path / "page.html")
        assert result.exit_code == 0, result.output
        page = (tmp_path / "page.html").read_text(encoding="utf-8")
        assert ("data:image/jpeg" in page) == bool(more)
        assert ("--media-preview" in page) == (not more)
        assert "labels of the corpus synthetic (split val, 400 clips)" in page
        assert "what to do" in page


def test_the_labels_of_named_weights_are_shown(tmp_path):
    folder, predictions = run_folder(tmp_path / "run"), written(tmp_path / "predictions.json", prediction(kept=False))
    shown = {}
    for name, more in (("without", ()), ("with", ("--model", folder))):
        assert run("report", predictions, "--out", tmp_path / name, *more).exit_code == 0
        shown[name] = (tmp_path / name).read_text(encoding="utf-8")
    assert "--model RUN" in shown["without"]
    assert "labels of the corpus labelled (split val, 60 clips)" in shown["with"]


def test_weights_that_made_none_of_the_predictions_are_refused(tmp_path):
    predictions = written(tmp_path / "predictions.json", replace(prediction(kept=False), model="others"))
    result = run("report", predictions, "--out", tmp_path / "page.html", "--model", run_folder(tmp_path / "run"))
    assert re.fullmatch(r"[^\n]*made none of the predictions; name others", str(result.exception))
    assert not (tmp_path / "page.html").exists()


@pytest.mark.parametrize("format", ["table", "csv"])
def test_a_media_preview_needs_json(make_media, format):
    result = run("predict", make_media(), "--format", format, "--media-preview")
    assert result.exit_code == 2
    assert "--media-preview needs --format json or jsonl" in result.stderr.replace("\n", " ").replace("│ ", "")


def test_without_matplotlib_the_page_of_a_run_has_no_figures_and_says_how_to_get_them(pages, tmp_path, monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "matplotlib" else find(name))
    assert run("report", pages["run"].parent / "run", "--out", tmp_path / "page.html").exit_code == 0
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "pip install &#39;msma[plots]&#39;" in page
    assert "<img" not in page
    assert "same source, no media" in page


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here")
@pytest.mark.parametrize("name", ["predictions", "run"])
def test_in_a_browser_the_page_asks_for_nothing_complains_of_nothing_and_fits_a_telephone(pages, name):
    from playwright.sync_api import sync_playwright

    asked, complaints = [], []
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_context(offline=True, viewport={"width": 390, "height": 844}).new_page()
        page.on("request", lambda request: asked.append(request.url))
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto(pages[name].as_uri())
        fits = page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        drawn = page.evaluate("[...document.images].map(image => image.complete && image.naturalWidth > 0)")
        reached = page.evaluate("document.querySelectorAll('[tabindex]').length")
        browser.close()
    assert [url for url in asked if not url.startswith("data:")] == [pages[name].as_uri()]
    assert complaints == []
    assert fits
    assert drawn
    assert all(drawn)
    assert reached  # what scrolls by itself can be scrolled with the keyboard
