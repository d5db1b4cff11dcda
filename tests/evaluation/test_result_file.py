"""Evaluations as JSON, by the names of the documentation, and on disk."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from labels import labelled_corpus, predictions_for

from msma.data.corpora.manifest import Manifest
from msma.evaluation.comparison import compare
from msma.evaluation.evaluation import Evaluation, evaluate_read
from msma.evaluation.predictions import Predictions, Read, read_predictions
from msma.evaluation.result_file import evaluation_json, read_evaluation, write_evaluation
from msma.metrics import METRICS
from msma.types import TRAITS, MsmaError

MANIFEST = labelled_corpus()
ROWS = [*TRAITS, "mean"]


def evaluated(predictions: Predictions, manifest: Manifest = MANIFEST) -> Evaluation:
    return evaluate_read(manifest, "test", "tool", Read(predictions, {"lost.mp4": "no prediction"}, ["a warning"]))


@pytest.fixture(scope="module")
def values() -> dict:
    return evaluation_json(evaluated(predictions_for(MANIFEST)))


def test_it_is_json_without_nan(values):
    assert json.loads(json.dumps(values, allow_nan=False)) == values


def test_what_was_scored_stands_at_the_top(values):
    head = {name: values[name] for name in ("corpus", "split", "model", "fusion", "clips", "sources", "coverage")}
    assert head == {
        "corpus": "labelled",
        "split": "test",
        "model": "tool",
        "fusion": None,
        "clips": 80,
        "sources": 44,
        "coverage": 1.0,
    }
    assert (values["failed"], values["warnings"]) == ({"lost.mp4": "no prediction"}, ["a warning"])


def test_metrics_baselines_and_slices_have_every_metric_by_trait_and_mean(values):
    slices = values["slices"]
    for scores in (
        values["metrics"],
        values["baselines"]["constant"],
        values["baselines"]["same_source"],
        slices["seen_source"],
        slices["unseen_source"],
        slices["unseen_source"]["baselines"]["constant"],
        slices["columns"]["gender"]["female"],
    ):
        assert all(list(scores[name]) == ROWS for name in METRICS)


def test_baselines_and_slices_say_of_how_many_clips(values):
    constant, probe = values["baselines"]["constant"], values["baselines"]["same_source"]
    seen, unseen = values["slices"]["seen_source"], values["slices"]["unseen_source"]
    assert constant["clips"] == probe["clips"] == seen["clips"] + unseen["clips"] == 80
    assert probe["clips_with_source"] == seen["clips"]
    assert sum(part["clips"] for part in values["slices"]["columns"]["age_group"].values()) == 80


def test_intervals_stand_by_trait_and_that_of_the_mean_right_under_the_metric(values):
    for name in ("ccc", "mean_accuracy", "skill"):
        interval = values["intervals"][name]
        assert interval["low"] < values["metrics"][name]["mean"] < interval["high"]
        assert {key: interval[key] for key in ("low", "high")} == interval["mean"]
        assert all(interval[trait]["low"] < interval[trait]["high"] for trait in TRAITS)


def test_gaps_name_the_largest_and_hold_each_value(values):
    gap = values["gaps"]["gender"]
    assert set(gap["groups"]) == {"female", "male"}
    largest = gap["largest"]["bias"]
    assert gap["groups"][largest["value"]]["bias"][largest["trait"]]["difference"] == largest["difference"]
    assert gap["clear"] is False
    assert values["slices"]["skipped"] == {"transcript": "has 80 values on 80 clips"}


def test_an_empty_slice_has_null_for_every_metric():
    apart = labelled_corpus(train=3, test=30, sources=900)
    values = evaluation_json(evaluated(predictions_for(apart), apart))
    seen = values["slices"]["seen_source"]
    assert (seen["clips"], seen["ccc"]["mean"], seen["mean_accuracy"]["openness"]) == (0, None, None)
    assert seen["intervals"]["ccc"]["mean"] == {"low": None, "high": None}


def test_a_comparison_stands_beside_the_file_that_it_is_with(values):
    predictions = predictions_for(MANIFEST)
    comparison = compare(predictions, predictions_for(MANIFEST, noise=0.2))
    against = evaluation_json(evaluated(predictions), ("other.csv", comparison))["against"]
    assert (against["file"], against["clips"]) == ("other.csv", 80)
    assert against["differences"]["ccc"]["mean"]["low"] > 0
    assert "against" not in values


def test_what_is_written_is_read_back(values, tmp_path):
    predictions = predictions_for(MANIFEST)
    write_evaluation(tmp_path / "new", values, predictions)
    evaluation, again = read_evaluation(tmp_path / "new")
    assert evaluation == values
    assert (again.clips, again.sources) == (predictions.clips, predictions.sources)
    assert np.array_equal(again.predicted, predictions.predicted)
    assert np.array_equal(again.target, predictions.target)


@pytest.mark.parametrize("traits", [TRAITS, ("openness", "neuroticism")], ids=["all traits", "two traits"])
def test_written_predictions_score_to_the_same_numbers(tmp_path, traits):
    manifest = labelled_corpus(traits=traits)
    first = evaluated(predictions_for(manifest), manifest)
    write_evaluation(tmp_path, evaluation_json(first), predictions_for(manifest))
    read = read_predictions(tmp_path / "predictions.csv", manifest, "test")
    assert (read.warnings, read.failed) == ([], {})
    assert evaluate_read(manifest, "test", "again", read).scored == first.scored


def test_scores_of_traits_without_labels_are_empty_cells(tmp_path):
    manifest = labelled_corpus(traits=("openness",))
    predictions = predictions_for(manifest)
    write_evaluation(tmp_path, {"clips": len(predictions.clips)}, predictions)
    assert "nan" not in (tmp_path / "predictions.csv").read_text()
    assert np.array_equal(read_evaluation(tmp_path)[1].target, predictions.target, equal_nan=True)


@pytest.mark.parametrize(
    "files",
    [{}, {"evaluation.json": "{"}, {"evaluation.json": "{}", "predictions.csv": "clip\na.mp4\n"}],
    ids=["nothing", "no JSON", "no scores"],
)
def test_a_folder_without_an_evaluation_is_an_error(tmp_path: Path, files):
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    with pytest.raises(MsmaError, match="holds no whole evaluation"):
        read_evaluation(tmp_path)
