"""The report of a run: all that lies in its folder, what is missing, and nothing that is damaged."""

from __future__ import annotations

import html
import json
import re
import shutil
import sys
from pathlib import Path

import pytest
from answered import run_folder
from parsed_page import Page
from planted import RECIPE

from msma.reports.run.files import read_run
from msma.reports.run.report import SECTIONS, run_report
from msma.types import TRAITS, MsmaError


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return run_folder(tmp_path_factory.mktemp("runs") / "mine")


@pytest.fixture(scope="module")
def page(folder) -> str:
    return run_report(read_run(folder))


@pytest.fixture
def plain(monkeypatch) -> None:
    """Without drawing: half a second a figure."""
    monkeypatch.setattr("msma.reports.figures.as_svg", lambda _: b"<svg/>")


@pytest.fixture
def copied(folder, tmp_path) -> Path:
    return Path(shutil.copytree(folder, tmp_path / "run"))


def test_every_section_is_there_and_can_be_reached(page):
    parsed = Page(page)
    assert [title["id"] for title in parsed.all("h2")] == [title.lower().replace(" ", "-") for title in SECTIONS]
    assert {link["href"] for link in parsed.all("a")} == {f"#{title['id']}" for title in parsed.all("h2")}


def test_nothing_is_missing_of_a_run_with_everything(page):
    assert 'class="missing"' not in page


def test_the_page_asks_nobody_for_anything(page):
    parsed = Page(page)
    sources = [image["src"] or "" for image in parsed.all("img")]
    assert all(source.startswith("data:image/svg+xml;base64,") for source in sources)
    assert len(sources) == 3 + 5 + 1 + 2  # learning, scatters, half-widths, curves and heat map
    assert not {"script", "link", "iframe", "object", "base"} & {tag for tag, _ in parsed.tags}


def test_the_same_files_give_the_same_bytes(folder, page):
    assert run_report(read_run(folder)) == page


def test_the_score_stands_beside_constant_and_interval_at_the_top(folder, page):
    values = json.loads((folder / "test" / "evaluation.json").read_text())
    head, interval = page[: page.index("<section")], values["intervals"]["ccc"]["mean"]
    assert f"<strong>{values['metrics']['ccc']['mean']:.3f}</strong>" in head
    assert f"[{interval['low']:.3f}, {interval['high']:.3f}]" in head
    assert f"of a constant {values['baselines']['constant']['mean_accuracy']['mean']:.4f}" in head


def test_tables_have_traits_baselines_coverage_groups_retention_ablations_and_complexity(page):
    rows = re.findall(r'<th scope="row">([^<]*)</th>', page)
    for name in (
        *TRAITS,
        "mean",
        "constant",
        "same source, no media",
        "all predictions",
        "white_noise",
        "no_multiscale",
    ):
        assert name in rows
    for said in ("audio alone", "12,345", "p50 ms", "-0.050", "learning rate", "noise", "a warning"):
        assert said in page


def test_the_command_the_versions_the_seed_and_the_recipe_are_reported(page):
    assert f"<pre>{html.escape(Path(sys.argv[0]).name)}" in page
    assert re.search(r"versions</dt><dd>python 3\.\d+\.\d+, msma \d", page)
    assert "<dt>seed</dt><dd>0</dd>" in page
    assert f"batch_size: {RECIPE.train.batch_size}" in page


def test_every_figure_says_in_words_what_it_shows(page):
    alts = [image["alt"] or "" for image in Page(page).all("img")]
    assert all(alts)
    assert "validation CCC and skill over 6 steps: CCC from 0.200 to 0.600, skill from 0.100 to 0.300" in alts


@pytest.mark.parametrize(
    ("gone", "command"),
    [
        (["test"], "msma evaluate --model"),
        (["metrics.jsonl"], "msma train RECIPE"),
        (["calibration.json"], "msma calibrate --model"),
        (["full"], "msma robustness --model"),
        (["ablation.json"], "msma ablate RECIPE"),
        (["profile.json"], "msma profile --model"),
        (["provenance.jsonl"], "msma train RECIPE"),
    ],
)
@pytest.mark.usefixtures("plain")
def test_what_is_missing_is_reported_with_the_command_that_makes_it(copied, gone, command):
    for name in gone:
        path = copied / name
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    notes = re.findall(r'<p class="missing">(.*?)</p>', run_report(read_run(copied)))
    assert notes
    assert all(command in note for note in notes)


@pytest.mark.usefixtures("plain")
def test_a_suite_without_its_summary_is_reported(copied):
    (copied / "six" / "cells").mkdir(parents=True)
    page = run_report(read_run(copied))
    assert "six: cells of a suite without its summary" in page
    assert f"--suite six --out {copied / 'six'}" in page


def test_the_study_of_a_run_is_found_above_it(copied):
    inner = copied / "full" / "seed_0"
    inner.mkdir()
    shutil.copy(copied / "metrics.jsonl", inner)
    assert read_run(inner).ablation == read_run(copied).ablation is not None


def test_a_folder_with_nothing_is_refused(tmp_path):
    with pytest.raises(MsmaError, match="holds nothing to report"):
        read_run(tmp_path)


FILES = (
    "config.json",
    "corpus.json",
    "metrics.jsonl",
    "provenance.jsonl",
    "test/evaluation.json",
    "calibration.json",
    "full/summary.json",
    "ablation.json",
    "profile.json",
)


@pytest.mark.parametrize("name", FILES)
def test_a_damaged_or_foreign_file_is_one_line_with_its_name(folder, tmp_path, name):
    shutil.copy(folder / "config.json", tmp_path)
    shutil.copytree(folder / "test", tmp_path / "test") if name.startswith("test/") else None
    (tmp_path / name).parent.mkdir(exist_ok=True)
    for content in ("{", "\x00", "[[1]]", "3", "[" * 100_000, *(['{"rows": [1]}'] if name != "corpus.json" else [])):
        (tmp_path / name).write_text(content)
        with pytest.raises(MsmaError, match=re.escape(name.split("/")[0])) as refused:
            run_report(read_run(tmp_path))
        assert "\n" not in str(refused.value)


def test_a_damaged_recipe_is_reported(copied):
    (copied / "recipe.yaml").write_text("- a list")
    with pytest.raises(MsmaError, match=r"recipe\.yaml"):
        read_run(copied)


@pytest.mark.usefixtures("plain")
def test_whatever_the_files_say_is_text(copied):
    for path in copied.rglob("*.json*"):
        if path.name != "calibration.json":
            path.write_text(path.read_text().replace('"labelled"', '"<script>alert(1)</script>"'))
    page = run_report(read_run(copied))
    assert "&lt;script&gt;alert(1)" in page
    assert "<script" not in page
