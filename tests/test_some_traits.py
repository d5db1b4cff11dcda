"""A corpus that labels some of the traits: they are trained, scored and answered, and no others."""

from __future__ import annotations

import csv
import json
import math
from pathlib import Path

import numpy as np
import pytest
from planted import CACHED, RECIPE, only, planted_corpus

from msma.data.cache_entry import cached_windows
from msma.evaluation.evaluate import evaluate, predict_split
from msma.evaluation.evaluation_folder import read_evaluation, write_evaluation
from msma.evaluation.score import Scored
from msma.media.prepare import prepare
from msma.prediction.model import load
from msma.training.run import train
from msma.types import TRAITS, MsmaError
from msma.weights.checkpoint import load_weights

SOME = ("extraversion", "neuroticism")
LABELLED = [trait in SOME for trait in TRAITS]


@pytest.fixture(scope="module", params=["tuned", "kept"])
def trained(request, tmp_path_factory):
    """A model, what it was trained on, and the same corpus with all its labels."""
    folder = tmp_path_factory.mktemp(request.param)
    corpus = planted_corpus(folder / "corpus")
    recipe = RECIPE if request.param == "tuned" else CACHED
    train(recipe, only(corpus, *SOME), folder / "run", cpu=True)
    return folder / "run", only(corpus, *SOME), corpus


def predicted(run: Path, corpus):
    return predict_split(load(run), corpus, "test")


def test_weights_say_which_traits_they_answer(trained):
    assert load_weights(trained[0]).config.traits == SOME


def test_training_validates_on_the_labelled_traits(trained):
    lines = [json.loads(line) for line in (trained[0] / "metrics.jsonl").read_text().splitlines()]
    assert all(math.isfinite(value) for line in lines for value in line.values())


def test_a_prediction_has_the_labelled_traits_only(trained):
    run, corpus, _ = trained
    (window,) = cached_windows(corpus.entry(corpus.rows[0]))
    assert tuple(load(run).read([prepare(window, load(run).clip)]).traits) == SOME


def test_an_evaluation_has_the_labelled_traits_only(trained, tmp_path):
    run, corpus, _ = trained
    predictions = predicted(run, corpus)
    assert (np.isfinite(predictions.predicted) == LABELLED).all()
    evaluation = evaluate(load(run), corpus, "test", predictions)
    for scores in (evaluation.metrics["ccc"], evaluation.baselines["constant"]["mae"], evaluation.intervals["skill"]):
        assert scores.keys() == {*SOME, "mean"}
    assert all("sources" in warning for warning in evaluation.warnings)
    write_evaluation(tmp_path, evaluation, predictions)
    with (tmp_path / "predictions.csv").open(newline="") as file:
        for row in csv.DictReader(file):
            assert [row[trait] != "" for trait in TRAITS] == LABELLED
            assert [row[f"target_{trait}"] != "" for trait in TRAITS] == LABELLED
    np.testing.assert_array_equal(read_evaluation(tmp_path)[1].predicted, predictions.predicted)


def test_on_a_corpus_that_labels_more_the_common_traits_are_scored_and_the_rest_is_told(trained):
    run, corpus, everything = trained
    predictions = predicted(run, everything)
    evaluation = evaluate(load(run), everything, "test", predictions)
    assert evaluation.metrics["ccc"].keys() == {*SOME, "mean"}
    assert any(
        "openness, conscientiousness, agreeableness: not predicted by this model and not scored" in warning
        for warning in evaluation.warnings
    )
    alone = evaluate(load(run), corpus, "test", predicted(run, corpus))
    assert all(getattr(evaluation, name) == getattr(alone, name) for name in Scored.model_fields)


def test_on_a_corpus_that_labels_none_of_its_traits_the_error_is_one_line(trained):
    run, _, everything = trained
    with pytest.raises(
        MsmaError, match="predicts extraversion, neuroticism, of which the corpus labels none"
    ) as caught:
        predicted(run, only(everything, "openness"))
    assert "\n" not in str(caught.value)


def test_a_model_of_all_traits_is_scored_on_those_that_a_corpus_labels(tmp_path):
    corpus = planted_corpus(tmp_path / "corpus")
    train(CACHED, corpus, tmp_path / "run", cpu=True)
    some = only(corpus, *SOME)
    evaluation = evaluate(load(tmp_path / "run"), some, "test", predicted(tmp_path / "run", some))
    assert evaluation.metrics["ccc"].keys() == {*SOME, "mean"}


def test_the_labelled_traits_are_learned(tmp_path):
    some = only(planted_corpus(tmp_path / "corpus", train=40, held_out=20), *SOME)
    train(CACHED, some, tmp_path / "run", cpu=True)
    scored = evaluate(load(tmp_path / "run"), some, "test", predicted(tmp_path / "run", some))
    assert min(scored.metrics["ccc"].values()) > 0.8
