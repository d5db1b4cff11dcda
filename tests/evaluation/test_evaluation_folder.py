"""Evaluations as JSON, by the names of the documentation, and on disk."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from labels import labelled_corpus, predictions_for

from msma.data.corpora.manifest import Manifest
from msma.evaluation.comparison import Comparison, compare
from msma.evaluation.evaluation import Evaluation, evaluation_of
from msma.evaluation.evaluation_folder import read_evaluation, write_evaluation
from msma.evaluation.predictions import Predictions
from msma.evaluation.predictions_csv import read_predictions
from msma.evaluation.result_file import as_json
from msma.evaluation.score import Scored
from msma.metrics import METRICS
from msma.types import TRAITS, MsmaError

MANIFEST = labelled_corpus()
ROWS = [*TRAITS, "mean"]


def evaluated(predictions: Predictions, manifest: Manifest = MANIFEST) -> Evaluation:
    failed = {"lost.mp4": "no prediction"}
    return evaluation_of(manifest, "test", predictions, model="tool", failed=failed, warnings=["a warning"])


@pytest.fixture(scope="module")
def values() -> dict:
    return values_of(evaluated(predictions_for(MANIFEST)))


def values_of(evaluation: Evaluation) -> dict:
    """As its file holds it; NaN and infinity are not JSON."""
    return json.loads(as_json(evaluation), parse_constant=pytest.fail)


def test_reading_what_was_written_gives_the_same_json(values):
    assert values_of(Evaluation.model_validate(values)) == values


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
        slices["seen_source"]["metrics"],
        slices["unseen_source"]["metrics"],
        slices["unseen_source"]["baselines"]["constant"],
        slices["columns"]["gender"]["female"]["metrics"],
    ):
        assert all(list(scores[name]) == ROWS for name in METRICS)


def test_slices_say_of_how_many_clips(values):
    seen, unseen = values["slices"]["seen_source"], values["slices"]["unseen_source"]
    assert values["clips"] == seen["clips"] + unseen["clips"] == 80
    assert sum(part["clips"] for part in values["slices"]["columns"]["age_group"].values()) == 80


def test_intervals_stand_by_trait_and_mean(values):
    for name in ("ccc", "mean_accuracy", "skill"):
        interval = values["intervals"][name]
        assert interval["mean"]["low"] < values["metrics"][name]["mean"] < interval["mean"]["high"]
        assert all(interval[trait]["low"] < interval[trait]["high"] for trait in TRAITS)


def test_disparities_name_the_largest_and_hold_each_value(values):
    gap = values["disparities"]["gender"]
    assert set(gap["groups"]) == {"female", "male"}
    largest = gap["largest"]["bias"]
    assert gap["groups"][largest["value"]]["bias"][largest["trait"]]["difference"] == largest["difference"]
    assert gap["clear"] is False
    assert values["slices"]["skipped"] == {"transcript": "has 80 values on 80 clips"}


def test_an_empty_slice_has_null_for_every_metric():
    apart = labelled_corpus(train=3, test=30, sources=900)
    seen = values_of(evaluated(predictions_for(apart), apart))["slices"]["seen_source"]
    metrics = seen["metrics"]
    assert (seen["clips"], metrics["ccc"]["mean"], metrics["mean_accuracy"]["openness"]) == (0, None, None)
    assert seen["intervals"]["ccc"]["mean"] == {"low": None, "high": None}


def test_ceilings_without_a_structure_are_those_of_both_modalities():
    best = {"order": {measure: {"mean": 0.7} for measure in ("ccc", "mean_accuracy")}}
    manifest = replace(MANIFEST, facts={"ceiling_without": best})
    found = {
        fusion: evaluation_of(
            manifest, "test", predictions_for(MANIFEST), model="network", fusion=fusion
        ).ceiling_without
        for fusion in ("cross_attention", "visual")
    }
    assert found == {"cross_attention": best, "visual": None}


def test_a_comparison_stands_beside_the_file_that_it_is_with(values):
    predictions = predictions_for(MANIFEST)
    comparison = Comparison(**dict(compare(predictions, predictions_for(MANIFEST, noise=0.2))), file="other.csv")
    against = values_of(evaluation_of(MANIFEST, "test", predictions, model="tool", against=comparison))["against"]
    assert (against["file"], against["clips"]) == ("other.csv", 80)
    assert against["differences"]["ccc"]["mean"]["low"] > 0
    assert values["against"] is None


def test_what_is_written_is_read_back(values, tmp_path):
    predictions = predictions_for(MANIFEST)
    write_evaluation(tmp_path / "new", evaluated(predictions), predictions)
    evaluation, again = read_evaluation(tmp_path / "new")
    assert values_of(evaluation) == values
    assert (again.clips, again.sources) == (predictions.clips, predictions.sources)
    assert np.array_equal(again.predicted, predictions.predicted)
    assert np.array_equal(again.target, predictions.target)


@pytest.mark.parametrize("traits", [TRAITS, ("openness", "neuroticism")], ids=["all traits", "two traits"])
def test_written_predictions_score_to_the_same_numbers(tmp_path, traits):
    manifest = labelled_corpus(traits=traits)
    first = evaluated(predictions_for(manifest), manifest)
    write_evaluation(tmp_path, first, predictions_for(manifest))
    read = read_predictions(tmp_path / "predictions.csv", manifest, "test")
    assert (read.warnings, read.failed) == ([], {})
    again = evaluation_of(manifest, "test", read.predictions, model="again")
    assert all(getattr(again, name) == getattr(first, name) for name in Scored.model_fields)


def test_scores_of_traits_without_labels_are_empty_cells(tmp_path):
    manifest = labelled_corpus(traits=("openness",))
    predictions = predictions_for(manifest)
    write_evaluation(tmp_path, evaluated(predictions, manifest), predictions)
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
