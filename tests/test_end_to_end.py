"""The whole way through the command line on a small rendered corpus, from `synth` to `predict`."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

SMALL = (
    "--set",
    "clip.fps=2",
    "--set",
    "train.steps=8",
    "--set",
    "train.validate_every=4",
    "--set",
    "train.batch_size=8",
)
RECIPE = Path(__file__).parents[1] / "recipes" / "demo.yaml"


def msma(*arguments: object, code: int = 0) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", "from msma.cli import main; main()", *map(str, arguments)]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == code, result.stderr
    return result


@pytest.fixture(scope="module")
def corpus(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("end-to-end") / "corpus"
    msma("synth", folder, "--clips", 24, "--seed", 7, "--seconds", 2)
    msma("prepare", "chalearn", folder, "--out", folder / "manifest.csv")
    return folder


@pytest.fixture(scope="module")
def run(corpus) -> Path:
    out = corpus.parent / "run"
    msma("train", RECIPE, "--manifest", corpus / "manifest.csv", "--out", out, *SMALL)
    return out


def test_evaluate_gives_the_documented_json(corpus, run):
    result = json.loads(
        msma("evaluate", "--model", run, "--manifest", corpus / "manifest.csv", "--format", "json").stdout
    )
    assert (result["corpus"], result["split"]) == ("synthetic", "test")
    assert result["clips"] == len(list((corpus / "test").glob("*.mp4")))
    baselines, slices = result["baselines"], result["slices"]
    by_source = [slices[name]["metrics"] for name in ("seen_source", "unseen_source")]
    for scores in (result["metrics"], *baselines.values(), *by_source):
        assert {"mean_accuracy", "mae", "skill", "ccc", "pcc", "r2"} <= scores.keys()
        assert {"openness", "neuroticism", "mean"} <= scores["ccc"].keys()
    assert 0 < result["ceiling"]["ccc"]["mean"] < 1


def test_evaluating_again_gives_the_same_bytes_for_any_batch_size_and_worker_count(corpus, run):
    arguments = ("evaluate", "--model", run, "--manifest", corpus / "manifest.csv", "--format", "json")
    loading = ((1, 0), (7, 2), (64, 2))
    assert len({msma(*arguments, "--batch-size", size, "--workers", count).stdout for size, count in loading}) == 1


def test_scoring_the_written_predictions_gives_the_same_numbers(corpus, run):
    msma("evaluate", "--model", run, "--manifest", corpus / "manifest.csv", "--out", run / "scored")
    expected = json.loads((run / "scored" / "evaluation.json").read_text())
    predictions = run / "scored" / "predictions.csv"
    found = json.loads(msma("score", predictions, "--manifest", corpus / "manifest.csv", "--format", "json").stdout)
    for name in ("metrics", "baselines", "intervals", "slices", "disparities", "clips", "coverage", "ceiling"):
        assert found[name] == expected[name]


def test_predicting_a_file_equals_its_row_in_the_evaluation(corpus, run):
    msma("evaluate", "--model", run, "--manifest", corpus / "manifest.csv", "--out", run / "check")
    header, first, *_ = (run / "check" / "predictions.csv").read_text().splitlines()
    row = dict(zip(header.split(","), first.split(","), strict=True))
    (answer,) = json.loads(msma("predict", corpus / "test" / row["clip"], "--model", run, "--format", "json").stdout)
    # The cache keeps pictures as JPEG; all else is the same.
    assert answer["traits"] == pytest.approx({trait: float(row[trait]) for trait in answer["traits"]}, abs=0.005)


def test_a_clip_that_vanished_from_the_corpus_is_reported_and_the_rest_is_evaluated(corpus, run, tmp_path):
    manifest = corpus / "with-a-hole.csv"
    lines = (corpus / "manifest.csv").read_text().splitlines()
    hole = next(line for line in lines if ",test," in line)
    manifest.write_text("\n".join(line.replace(hole.split(",")[1], "test/gone.mp4") for line in lines) + "\n")
    result = msma("evaluate", "--model", run, "--manifest", manifest, "--format", "json", "--out", tmp_path)
    assert list(json.loads(result.stdout)["failed"]) == [hole.split(",")[0]]
    assert re.search(r"failed: .*gone\.mp4: no such file", result.stderr)


def test_compare_puts_evaluations_side_by_side(corpus, run):
    for name in ("one", "two"):
        msma("evaluate", "--model", run, "--manifest", corpus / "manifest.csv", "--out", run / name)
    table = msma("compare", run / "one", run / "two").stdout
    assert "+0.000" in table
    assert "[+0.000" not in table  # the test clips are of one source: no interval


def test_ctrl_c_saves_and_says_how_to_go_on(corpus):
    out = corpus.parent / "interrupted"
    arguments = ["train", str(RECIPE), "--manifest", str(corpus / "manifest.csv"), "--out", str(out), *SMALL]
    arguments += ["--set", "train.steps=2000"]
    command = [sys.executable, "-c", "from msma.cli import main; main()", *arguments]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    while not (out / "state.pt").exists() and process.poll() is None:
        time.sleep(0.1)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: the loader's processes, too
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 130
    assert "--resume" in errors
    assert "Traceback" not in errors
    step = len((out / "metrics.jsonl").read_text().splitlines())
    assert step >= 1
