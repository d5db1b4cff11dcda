"""Scores on a split: beside the baselines, by seen and unseen source, by column, with intervals."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from labels import labelled_corpus, predictions_for

from msma.data.corpora.manifest import Manifest, targets
from msma.evaluation.baselines import Baselines, baselines, split_baselines
from msma.evaluation.evaluation import Evaluation, evaluation_of, slice_columns
from msma.evaluation.predictions import Predictions
from msma.evaluation.score import ClipScores, Scored, score
from msma.metrics import METRICS, RESAMPLED, all_metrics
from msma.types import TRAITS, MsmaError


@pytest.fixture(scope="module")
def manifest() -> Manifest:
    return labelled_corpus()


@pytest.fixture(scope="module")
def scored(manifest) -> Scored:
    return score_split(manifest, predictions_for(manifest))


def score_split(manifest: Manifest, predictions: Predictions, slices: list[str] | None = None) -> Evaluation:
    return evaluation_of(manifest, "all", predictions, model="a tool", slices=slices)


def only(predictions: Predictions, rows: np.ndarray) -> Predictions:
    names = [list(np.array(each)[rows]) for each in (predictions.clips, predictions.sources)]
    return Predictions(*names, predictions.predicted[rows], predictions.target[rows])


def test_metrics_are_those_of_the_whole_split(manifest, scored):
    predictions, constant = predictions_for(manifest), targets(manifest.split("train")).mean(axis=0)
    assert scored.metrics == all_metrics(predictions.predicted, predictions.target, constant)
    assert scored.clips == 80


def test_the_constant_has_no_skill_and_no_correlation(scored):
    constant = scored.baselines["constant"]
    assert all(abs(constant[name]["mean"]) < 1e-12 for name in ("ccc", "pcc", "skill"))


def test_where_sources_shift_the_labels_the_probe_beats_the_constant():
    manifest = labelled_corpus(train=240, source_effect=0.15)
    scored = score_split(manifest, predictions_for(manifest))
    probe, constant = scored.baselines["same_source"], scored.baselines["constant"]
    assert probe["ccc"]["mean"] > 0.3
    assert probe["mean_accuracy"]["mean"] > constant["mean_accuracy"]["mean"]
    assert probe["skill"]["mean"] > 0


def test_where_sources_shift_nothing_the_probe_is_no_better_than_the_constant():
    manifest = labelled_corpus(source_effect=0.0)
    scored = score_split(manifest, predictions_for(manifest))
    assert scored.baselines["same_source"]["skill"]["mean"] < 0.02


def test_seen_and_unseen_sources_part_the_split(manifest, scored):
    known = {row.source for row in manifest.split("train")}
    seen = sum(row.source in known for row in manifest.split("test"))
    assert (scored.slices.seen_source.clips, scored.slices.unseen_source.clips) == (seen, 80 - seen)
    assert 0 < seen < 80
    assert scored.slices.seen_source.sources + scored.slices.unseen_source.sources == scored.sources
    error = sum(
        part.clips * part.metrics["mae"]["mean"] for part in (scored.slices.seen_source, scored.slices.unseen_source)
    )
    assert error / 80 == pytest.approx(scored.metrics["mae"]["mean"])


def test_a_slice_is_scored_as_if_it_were_a_split(manifest, scored):
    predictions = predictions_for(manifest)
    known = {row.source for row in manifest.split("train")}
    part = only(predictions, np.array([source in known for source in predictions.sources]))
    expected = all_metrics(part.predicted, part.target, targets(manifest.split("train")).mean(axis=0))
    assert scored.slices.seen_source.metrics == expected


def test_on_unseen_sources_the_probe_is_the_constant(scored):
    assert scored.slices.unseen_source.baselines["same_source"] == scored.slices.unseen_source.baselines["constant"]


def test_in_the_training_split_a_clip_is_not_its_own_source(manifest):
    scored = score_split(manifest, predictions_for(manifest, "train"))
    assert scored.baselines["same_source"]["ccc"]["mean"] < 0.9
    alone = [r.source for r in manifest.split("train")]
    assert scored.slices.unseen_source.clips == sum(alone.count(source) == 1 for source in alone)


def test_the_values_of_a_column_part_the_split(scored):
    for parts in scored.slices.columns.values():
        assert sum(part.clips for part in parts.values()) == 80
    assert set(scored.slices.columns) == set(scored.disparities) == {"gender", "age_group"}


def test_a_planted_group_effect_shows_in_the_bias_of_the_slice(manifest):
    scored = score_split(manifest, predictions_for(manifest, shifts={"female": 0.1}))
    gender = {value: part.metrics["bias"] for value, part in scored.slices.columns["gender"].items()}
    assert gender["female"]["openness"] - gender["male"]["openness"] > 0.06
    assert abs(gender["female"]["extraversion"] - gender["male"]["extraversion"]) < 0.05
    assert scored.disparities["gender"].clear
    assert not scored.disparities["age_group"].clear


def test_columns_that_group_nothing_are_left_out_and_said_so(manifest):
    unsliced = score_split(manifest, predictions_for(manifest)).slices.skipped
    assert unsliced == {"transcript": "has 80 values on 80 clips"}


def test_named_columns_only_are_sliced(manifest):
    scored = score_split(manifest, predictions_for(manifest), ["age_group"])
    assert (list(scored.slices.columns), scored.slices.skipped) == (["age_group"], {})


def test_a_column_with_many_values_is_sliced_when_named(manifest):
    scored = score_split(manifest, predictions_for(manifest), ["transcript"])
    assert len(scored.slices.columns["transcript"]) == 80


@pytest.mark.parametrize("name", ["shoe_size", "interview"])
def test_a_named_column_that_is_not_there_or_is_interview_is_an_error(name):
    manifest = labelled_corpus()
    rows = tuple(replace(row, columns={**row.columns, "interview": "a"}) for row in manifest.rows)
    with pytest.raises(MsmaError, match=name):
        slice_columns(rows, [name])


def test_interview_is_never_sliced_by_itself():
    rows = [replace(row, columns={"interview": str(i % 3)}) for i, row in enumerate(labelled_corpus().rows)]
    columns, unsliced = slice_columns(rows, None)
    assert (columns, list(unsliced)) == ({}, ["interview"])


def test_a_clip_without_a_value_is_counted_under_no_name():
    rows = [replace(row, columns={"gender": "female" if i % 3 else ""}) for i, row in enumerate(labelled_corpus().rows)]
    assert slice_columns(rows, None)[0]["gender"].count("") == 67


def test_intervals_hold_the_point_and_stand_by_trait_and_mean(scored):
    assert list(scored.intervals) == list(RESAMPLED)
    for name, intervals in scored.intervals.items():
        assert list(intervals) == [*TRAITS, "mean"]
        for trait, interval in intervals.items():
            assert interval.low < scored.metrics[name][trait] < interval.high


def test_scoring_again_gives_the_same_to_the_last_bit(manifest, scored):
    assert score_split(manifest, predictions_for(manifest)) == scored


def test_traits_without_labels_have_no_scores():
    manifest = labelled_corpus(traits=("openness", "extraversion"))
    scored = score_split(manifest, predictions_for(manifest))
    wanted = ["openness", "extraversion", "mean"]
    for part in (
        scored,
        scored.slices.seen_source,
        scored.slices.unseen_source,
        *scored.slices.columns["gender"].values(),
    ):
        for metrics in (part.metrics, *part.baselines.values(), part.intervals):
            assert all(list(by_trait) == wanted for by_trait in metrics.values())
    metrics = scored.metrics["ccc"]
    assert metrics["mean"] == pytest.approx((metrics["openness"] + metrics["extraversion"]) / 2)


def all_nan(part: ClipScores, names: tuple[str, ...]) -> bool:
    return all(math.isnan(part.metrics[name][row]) for name in names for row in (*TRAITS, "mean"))


def one_source_each(count: int) -> tuple[np.ndarray, list[str]]:
    return np.random.default_rng(2).uniform(0.2, 0.8, (count, 5)), [f"s{i}" for i in range(count)]


def test_an_empty_slice_is_there_without_metrics():
    target, sources = one_source_each(20)
    middle = np.full_like(target, 0.5)
    scored = score(Predictions(sources, sources, target, target), Baselines(middle, middle, np.zeros(20, dtype=bool)))
    assert (scored.slices.seen_source.clips, scored.slices.seen_source.sources) == (0, 0)
    assert all_nan(scored.slices.seen_source, METRICS)
    assert math.isnan(scored.slices.seen_source.intervals["ccc"]["mean"].low)
    assert scored.slices.unseen_source.metrics == scored.metrics


def test_a_slice_of_one_clip_has_an_error_but_no_correlation():
    target, sources = one_source_each(20)
    middle = np.full_like(target, 0.5)
    scored = score(Predictions(sources, sources, target, target), Baselines(middle, middle, np.arange(20) == 3))
    assert scored.slices.seen_source.metrics["mean_accuracy"]["mean"] == 1
    assert all_nan(scored.slices.seen_source, ("ccc", "pcc", "r2", "spread_ratio"))


def test_a_slice_of_few_sources_has_metrics_but_no_interval():
    target, sources = one_source_each(20)
    middle = np.full_like(target, 0.5)
    scored = score(Predictions(sources, sources, target, target), Baselines(middle, middle, np.arange(20) < 9))
    assert scored.slices.seen_source.metrics["ccc"]["mean"] == pytest.approx(1)
    assert math.isnan(scored.slices.seen_source.intervals["ccc"]["mean"].low)
    assert scored.slices.unseen_source.intervals["ccc"]["mean"].low == pytest.approx(1)


def test_a_split_of_one_source_has_no_interval():
    target, _ = one_source_each(6)
    middle = np.full_like(target, 0.5)
    scored = score(
        Predictions(["one"] * 6, ["one"] * 6, target, target), Baselines(middle, middle, np.zeros(6, dtype=bool))
    )
    assert math.isnan(scored.intervals["ccc"]["mean"].high)


def test_skill_is_against_the_constant_of_each_clip():
    """As in cross-validation, where each fold has a training mean of its own."""
    target, sources = one_source_each(20)
    constant = np.where(np.arange(20)[:, None] < 10, 0.4, 0.6) * np.ones(5)
    halfway = (target + constant) / 2
    scored = score(
        Predictions(sources, sources, halfway, target), Baselines(constant, constant, np.zeros(20, dtype=bool))
    )
    assert list(scored.metrics["skill"].values()) == pytest.approx([0.5] * 6)
    assert scored.intervals["skill"]["mean"].low == pytest.approx(0.5)


def test_folds_scored_together_have_the_baselines_of_their_own_training_clips(manifest):
    folds = [baselines(manifest.rows[100:], manifest.rows[:100]), baselines(manifest.rows[:100], manifest.rows[100:])]
    pooled = Baselines(
        *(np.concatenate([getattr(f, name) for f in folds]) for name in ("constant", "same_source", "seen"))
    )
    target = targets(manifest.rows)
    scored = score(
        Predictions([row.clip for row in manifest.rows], [row.source for row in manifest.rows], target, target), pooled
    )
    assert scored.clips == 200
    expected = 1 - np.abs(pooled.same_source - target).mean()
    assert scored.baselines["same_source"]["mean_accuracy"]["mean"] == pytest.approx(expected)


def test_a_target_that_is_nan_for_one_clip_only_is_refused(manifest):
    predictions = predictions_for(manifest)
    target = predictions.target.copy()
    target[3, 2] = np.nan
    with pytest.raises(ValueError, match="finite"):
        score(replace(predictions, target=target), split_baselines(manifest, manifest.split("test")))
