"""Group disparities: what is planted shows, what is not planted does not."""

from __future__ import annotations

import numpy as np
import pytest
from labels import labelled_corpus, predictions_for

from msma.evaluation.disparities import MIN_SOURCES, Disparities, Largest, disparities
from msma.evaluation.predictions import Predictions
from msma.metrics import draw_sources


def found_in(predictions: Predictions, columns: dict[str, list[str]], draws: int = 400) -> dict[str, Disparities]:
    return disparities(predictions, columns, draw_sources(predictions.sources, draws=draws))


def looked_at(seed: int, shifts: dict[str, float] | None = None, noise: float = 0.08) -> dict[str, Disparities]:
    manifest = labelled_corpus(test=160, sources=90, seed=seed)
    columns = {name: [row.columns[name] for row in manifest.split("test")] for name in ("gender", "age_group")}
    return found_in(predictions_for(manifest, seed=seed + 1000, shifts=shifts, noise=noise), columns)


@pytest.mark.parametrize("seed", range(5))
def test_a_planted_bias_shows_in_its_group_and_its_trait(seed):
    gender = looked_at(seed, shifts={"female": 0.12})["gender"]
    planted = gender.groups["female"].bias["openness"]
    assert (gender.largest.bias.value, gender.largest.bias.trait) in (("female", "openness"), ("male", "openness"))
    assert planted.low > 0
    assert planted.low < 0.12 < planted.high
    assert gender.clear


@pytest.mark.parametrize("seed", range(5))
def test_a_group_that_is_answered_worse_shows_in_mean_accuracy(seed):
    manifest = labelled_corpus(test=160, sources=90, seed=seed)
    predictions = predictions_for(manifest, noise=0.05, seed=seed)
    gender = [row.columns["gender"] for row in manifest.split("test")]
    noise = np.random.default_rng(seed).normal(0, 0.2, predictions.predicted.shape)
    noise[[value == "male" for value in gender]] = 0
    worse = Predictions(predictions.clips, predictions.sources, predictions.predicted + noise, predictions.target)
    gap = found_in(worse, {"gender": gender})["gender"].groups["female"].mean_accuracy
    assert gap.high < 0


def test_where_nothing_is_planted_few_reports_name_a_gap():
    """Every report looks at 24 differences; of 120 reports at most one in twenty may err, give or take chance."""
    alarms = sum(any(gap.clear for gap in looked_at(seed).values()) for seed in range(120))
    assert alarms <= 12


def test_the_interval_is_wider_where_more_is_looked_at():
    manifest = labelled_corpus(test=160, sources=90)
    predictions, rows = predictions_for(manifest), manifest.split("test")
    gender = [row.columns["gender"] for row in rows]
    others = {f"column {i}": list(np.random.default_rng(i).permutation(gender)) for i in range(20)}
    alone = found_in(predictions, {"gender": gender})["gender"]
    among = found_in(predictions, {"gender": gender, **others})["gender"]
    narrow, wide = (gap.groups["female"].bias["openness"] for gap in (alone, among))
    assert (alone.comparisons, among.comparisons) == (6, 6 * 21)
    assert narrow.difference == wide.difference
    assert wide.low < narrow.low < narrow.high < wide.high


def test_a_gap_is_the_value_minus_the_rest():
    manifest = labelled_corpus(test=160, sources=90)
    predictions = predictions_for(manifest)
    age = np.array([row.columns["age_group"] for row in manifest.split("test")])
    gap = found_in(predictions, {"age_group": age.tolist()})["age_group"].groups["old"]
    error, old = predictions.predicted - predictions.target, age == "old"
    expected = error[old].mean(axis=0) - error[~old].mean(axis=0)
    assert [gap.bias[trait].difference for trait in gap.bias] == pytest.approx(list(expected))
    accuracy = 1 - np.abs(error).mean(axis=1)
    assert gap.mean_accuracy.difference == pytest.approx(accuracy[old].mean() - accuracy[~old].mean())


def test_two_values_mirror_each_other_and_count_as_one_look():
    gender = looked_at(0)["gender"]
    female, male = (gender.groups[value].bias["openness"] for value in ("female", "male"))
    assert female.difference == pytest.approx(-male.difference)
    assert (female.low, female.high) == pytest.approx((-male.high, -male.low))
    assert gender.comparisons == 6 * (1 + 3)


def test_a_value_of_few_sources_has_no_disparity():
    manifest = labelled_corpus(test=160, sources=90)
    predictions = predictions_for(manifest)
    few = sorted(set(predictions.sources))[: MIN_SOURCES - 1]
    column = ["rare" if source in few else str(int(source[-1]) % 2) for source in predictions.sources]
    found = found_in(predictions, {"column": column})["column"]
    assert set(found.groups) == {"0", "1"}


def test_a_column_without_large_values_has_no_disparity_at_all():
    manifest = labelled_corpus(test=40, sources=8)
    predictions = predictions_for(manifest)
    found = found_in(predictions, {"gender": [row.columns["gender"] for row in manifest.split("test")]})["gender"]
    assert (found.groups, found.largest, found.clear) == ({}, Largest(None, None), False)


def test_only_labelled_traits_are_looked_at():
    manifest = labelled_corpus(test=160, sources=90, traits=("openness", "extraversion"))
    column = [row.columns["gender"] for row in manifest.split("test")]
    found = found_in(predictions_for(manifest), {"gender": column})["gender"]
    assert list(found.groups["female"].bias) == ["openness", "extraversion"]
    assert found.comparisons == 3


def with_labels(shift: float, learned: float) -> Disparities:
    """Observers give women `shift` more of every trait, and the network `learned` times as much of that."""
    manifest = labelled_corpus(test=400, sources=200)
    predictions = predictions_for(manifest, noise=0.02)
    gender = [row.columns["gender"] for row in manifest.split("test")]
    women = np.array([value == "female" for value in gender])[:, None]
    biased = Predictions(
        predictions.clips,
        predictions.sources,
        predictions.predicted + learned * shift * women,
        predictions.target + shift * women,
    )
    return found_in(biased, {"gender": gender})["gender"]


def test_labels_that_favour_a_group_show_as_an_effect_and_not_as_a_disparity():
    group = with_labels(0.3, learned=1.0).groups["female"]
    for trait, effect in group.effects.items():
        assert effect.labels.low < 0.3 < effect.labels.high
        assert effect.labels.clear
        assert not group.bias[trait].clear
        assert effect.amplification == pytest.approx(1, abs=0.1)


@pytest.mark.parametrize("learned", [0.5, 1.5])
def test_amplification_is_the_effect_in_predictions_over_that_in_labels(learned):
    for effect in with_labels(0.3, learned).groups["female"].effects.values():
        assert effect.amplification == effect.predictions / effect.labels.difference
        assert effect.amplification == pytest.approx(learned, abs=0.2)


def test_where_labels_favour_nobody_there_is_nothing_to_amplify():
    for effect in with_labels(0.0, learned=1.0).groups["female"].effects.values():
        assert not effect.labels.clear
        assert np.isnan(effect.amplification)
