"""`msma score` and `msma compare`: what goes to stdout and stderr, files, and exit codes. No media, no torch."""

from __future__ import annotations

import csv
import json
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from labels import labelled_corpus, predictions_for, write_csv, write_predictions
from typer.testing import CliRunner

from msma.cli.commands import app
from msma.data.corpora.manifest import Row, write_manifest
from msma.types import TRAITS, MsmaError

CORPUS = labelled_corpus(test=160, sources=90)


@pytest.fixture
def run():
    return lambda *arguments: CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture
def manifest(tmp_path) -> Path:
    write_manifest(tmp_path / "manifest.csv", "labelled", CORPUS.rows, {})
    return tmp_path / "manifest.csv"


@pytest.fixture
def predictions(tmp_path) -> Path:
    return write_predictions(tmp_path / "p.csv", predictions_for(CORPUS))


def test_json_is_the_documented_one(run, manifest, predictions):
    result = run("score", predictions, "--manifest", manifest, "--split", "test", "--format", "json")
    assert result.exit_code == 0
    values = json.loads(result.stdout)
    assert (values["corpus"], values["split"], values["clips"]) == ("labelled", "test", 160)
    assert 0 < values["baselines"]["same_source"]["ccc"]["mean"] < values["metrics"]["ccc"]["mean"]
    assert values["slices"]["unseen_source"]["clips"] + values["slices"]["seen_source"]["clips"] == 160


def test_the_table_has_baselines_slices_intervals_and_counts(run, manifest, predictions):
    text = run("score", predictions, "--manifest", manifest).stdout
    for name in (*TRAITS, "mean", "constant", "same source, no media", "seen sources", "unseen sources"):
        assert name in text
    lines = text.splitlines()
    (mean,) = [i for i, line in enumerate(lines) if line.startswith("mean ")]
    assert len(re.findall(r"\[-?0\.\d+, -?0\.\d+\]", lines[mean + 1])) == 3  # CCC, mean accuracy, skill
    (gender,) = [i for i, line in enumerate(lines) if "gender" in line and "clips" in line]
    counts = [int(lines[gender + place].split()[1]) for place in (2, 4)]
    assert sum(counts) == 160
    assert "gender: no clear disparity" in text


def test_a_planted_group_effect_is_reported(run, manifest, tmp_path):
    shifted = write_predictions(tmp_path / "shifted.csv", predictions_for(CORPUS, shifts={"male": 0.12}))
    text = run("score", shifted, "--manifest", manifest, "--slices", "gender").stdout
    assert "gender: clear disparities: bias in openness of female -0." in text
    assert "age_group" not in text


def test_labels_that_differ_between_groups_are_reported_though_predictions_that_repeat_them_have_no_gap(run, tmp_path):
    """Observers give men 0.3 more openness, and the predictions are what they say."""

    def judged(row: Row) -> Row:
        more = 0.3 * (row.columns["gender"] == "male")
        return replace(row, target=(min(0.6 * row.target[0] + more, 1.0), *row.target[1:]))

    biased = replace(CORPUS, rows=tuple(judged(row) for row in CORPUS.rows))
    write_manifest(tmp_path / "manifest.csv", "judged", biased.rows, {})
    repeated = write_csv(tmp_path / "p.csv", ["clip", *TRAITS], [[r.clip, *r.target] for r in biased.split("test")])
    text = run("score", repeated, "--manifest", tmp_path / "manifest.csv", "--slices", "gender").stdout
    assert "gender: no clear disparity" in text
    (line,) = [line for line in text.splitlines() if "the labels themselves differ" in line]
    assert line.startswith("gender: the labels themselves differ: openness of female -0.")
    assert line.endswith("(amplification 1.00)")


def test_what_is_not_scored_is_reported_on_stderr(run, manifest, tmp_path):
    rows = [[clip, *[0.5] * 5] for clip in predictions_for(CORPUS).clips[:100]]
    path = write_csv(tmp_path / "p.csv", ["clip", *TRAITS], [*rows, ["new.mp4", *[0.5] * 5]])
    result = run("score", path, "--manifest", manifest, "--format", "json")
    assert "60 of 160 clips of split 'test' have no prediction" in result.stderr
    assert "1 rows are for clips that are not in the manifest" in result.stderr
    assert "no slices by transcript: it has 100 values on 100 clips" in result.stderr
    values = json.loads(result.stdout)
    assert (values["clips"], values["coverage"], len(values["failed"])) == (100, 100 / 160, 60)
    assert "60 of 160 clips are not scored" in run("score", path, "--manifest", manifest).stdout


