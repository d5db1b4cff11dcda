"""Evaluation: deterministic, beside its baselines, the same for any loading."""

from __future__ import annotations

from dataclasses import replace

import pytest
from planted import RECIPE, planted_corpus, with_rows, without

from msma.evaluation.evaluate import evaluate, predict_split
from msma.prediction.model import load
from msma.training.run import train
from msma.types import MsmaError


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("trained")
    corpus = planted_corpus(folder / "corpus")
    train(RECIPE, corpus, folder / "run", cpu=True)
    return load(folder / "run"), corpus


def test_the_result_is_the_same_to_the_last_bit_for_any_batch_size_and_worker_count(trained):
    model, corpus = trained
    expected = None
    for batch_size in (1, 7, 64):
        for workers in (0, 2):
            predictions = predict_split(model, corpus, "test", batch_size=batch_size, workers=workers)
            found = predictions.predicted.tobytes(), evaluate(model, corpus, "test", predictions)
            expected = expected or found
            assert found == expected


def test_the_ceiling_is_that_of_the_modalities_that_the_network_reads(trained):
    model, corpus = trained
    shares = (("audio", 0.6), ("visual", 0.7), ("both", 0.8))
    ceilings = {name: {key: {"mean": value} for key in ("ccc", "mean_accuracy")} for name, value in shares}
    corpus = replace(corpus, manifest=replace(corpus.manifest, facts={"ceiling": ceilings}))
    predictions = predict_split(model, corpus, "test")
    assert evaluate(model, corpus, "test", predictions).ceiling == ceilings["both"]


def test_a_clip_that_cannot_be_read_is_counted_and_not_scored(trained):
    model, corpus = trained
    lost, *_ = corpus.split("test")
    corpus = without(corpus, lost.clip)
    predictions = predict_split(model, corpus, "test")
    evaluation = evaluate(model, corpus, "test", predictions)
    assert (evaluation.clips, evaluation.coverage) == (7, 7 / 8)
    assert evaluation.failed == {lost.clip: "no moov atom"}


def test_a_split_of_which_nothing_can_be_read_is_an_error(trained):
    model, corpus = trained
    with pytest.raises(MsmaError, match="no clip"):
        predict_split(model, without(corpus, *corpus.cache.entries), "test")


def test_the_baselines_and_slices_stand_beside_the_scores(trained):
    model, corpus = trained
    predictions = predict_split(model, corpus, "test")
    scored = evaluate(model, corpus, "test", predictions)
    assert scored.clips == 8
    assert scored.baselines["constant"]["ccc"]["mean"] == 0
    assert scored.baselines["constant"]["skill"]["mean"] == pytest.approx(0)
    assert (scored.slices.seen_source.clips, scored.slices.unseen_source.clips) == (0, 8)  # its sources are apart
    interval = scored.intervals["ccc"]["mean"]
    assert interval.low <= scored.metrics["ccc"]["mean"] <= interval.high


def test_few_sources_are_warned_of(trained):
    model, corpus = trained
    predictions = predict_split(model, corpus, "test")
    (warning,) = evaluate(model, corpus, "test", predictions).warnings
    assert "4 sources" in warning


def test_a_column_of_the_manifest_makes_slices(trained):
    model, corpus = trained
    rows = (replace(row, columns={"side": "left" if i % 2 else "right"}) for i, row in enumerate(corpus.rows))
    predictions = predict_split(model, corpus, "test")
    evaluation = evaluate(model, with_rows(corpus, rows), "test", predictions, ["side"])
    assert {value: part.clips for value, part in evaluation.slices.columns["side"].items()} == {"left": 4, "right": 4}
