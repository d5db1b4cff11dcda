"""The report of an ablation study: its corpus, curves and scenarios, what is missing, and nothing that is not text."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest
from answered import ablated, logged
from labels import labelled_corpus
from parsed_page import Page

from msma.evaluation.result_file import write_result
from msma.reports.paper import draw_paper_table, paper_blocks, paper_figure
from msma.reports.study import band, group_of, read_study, study_report
from msma.reports.table import Table
from msma.training.ablation.plan import PAPER
from msma.types import MsmaError

SECTIONS = ["corpus", "learning-curves", "six-scenarios", "a-prediction-explained", "networks"]


@pytest.fixture
def folder(tmp_path) -> Path:
    """A study of two ablations with two seeds each, without any network."""
    write_result(tmp_path / "ablation.json", ablated())
    for name in ("full", "no_multiscale"):
        for seed in range(2):
            run = tmp_path / name / f"seed_{seed}"
            run.mkdir(parents=True)
            (run / "metrics.jsonl").write_text("".join(f"{logged(step).model_dump_json()}\n" for step in (2, 4)))
    return tmp_path


def test_every_section_is_there_and_can_be_reached(folder):
    page = Page(study_report(read_study(folder)))
    assert [title["id"] for title in page.all("h2")] == SECTIONS
    assert [link["href"] for link in page.all("a")] == [f"#{name}" for name in SECTIONS]


def test_the_page_asks_nobody_for_anything_and_is_the_same_for_the_same_files(folder):
    page = study_report(read_study(folder))
    assert all((image["src"] or "").startswith("data:") for image in Page(page).all("img"))
    assert not {"script", "link", "iframe"} & {tag for tag, _ in Page(page).tags}
    assert study_report(read_study(folder)) == page


def test_the_ablation_is_drawn_and_listed_beside_the_recipe(folder):
    page = study_report(read_study(folder))
    alts = [image["alt"] or "" for image in Page(page).all("img")]
    ends = "full from 0.500 to 0.250, no_multiscale from 0.500 to 0.250"
    assert f"multi-scale enhancement: training loss, {ends}" in alts
    assert any(alt.startswith("Skill on clean clips and in each scenario") for alt in alts)
    assert re.findall(r'<th scope="row">(full|no_multiscale)</th>', page).count("no_multiscale") == 5
    assert "still rising" in page
    assert "not told apart" in page
    assert "share of the offered gain lost" in page
    assert f"msma report {folder / 'no_multiscale' / 'seed_1'}" in page


@pytest.mark.parametrize(
    ("changes", "group"),
    [
        ({"model.spatial_scales": []}, "multi-scale enhancement"),
        ({"model.fusion": "concat"}, "fusion"),
        ({"train.corruption": 0, "model.imputation": False, "train.steps": 8}, "modal enhancement"),
        ({"train.corruption": 0, "model.spatial_scales": []}, "several parts"),
        ({"train.learning_rate": 1}, "several parts"),
    ],
)
def test_ablations_of_one_part_share_a_plot_of_learning_curves(changes, group):
    assert group_of(changes) == group


def test_the_band_of_a_learning_curve_is_the_range_over_seeds():
    logs = [[logged(step).model_copy(update={"ccc": ccc * step}) for step in (2, 4)] for ccc in (0.1, 0.2)]
    found = band(logs, "ccc")
    assert found.places == [2, 4]
    assert (found.low.tolist(), found.high.tolist()) == ([0.2, 0.4], [0.4, 0.8])
    assert found.mean.tolist() == pytest.approx([0.3, 0.6])


def test_the_papers_table_is_there_where_its_rows_are_and_is_drawn(tmp_path):
    study = ablated()
    other = study.rows["no_multiscale"]
    rows = {**study.rows, **{name: other.model_copy(update={"name": name}) for name in PAPER if name not in study.rows}}
    whole = study.model_copy(update={"rows": rows})
    (table,) = paper_blocks(whole)
    assert isinstance(table, Table)
    assert [row.cells[0] for row in table.rows] == ["base", "+ MSFEM", "+ MAS", "+ both"]
    assert table.rows[0].cells[1] == "0.500\n[0.450, 0.550]"
    assert "<img" in paper_figure(whole)
    draw_paper_table(tmp_path, whole)
    assert (tmp_path / "paper_table.png").read_bytes().startswith(b"\x89PNG")
    assert not list(paper_blocks(study))
    assert not paper_figure(study)
    draw_paper_table(tmp_path / "none", study)
    assert not (tmp_path / "none").exists()


def test_what_was_not_asked_for_is_reported_with_the_command_that_makes_it(folder):
    page = study_report(read_study(folder))
    assert re.findall(r'<p class="missing">.*?<code>(.*?)</code></p>', page) == [
        f"msma report {folder} --manifest CSV",
        f"msma report {folder} --explain CLIP",
    ]


def test_the_corpus_is_described_by_split_with_frames_of_its_clips(folder, make_media):
    manifest = labelled_corpus()
    rows = tuple(replace(row, path=make_media(f"{index}.mp4")) for index, row in enumerate(manifest.rows[:2]))
    page = study_report(read_study(folder), replace(manifest, rows=rows))
    assert page.count("a frame of ") == len({row.source for row in rows})
    assert "clips and labels by split" in page
    assert "--manifest CSV" not in page


def test_without_a_log_of_the_recipe_there_are_no_curves(folder):
    (folder / "full" / "seed_1" / "metrics.jsonl").unlink()
    assert "No learning curves:" in study_report(read_study(folder))


def test_without_matplotlib_there_are_the_tables_and_how_to_get_the_figures(folder, monkeypatch):
    monkeypatch.setattr("msma.reports.figures.can_draw", lambda: False)
    monkeypatch.setattr("msma.reports.study.can_draw", lambda: False)
    page = study_report(read_study(folder))
    assert "pip install &#39;msma[plots]&#39;" in page
    assert "<img" not in page
    assert "skill in each scenario" in page


def test_whatever_the_files_say_is_text(folder):
    path = folder / "ablation.json"
    path.write_text(path.read_text().replace('"labelled"', '"<script>alert(1)</script>"'))
    page = study_report(read_study(folder))
    assert "&lt;script&gt;alert(1)" in page
    assert "<script" not in page


def test_a_damaged_study_is_one_line_with_its_name(folder):
    (folder / "ablation.json").write_text('{"rows": [1]}')
    with pytest.raises(MsmaError, match=r"ablation\.json") as refused:
        read_study(folder)
    assert "\n" not in str(refused.value)
