"""Two sets of predictions, paired on the same sources."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from labels import labelled_corpus, predictions_for

from msma.evaluation.baselines import split_baselines
from msma.evaluation.comparison import compare
from msma.evaluation.predictions import Predictions
from msma.metrics import all_metrics
from msma.types import TRAITS, MsmaError

MANIFEST = labelled_corpus(test=160, sources=90)
CONSTANT = split_baselines(MANIFEST, MANIFEST.split("test")).constant


def scored(noise: float, seed: int = 1) -> Predictions:
    return predictions_for(MANIFEST, noise=noise, seed=seed)


def part_of(predictions: Predictions, rows: slice) -> Predictions:
    return Predictions(*(getattr(predictions, name)[rows] for name in ("clips", "sources", "predicted", "target")))


def test_the_differences_are_those_of_the_metrics():
    first, second = scored(0.05), scored(0.15)
    found = compare(first, second, CONSTANT)
    ours, theirs = (all_metrics(p.predicted, p.target, CONSTANT) for p in (first, second))
    assert list(found.differences) == ["ccc", "mean_accuracy", "skill"]
    for name, by_trait in found.differences.items():
        assert list(by_trait) == [*TRAITS, "mean"]
        assert {t: d.difference for t, d in by_trait.items()} == {t: ours[name][t] - theirs[name][t] for t in by_trait}


def test_a_clearly_better_model_is_clear_of_zero():
    for by_trait in compare(scored(0.05), scored(0.25), CONSTANT).differences.values():
        assert by_trait["mean"].low > 0
        assert by_trait["mean"].low < by_trait["mean"].difference < by_trait["mean"].high


def test_a_comparison_with_oneself_is_exactly_zero():
    for by_trait in compare(scored(0.1), scored(0.1), CONSTANT).differences.values():
        assert all((d.difference, d.low, d.high) == (0, 0, 0) for d in by_trait.values())


def test_the_interval_covers_no_difference_where_there_is_none():
    """Two tools that are equally good, forty times: one interval in twenty may miss 0, give or take chance."""
    pairs = [(scored(0.1, seed), scored(0.1, seed + 500)) for seed in range(40)]
    missed = sum(compare(first, second).differences["ccc"]["mean"].clear for first, second in pairs)
    assert missed <= 6


def test_pairing_narrows_the_interval():
    """Two noisy answers of one tool are hard alike on the same clips; shuffled clips would not know."""
    first = scored(0.1)
    rng = np.random.default_rng(0)
    second = Predictions(
        first.clips,
        first.sources,
        np.clip(first.predicted + rng.normal(0, 0.01, first.predicted.shape), 0, 1),
        first.target,
    )
    alike, apart = (compare(first, other).differences["ccc"]["mean"] for other in (second, scored(0.1, seed=9)))
    assert alike.high - alike.low < 0.5 * (apart.high - apart.low)


def test_only_common_clips_are_compared_in_any_order():
    first, second = scored(0.05), scored(0.15)
    fewer = part_of(second, slice(100, None, -1))
    found = compare(part_of(first, slice(20, None)), fewer, CONSTANT[20:])
    expected = compare(part_of(first, slice(20, 101)), part_of(second, slice(20, 101)), CONSTANT[20:101])
    assert found == expected
    assert found.clips == 81


def test_without_a_constant_there_is_no_skill():
    assert list(compare(scored(0.1), scored(0.2)).differences) == ["ccc", "mean_accuracy"]


def test_traits_without_labels_are_not_compared():
    manifest = labelled_corpus(traits=("agreeableness",))
    first, second = (predictions_for(manifest, noise=noise) for noise in (0.05, 0.2))
    assert list(compare(first, second).differences["ccc"]) == ["agreeableness", "mean"]


@pytest.mark.parametrize("turned", [False, True])
def test_only_traits_that_both_have_labels_of_are_compared(turned):
    first = scored(0.1)
    fewer = replace(scored(0.2), target=np.where(np.arange(5) == 3, first.target, np.nan))
    pair = (fewer, first) if turned else (first, fewer)
    assert list(compare(*pair).differences["ccc"]) == ["agreeableness", "mean"]
    with pytest.raises(MsmaError, match="no trait in common"):
        compare(fewer, replace(first, target=np.where(np.arange(5) == 2, first.target, np.nan)))


def test_of_one_source_there_is_no_interval():
    first, second = (replace(scored(noise), sources=["one"] * 160) for noise in (0.05, 0.25))
    found = compare(first, second).differences["ccc"]["mean"]
    assert found.difference > 0
    assert np.isnan([found.low, found.high]).all()
    assert not found.clear


def test_predictions_without_a_common_clip_are_an_error():
    with pytest.raises(MsmaError, match="no clip in common"):
        compare(part_of(scored(0.1), slice(0, 9)), part_of(scored(0.1), slice(9, 20)))
