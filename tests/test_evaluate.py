"""Evaluation: deterministic, beside its baselines, the same for any loading."""

from __future__ import annotations

import numpy as np
import pytest
from planted import RECIPE, planted_corpus

from msma.data.cache import CacheReport
from msma.evaluate import Predictions, compare_ccc, evaluate, predict_split, read_evaluation, write_evaluation
from msma.predict import load
from msma.train import train
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
    expected = predict_split(model, rows, cache, batch_size=1).predicted
    for batch_size, workers in ((3, 0), (64, 2)):
        again = predict_split(model, rows, cache, batch_size=batch_size, workers=workers).predicted
        assert np.array_equal(again, expected)


def test_scores_stand_beside_the_constant_of_the_training_labels(trained):
    model, manifest, cache = trained
    predictions = predict_split(model, list(manifest.split("test")), cache)
    evaluation = evaluate(model, manifest, "test", cache, predictions)
    assert evaluation.clips == 8
    assert evaluation.baselines["constant"]["ccc"]["mean"] == 0
    assert evaluation.baselines["constant"]["skill"]["mean"] == pytest.approx(0)
    low, high = evaluation.intervals["ccc"].low, evaluation.intervals["ccc"].high
    assert low <= evaluation.metrics["ccc"]["mean"] <= high


def test_the_ceiling_is_that_of_the_modalities_that_the_network_reads(trained):
    model, manifest, cache = trained
    ceilings = {name: {"ccc": {"mean": value}} for name, value in (("audio", 0.6), ("visual", 0.7), ("both", 0.8))}
    manifest = type(manifest)(manifest.corpus, manifest.rows, {"ceiling": ceilings})
    predictions = predict_split(model, list(manifest.split("test")), cache)
    assert evaluate(model, manifest, "test", cache, predictions).ceiling == {"ccc": {"mean": 0.8}}


def test_a_clip_that_cannot_be_read_is_counted_and_not_scored(trained):
    model, manifest, cache = trained
    lost, *_ = manifest.split("test")
    entries = {clip: path for clip, path in cache.entries.items() if clip != lost.clip}
    cache = CacheReport(entries, {}, {lost.clip: "no moov atom"})
    predictions = predict_split(model, list(manifest.split("test")), cache)
    evaluation = evaluate(model, manifest, "test", cache, predictions)
    assert evaluation.clips == 7
    assert evaluation.failed == {lost.clip: "no moov atom"}


def test_a_split_of_which_nothing_can_be_read_is_an_error(trained):
    model, manifest, _ = trained
    with pytest.raises(MsmaError, match="no clip"):
        predict_split(model, list(manifest.split("test")), CacheReport({}, {}, {}))


def test_what_is_written_is_read_back(trained, tmp_path):
    model, manifest, cache = trained
    predictions = predict_split(model, list(manifest.split("test")), cache)
    write_evaluation(tmp_path, evaluate(model, manifest, "test", cache, predictions), predictions)
    evaluation, again = read_evaluation(tmp_path)
    assert np.array_equal(again.predicted, predictions.predicted)
    assert np.array_equal(again.target, predictions.target)
    assert evaluation["metrics"]["ccc"]["mean"] == pytest.approx(
        evaluate(model, manifest, "test", cache, again).metrics["ccc"]["mean"]
    )


def scored(noise: float, seed: int = 0) -> Predictions:
    rng = np.random.default_rng(seed)
    target = np.random.default_rng(9).uniform(0.2, 0.8, (60, 5))
    return Predictions(
        [f"{i}.mp4" for i in range(60)],
        [f"s{i // 3}" for i in range(60)],
        target + rng.normal(0, noise, target.shape),
        target,
    )


def test_a_comparison_is_positive_and_clear_of_zero_for_a_clearly_better_model():
    paired = compare_ccc(scored(0.05), scored(0.3))
    assert paired.difference > 0
    assert paired.interval.low > 0


def test_a_comparison_with_oneself_is_exactly_zero():
    paired = compare_ccc(scored(0.1), scored(0.1))
    assert (paired.difference, paired.interval.low, paired.interval.high) == (0, 0, 0)


def test_a_comparison_of_different_clips_is_refused():
    other = scored(0.1)
    with pytest.raises(MsmaError, match="same clips"):
        compare_ccc(scored(0.1), Predictions(other.clips[::-1], other.sources, other.predicted, other.target))
