"""The command line from a corpus that labels two traits, in audio alone, to weights, scores and cross-validation."""

from __future__ import annotations

import json
import signal
import wave
from pathlib import Path

import numpy as np
import pytest
import yaml
from planted import CACHED
from typer.testing import CliRunner, Result

from msma.cli.commands import app
from msma.cli.ending import Ended, ended_in_order
from msma.data.corpora.manifest import Row, write_manifest
from msma.types import MsmaError
from msma.weights.checkpoint import load_weights

SOME = ("openness", "neuroticism")
SPLITS = ("train",) * 8 + ("val",) * 4 + ("test",) * 4


def msma(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments], catch_exceptions=False)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory) -> Path:
    """A folder with `manifest.csv` of 16 sounds of 8 sources, as loud and as high as they score, and `recipe.yaml`."""
    folder, rng = tmp_path_factory.mktemp("corpus"), np.random.default_rng(0)
    rows = []
    for index, split in enumerate(SPLITS):
        path, (loud, high) = folder / f"{index:02d}.wav", rng.uniform(0.1, 0.9, 2)
        seconds = np.arange(16000) / 16000
        waveform = 0.05 * 10**loud * np.sin(2 * np.pi * (200 + 1000 * high) * seconds)
        with wave.open(str(path), "wb") as file:
            file.setparams((1, 2, 16000, 0, "NONE", ""))
            file.writeframes((32767 * waveform).astype("<i2").tobytes())
        target = (loud, np.nan, np.nan, np.nan, high)
        rows.append(
            Row(path.name, path, f"source{index // 2}", split, target, {"side": "left" if index % 4 else "right"})
        )
    write_manifest(folder / "manifest.csv", "tones", rows, {})
    (folder / "recipe.yaml").write_text(yaml.safe_dump(CACHED.model_dump(mode="json")))
    return folder


@pytest.fixture(scope="module")
def run(corpus) -> Path:
    out = corpus / "run"
    result = msma("train", corpus / "recipe.yaml", "--manifest", corpus / "manifest.csv", "--out", out, "--cpu")
    assert result.exit_code == 0, result.stderr
    assert "no intervals: tones: 2 sources in split 'val'; intervals need 10 at least" in result.stderr
    return out


def test_a_model_is_trained_evaluated_and_predicts_the_labelled_traits_only(corpus, run, tmp_path):
    result = msma(
        "evaluate", "--model", run, "--manifest", corpus / "manifest.csv", "--format", "json", "--out", tmp_path
    )
    values = json.loads(result.stdout)
    assert values["metrics"]["ccc"].keys() == {*SOME, "mean"}
    assert values["slices"]["columns"]["side"]["left"]["clips"] == 3
    (prediction,) = json.loads(msma("predict", corpus / "00.wav", "--model", run, "--format", "json").stdout)
    assert tuple(prediction["traits"]) == SOME
    (row,) = (
        line for line in msma("predict", corpus / "00.wav", "--model", run).stdout.splitlines() if "00.wav" in line
    )
    assert row.split()[2:5] == ["–", "–", "–"]
    (line,) = msma("predict", corpus / "00.wav", "--model", run, "--format", "csv").stdout.splitlines()[1:]
    assert line.split(",")[4:7] == ["", "", ""]


@pytest.mark.parametrize("last", ["msma.training.run.fit_outputs", "msma.cli.train.calibrate_run"])
def test_a_signal_after_the_last_step_ends_the_command_with_the_weights_saved(corpus, tmp_path, monkeypatch, last):
    monkeypatch.setattr(last, lambda *_: signal.raise_signal(signal.SIGTERM))
    with pytest.raises(Ended, match="SIGTERM"), ended_in_order():
        msma("train", corpus / "recipe.yaml", "--manifest", corpus / "manifest.csv", "--out", tmp_path / "run", "--cpu")
    assert load_weights(tmp_path / "run").calibration is None