def test_options_for_columns_range_and_strictness_reach_the_reader(run, manifest, tmp_path):
    lines = [[clip, *[0.4] * 4, 1.5] for clip in predictions_for(CORPUS).clips]
    path = write_csv(tmp_path / "p.csv", ["video", "o", *TRAITS[1:]], lines, delimiter=";")
    options = ("--clip-column", "video", "--trait-columns", "openness=o")
    assert "--clamp" in str(run("score", path, "--manifest", manifest, *options).exception)
    assert (
        "160 scores outside [0, 1] were moved" in run("score", path, "--manifest", manifest, *options, "--clamp").stderr
    )
    write_csv(path, ["video", "o", *TRAITS[1:]], [[*line[:5], 0.5] for line in lines[1:]])
    assert run("score", path, "--manifest", manifest, *options).exit_code == 0
    strict = run("score", path, "--manifest", manifest, *options, "--strict")
    assert strict.exit_code == 1
    assert "1 of 160 clips" in str(strict.exception)


def test_against_shows_the_paired_difference(run, manifest, predictions, tmp_path):
    worse = predictions_for(CORPUS, noise=0.25)
    rows = [[clip, *scores] for clip, scores in zip(worse.clips[10:], worse.predicted[10:].tolist(), strict=True)]
    other = write_csv(tmp_path / "worse.csv", ["clip", *TRAITS], rows)
    arguments = ("score", predictions, "--manifest", manifest, "--against", other)
    text = run(*arguments).stdout
    assert f"minus {other}, on the 150 common clips" in " ".join(text.split())
    against = json.loads(run(*arguments, "--format", "json").stdout)["against"]
    assert (against["file"], against["clips"]) == (str(other), 150)
    assert all(against["differences"][name]["mean"]["low"] > 0 for name in ("ccc", "mean_accuracy", "skill"))


def test_the_folder_that_is_written_can_be_scored_and_compared(run, manifest, predictions, tmp_path):
    first = json.loads(
        run("score", predictions, "--manifest", manifest, "--out", tmp_path / "a", "--format", "json").stdout
    )
    again = json.loads(
        run("score", tmp_path / "a" / "predictions.csv", "--manifest", manifest, "--format", "json").stdout
    )
    assert {**again, "model": first["model"]} == first == json.loads((tmp_path / "a" / "evaluation.json").read_text())
    run("score", predictions, "--manifest", manifest, "--out", tmp_path / "b")
    compared = run("compare", tmp_path / "a", tmp_path / "b").stdout
    assert "+0.000" in compared
    assert "[+0.000, +0.000]" in compared


def test_a_comparison_of_different_clips_is_refused(run, manifest, predictions, tmp_path):
    run("score", predictions, "--manifest", manifest, "--out", tmp_path / "a")
    rows = [[clip, *[0.5] * 5] for clip in predictions_for(CORPUS).clips[:100]]
    fewer = write_csv(tmp_path / "fewer.csv", ["clip", *TRAITS], rows)
    run("score", fewer, "--manifest", manifest, "--out", tmp_path / "b")
    result = run("compare", tmp_path / "a", tmp_path / "b")
    assert result.exit_code == 1
    assert "not of the same clips" in str(result.exception)


def test_a_comparison_of_other_labels_is_refused(run, manifest, predictions, tmp_path):
    turned = [replace(row, target=tuple(1 - score for score in row.target)) for row in CORPUS.rows]
    write_manifest(tmp_path / "turned.csv", "labelled", turned, {})
    for name in ("manifest", "turned"):
        run("score", predictions, "--manifest", tmp_path / f"{name}.csv", "--out", tmp_path / name)
    result = run("compare", tmp_path / "manifest", tmp_path / "turned")
    assert "of other labels than" in str(result.exception)


@pytest.mark.parametrize(("name", "content"), [("evaluation.json", '{"clips": 160}'), ("predictions.csv", None)])
def test_a_damaged_evaluation_is_one_line(run, manifest, predictions, tmp_path, name, content):
    for folder in ("a", "b"):
        run("score", predictions, "--manifest", manifest, "--out", tmp_path / folder)
    path = tmp_path / "b" / name
    path.write_text(path.read_text()[:5000] if content is None else content)
    result = run("compare", tmp_path / "a", tmp_path / "b")
    assert isinstance(result.exception, MsmaError)
    assert str(tmp_path / "b") in str(result.exception)


