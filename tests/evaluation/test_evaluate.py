"""Evaluation: deterministic, beside its baselines, the same for any loading."""

from __future__ import annotations

from dataclasses import replace

import pytest
from planted import RECIPE, planted_corpus

from msma.data.cache import CacheReport
from msma.data.corpora.manifest import Manifest
from msma.evaluation.evaluate import evaluate, predict_split
from msma.prediction.model import load
from msma.training.run import train
from msma.types import MsmaError


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("trained")
    manifest, entries = planted_corpus(folder / "corpus")
    train(RECIPE, manifest, entries, folder / "run", cpu=True)
    return load(folder / "run"), manifest, CacheReport(entries, {}, {})


def test_the_result_is_the_same_to_the_last_bit_for_any_batch_size_and_worker_count(trained):
    model, manifest, cache = trained
    rows = list(manifest.split("test"))
    expected = None
    for batch_size in (1, 7, 64):
        for workers in (0, 2):
            predictions = predict_split(model, rows, cache, batch_size=batch_size, workers=workers)
            found = predictions.predicted.tobytes(), evaluate(model, manifest, "test", cache, predictions)
            expected = expected or found
            assert found == expected


def test_the_ceiling_is_that_of_the_modalities_that_the_network_reads(trained):
    model, manifest, cache = trained
    shares = (("audio", 0.6), ("visual", 0.7), ("both", 0.8))
    ceilings = {name: {key: {"mean": value} for key in ("ccc", "mean_accuracy")} for name, value in shares}
    manifest = type(manifest)(manifest.corpus, manifest.rows, {"ceiling": ceilings})
    predictions = predict_split(model, list(manifest.split("test")), cache)
    assert evaluate(model, manifest, "test", cache, predictions).ceiling == ceilings["both"]


def test_a_clip_that_cannot_be_read_is_counted_and_not_scored(trained):
    model, manifest, cache = trained
    lost, *_ = manifest.split("test")
    entries = {clip: path for clip, path in cache.entries.items() if clip != lost.clip}
    cache = CacheReport(entries, {}, {lost.clip: "no moov atom"})
    predictions = predict_split(model, list(manifest.split("test")), cache)
    evaluation = evaluate(model, manifest, "test", cache, predictions)
    assert (evaluation.clips, evaluation.coverage) == (7, 7 / 8)
    assert evaluation.failed == {lost.clip: "no moov atom"}


def test_a_split_of_which_nothing_can_be_read_is_an_error(trained):
    model, manifest, _ = trained
    with pytest.raises(MsmaError, match="no clip"):
        predict_split(model, list(manifest.split("test")), CacheReport({}, {}, {}))


def test_the_baselines_and_slices_stand_beside_the_scores(trained):
    model, manifest, cache = trained
    predictions = predict_split(model, list(manifest.split("test")), cache)
    scored = evaluate(model, manifest, "test", cache, predictions)
    assert scored.clips == 8
    assert scored.baselines["constant"]["ccc"]["mean"] == 0
    assert scored.baselines["constant"]["skill"]["mean"] == pytest.approx(0)
    assert (scored.slices.seen_source.clips, scored.slices.unseen_source.clips) == (0, 8)  # its sources are apart
    interval = scored.intervals["ccc"]["mean"]
    assert interval.low <= scored.metrics["ccc"]["mean"] <= interval.high


def test_few_sources_are_warned_of(trained):
    model, manifest, cache = trained
    predictions = predict_split(model, list(manifest.split("test")), cache)
    (warning,) = evaluate(model, manifest, "test", cache, predictions).warnings
    assert "4 sources" in warning


def test_a_column_of_the_manifest_makes_slices(trained):
    model, manifest, cache = trained
    rows = tuple(replace(row, columns={"side": "left" if i % 2 else "right"}) for i, row in enumerate(manifest.rows))
    predictions = predict_split(model, list(manifest.split("test")), cache)
    evaluation = evaluate(model, Manifest("sided", rows, {}), "test", cache, predictions, ["side"])
    assert {value: part.clips for value, part in evaluation.slices.columns["side"].items()} == {"left": 4, "right": 4}