def test_the_table_of_an_evaluation_has_a_row_for_each_labelled_trait(corpus, run, tmp_path):
    shown = msma("evaluate", "--model", run, "--manifest", corpus / "manifest.csv", "--out", tmp_path).stdout
    assert all(trait in shown for trait in SOME)
    assert "extraversion" not in shown


def crossval(corpus: Path, out: Path, *more: object) -> Result:
    options = ("--manifest", corpus / "manifest.csv", "--out", out, "--cpu", "--workers", 1)
    return msma("crossval", corpus / "recipe.yaml", *options, *more)


@pytest.fixture(scope="module")
def validated(corpus) -> tuple[Path, Result]:
    out = corpus / "validated"
    return out, crossval(corpus, out, "--folds", "source", "--baseline", "ridge")


def test_crossval_gives_the_documented_json_and_files(corpus, validated):
    out, _ = validated
    result = crossval(corpus, out, "--folds", "source", "--baseline", "ridge", "--format", "json")
    assert result.exit_code == 0, result.stderr
    values = json.loads(result.stdout)
    assert values == json.loads((out / "evaluation.json").read_text())
    assert (values["model"], values["corpus"], values["split"]) == ("recipe", "tones", "8 folds by source")
    assert (values["clips"], values["sources"], len(values["folds"])) == (16, 8, 8)
    assert {"constant", "ridge", "same_source"} <= values["baselines"].keys()
    assert {"ccc", "mean_accuracy", "skill"} <= values["intervals"].keys()
    assert values["against"]["file"] == "ridge"
    assert values["metrics"]["ccc"].keys() == {*SOME, "mean"}
    ridge = json.loads((out / "ridge" / "evaluation.json").read_text())
    assert ridge["metrics"]["ccc"]["mean"] == values["baselines"]["ridge"]["ccc"]["mean"]
    assert len((out / "predictions.csv").read_text().splitlines()) == 17


def test_crossval_called_again_shows_the_same_table_without_doing_anything_again(corpus, validated, monkeypatch):
    out, before = validated
    assert "minus ridge" in before.stdout
    assert "msma, mean_accuracy of 8 single folds" in before.stdout
    monkeypatch.setattr("msma.training.crossval.run_fold", lambda job: pytest.fail(f"{job.path} is done again"))
    assert crossval(corpus, out, "--folds", "source", "--baseline", "ridge").stdout == before.stdout


def test_each_bar_is_shown_by_itself_and_once(corpus, tmp_path):
    """Two at a time would write over each other."""
    output = crossval(corpus, tmp_path, "--folds", 2, "--set", "clip.mels=21").stderr
    bars = [line.split()[0] for line in output.splitlines() if "ETA" in line]
    assert bars == ["decoding", "features", "folds"]
    again = ("--set", "train.steps=2", "--set", "train.validate_every=2", "--out", tmp_path / "run", "--cpu")
    output = msma("train", corpus / "recipe.yaml", "--manifest", corpus / "manifest.csv", *again).stderr
    bars = [line.split()[0] for line in output.splitlines() if "ETA" in line]
    assert bars == ["decoding", "features", "training"]


def test_the_predictions_of_crossval_are_compared_as_others_are(validated):
    out, _ = validated
    assert "first - this" in msma("compare", out, out / "ridge").stdout


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (("--folds", "many"), "--folds is a number or source"),
        (("--baseline", "lasso"), "'lasso' is not one of 'ridge'"),
        (("--format", "xml"), "'xml' is not one of 'table', 'json'"),
    ],
)
def test_a_mistake_in_an_option_is_reported_before_any_work(corpus, tmp_path, arguments, problem):
    result = crossval(corpus, tmp_path, *arguments)
    assert result.exit_code == 2
    assert problem in " ".join(result.stderr.replace("│", " ").split())
    assert not list(tmp_path.iterdir())


def test_more_folds_than_sources_are_one_line(corpus, tmp_path):
    with pytest.raises(MsmaError, match="8 sources"):
        crossval(corpus, tmp_path, "--folds", 9)