def test_predictions_are_not_overwritten_by_what_is_made_of_them(run, manifest, predictions, tmp_path):
    mine = predictions.rename(tmp_path / "predictions.csv")
    before = mine.read_bytes()
    result = run("score", mine, "--manifest", manifest, "--out", tmp_path)
    assert "is read, and would be overwritten; name another --out" in str(result.exception)
    assert mine.read_bytes() == before


def test_a_manifest_that_a_spreadsheet_saved_is_read(run, manifest, predictions):
    manifest.write_text("\ufeff" + manifest.read_text())
    assert run("score", predictions, "--manifest", manifest).exit_code == 0


def test_what_a_manifest_says_cannot_steer_the_terminal(run, predictions, tmp_path):
    rows = [replace(row, columns={"[red]a": "\x1b[2J[bold]x" if i % 2 else ""}) for i, row in enumerate(CORPUS.rows)]
    write_manifest(tmp_path / "bad.csv", "labelled", rows, {})
    text = run("score", predictions, "--manifest", tmp_path / "bad.csv").stdout
    assert "\x1b" not in text
    assert "[red]a" in text
    assert "[2J[bold]x" in text
    assert "(none)" in text


def test_predictions_in_a_folder_that_is_no_text_are_scored(run, manifest, predictions, tmp_path):
    file = predictions.rename(tmp_path / "\udcff.csv")
    result = run("score", file, "--manifest", manifest, "--out", tmp_path / "out")
    assert result.exit_code == 0
    assert json.loads((tmp_path / "out" / "evaluation.json").read_text())["model"].endswith(r"\udcff.csv")


def test_a_split_without_labels_is_an_error(run, manifest, predictions):
    lines = manifest.read_text().splitlines()
    bare = [
        ",".join([*line.split(",")[:4], *[""] * 5, *line.split(",")[9:]]) if ",test," in line else line
        for line in lines
    ]
    manifest.write_text("\n".join(bare) + "\n")
    result = run("score", predictions, "--manifest", manifest)
    assert result.exit_code == 1
    assert "has no openness; label all clips or none" in str(result.exception)


@pytest.mark.parametrize("option", [("--split", "dev"), ("--slices", "shoe_size"), ("--trait-columns", "o")])
def test_a_choice_that_is_not_there_is_an_error(run, manifest, predictions, option):
    assert run("score", predictions, "--manifest", manifest, *option).exit_code == 1


def test_an_unknown_format_is_refused(run, manifest, predictions):
    assert run("score", predictions, "--manifest", manifest, "--format", "xml").exit_code == 2


def test_scoring_does_not_load_torch(manifest, predictions):
    code = "import sys; from msma.cli import main; main()\n"
    report = "import atexit, sys; atexit.register(lambda: sys.stderr.write(f'torch: {\"torch\" in sys.modules}'))\n"
    command = [sys.executable, "-c", report + code, "score", str(predictions), "--manifest", str(manifest)]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert ran.returncode == 0
    assert ran.stderr.endswith("torch: False")


def openness_in(path: Path) -> dict[str, float]:
    """The scores of a table, by clip."""
    with path.open(newline="", encoding="utf-8") as file:
        return {row["clip"]: float(row["openness"]) for row in csv.DictReader(file)}


def test_of_several_files_the_mean_is_scored(run, manifest, tmp_path):
    files = [write_predictions(tmp_path / f"{seed}.csv", predictions_for(CORPUS, seed=seed)) for seed in (1, 2, 3)]
    assert run("score", *files, "--manifest", manifest, "--out", tmp_path / "mean").exit_code == 0
    values = json.loads((tmp_path / "mean" / "evaluation.json").read_text(encoding="utf-8"))
    assert values["model"] == f"mean of {', '.join(map(str, files))}"
    tables = [openness_in(path) for path in files]
    for clip, mean in openness_in(tmp_path / "mean" / "predictions.csv").items():
        assert mean == pytest.approx(sum(table[clip] for table in tables) / 3)
    alone = json.loads(run("score", files[0], "--manifest", manifest, "--format", "json").stdout)
    assert values["metrics"]["ccc"]["mean"] > alone["metrics"]["ccc"]["mean"]


def test_files_of_other_clips_are_not_averaged(run, manifest, predictions, tmp_path):
    fewer = tmp_path / "fewer.csv"
    fewer.write_text("\n".join(predictions.read_text(encoding="utf-8").splitlines()[:-1]) + "\n", encoding="utf-8")
    result = run("score", predictions, fewer, "--manifest", manifest)
    assert result.exit_code == 1
    assert f"{fewer}: has usable scores for other clips than {predictions}" in str(result.exception)
