"""Metrics against scipy and torchmetrics, at their edges, and the bootstrap over sources."""

from __future__ import annotations

import jaxtyping
import numpy as np
import pytest
import scipy.stats
import torch
import torchmetrics.regression as oracle
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from msma.metrics import (
    METRICS,
    Interval,
    all_metrics,
    bias,
    ccc,
    draw_sources,
    interval,
    mae,
    pcc,
    r2,
    resampled_means,
    resampled_metrics,
    skill,
    spread_ratio,
)
from msma.types import TRAITS

scores = arrays(np.float64, st.tuples(st.integers(2, 30), st.just(5)), elements=st.floats(0, 1, width=32))


@st.composite
def score_pairs(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    predicted = draw(scores)
    return predicted, draw(arrays(np.float64, predicted.shape, elements=st.floats(0, 1, width=32)))


@pytest.fixture
def predicted_and_target() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(4)
    target = rng.beta(4, 3, (200, 5))
    return np.clip(0.3 + 0.4 * target + 0.1 * rng.standard_normal(target.shape), 0, 1), target


@pytest.mark.parametrize(
    ("metric", "torchmetric"),
    [
        (pcc, oracle.PearsonCorrCoef(num_outputs=5)),
        (r2, oracle.R2Score(multioutput="raw_values")),
        (mae, oracle.MeanAbsoluteError(num_outputs=5)),
    ],
    ids=["pcc", "r2", "mae"],
)
def test_metric_equals_torchmetrics(metric, torchmetric, predicted_and_target):
    predicted, target = predicted_and_target
    torchmetric.set_dtype(torch.float64)
    expected = torchmetric(torch.from_numpy(predicted), torch.from_numpy(target)).numpy()
    np.testing.assert_allclose(metric(predicted, target), expected, atol=1e-6)


def torchmetrics_mae(predicted: np.ndarray, target: np.ndarray) -> np.ndarray:
    metric = oracle.MeanAbsoluteError(num_outputs=5).set_dtype(torch.float64)
    return metric(torch.from_numpy(predicted), torch.from_numpy(target)).numpy()


def test_mean_accuracy_and_skill_follow_from_the_errors_of_torchmetrics(predicted_and_target):
    predicted, target = predicted_and_target
    constant = np.array([0.5, 0.6, 0.4, 0.5, 0.7])
    error = torchmetrics_mae(predicted, target)
    found = all_metrics(predicted, target, constant)
    np.testing.assert_allclose([found["mean_accuracy"][trait] for trait in TRAITS], 1 - error, atol=1e-6)
    expected = 1 - error / torchmetrics_mae(np.tile(constant, (len(target), 1)), target)
    np.testing.assert_allclose([found["skill"][trait] for trait in TRAITS], expected, atol=1e-6)


def test_spread_ratio_and_bias_equal_scipy(predicted_and_target):
    predicted, target = predicted_and_target
    described = [scipy.stats.describe(each, ddof=0) for each in predicted_and_target]
    ratio = np.sqrt(described[0].variance / described[1].variance)
    np.testing.assert_allclose(spread_ratio(predicted, target), ratio, atol=1e-6)
    np.testing.assert_allclose(bias(predicted, target), described[0].mean - described[1].mean, atol=1e-6)


def test_ccc_equals_torchmetrics_in_the_limit_of_many_clips(predicted_and_target):
    """Theirs has sample variances, ours population ones: copies of the clips leave ours and take theirs to it."""
    predicted, target = predicted_and_target
    torchmetric = oracle.ConcordanceCorrCoef(num_outputs=5).set_dtype(torch.float64)
    expected = torchmetric(*(torch.from_numpy(np.tile(each, (1000, 1))) for each in predicted_and_target)).numpy()
    np.testing.assert_allclose(ccc(predicted, target), expected, atol=1e-6)


def test_pcc_equals_scipy(predicted_and_target):
    predicted, target = predicted_and_target
    np.testing.assert_allclose(pcc(predicted, target), scipy.stats.pearsonr(predicted, target).statistic, atol=1e-9)


def test_ccc_is_pcc_times_the_bias_correction_of_lin(predicted_and_target):
    predicted, target = predicted_and_target
    scale = predicted.std(axis=0) / target.std(axis=0)
    shift = (predicted.mean(axis=0) - target.mean(axis=0)) / np.sqrt(predicted.std(axis=0) * target.std(axis=0))
    expected = pcc(predicted, target) * 2 / (scale + 1 / scale + shift**2)
    np.testing.assert_allclose(ccc(predicted, target), expected, atol=1e-9)


@pytest.mark.parametrize("metric", [ccc, pcc], ids=["ccc", "pcc"])
def test_a_constant_prediction_has_no_correlation(metric, predicted_and_target):
    _, target = predicted_and_target
    assert (metric(np.full_like(target, 0.55), target) == 0).all()


def test_where_the_constant_makes_no_error_there_is_no_skill():
    target = np.full((3, 5), 0.1)  # the mean of three 0.1 is not 0.1, so their variance is not 0
    assert (skill(target + 0.4, target, np.full(5, 0.1)) == 0).all()
    assert (r2(target + 0.4, target) == 0).all()


@pytest.mark.parametrize("metric", [ccc, pcc, r2, spread_ratio], ids=["ccc", "pcc", "r2", "spread_ratio"])
def test_a_constant_target_gives_zero_and_not_nan(metric, predicted_and_target):
    predicted, _ = predicted_and_target
    assert (metric(predicted, np.full_like(predicted, 0.5)) == 0).all()


def test_the_mean_of_the_split_has_an_r2_of_zero(predicted_and_target):
    _, target = predicted_and_target
    np.testing.assert_allclose(r2(np.tile(target.mean(axis=0), (len(target), 1)), target), 0, atol=1e-12)


@given(score_pairs())
@settings(deadline=None, max_examples=60)
def test_ccc_never_exceeds_the_size_of_pcc(pair):
    predicted, target = pair
    spread = np.minimum(predicted.std(axis=0), target.std(axis=0)) > 1e-4  # below, both are rounding
    assert (np.abs(ccc(predicted, target)) <= np.abs(pcc(predicted, target)) + 1e-9)[spread].all()


@given(score_pairs())
@settings(deadline=None, max_examples=60)
def test_no_pair_of_splits_gives_a_value_that_is_not_finite(pair):
    predicted, target = pair
    values = all_metrics(predicted, target, np.full(5, 0.5))
    assert all(np.isfinite(value) for by_trait in values.values() for value in by_trait.values())


def test_a_perfect_prediction(predicted_and_target):
    _, target = predicted_and_target
    values = all_metrics(target, target, np.full(5, 0.5))
    mean = {name: by_trait["mean"] for name, by_trait in values.items()}
    assert mean == pytest.approx({**dict.fromkeys(METRICS, 1.0), "mae": 0.0, "bias": 0.0})


def test_skill_of_the_constant_is_zero(predicted_and_target):
    _, target = predicted_and_target
    constant = np.array([0.5, 0.6, 0.4, 0.5, 0.7])
    assert (skill(np.tile(constant, (len(target), 1)), target, constant) == 0).all()


def test_skill_is_the_share_of_the_constants_error_that_is_gone():
    target = np.tile([[0.2], [0.8]], (1, 5))
    halfway = np.tile([[0.35], [0.65]], (1, 5))
    np.testing.assert_allclose(skill(halfway, target, np.full(5, 0.5)), 0.5)


def test_skill_may_be_against_another_constant_for_each_clip():
    target = np.tile([[0.2], [0.8]], (1, 5))
    constant = np.tile([[0.4], [0.6]], (1, 5))
    np.testing.assert_allclose(skill(np.full((2, 5), 0.5), target, constant), 1 - 0.3 / 0.2)


def test_spread_ratio_of_predictions_shrunk_to_the_mean(predicted_and_target):
    _, target = predicted_and_target
    shrunk = target.mean(axis=0) + 0.3 * (target - target.mean(axis=0))
    np.testing.assert_allclose(spread_ratio(shrunk, target), 0.3)


def test_mean_accuracy_is_one_minus_mae_by_trait_and_mean(predicted_and_target):
    predicted, target = predicted_and_target
    values = all_metrics(predicted, target, np.full(5, 0.5))
    expected = 1 - np.abs(predicted - target).mean(axis=0)
    assert list(values["mean_accuracy"]) == [*TRAITS, "mean"]
    assert list(values["mean_accuracy"].values()) == pytest.approx([*expected, expected.mean()])


def test_metrics_are_computed_in_float64():
    target = np.full((4, 5), 0.5, dtype=np.float32) + np.arange(4, dtype=np.float32)[:, None] * 1e-6
    assert all_metrics(target, target, np.full(5, 0.4))["ccc"]["mean"] == pytest.approx(1)


def test_a_trait_without_labels_is_left_out_of_the_metrics_and_of_their_mean(predicted_and_target):
    predicted, target = (array.copy() for array in predicted_and_target)
    whole = all_metrics(predicted, target, np.full(5, 0.5))
    target[:, [1, 4]] = np.nan
    found = all_metrics(predicted, target, np.full(5, 0.5))
    for name, by_trait in found.items():
        assert list(by_trait) == ["openness", "extraversion", "agreeableness", "mean"]
        assert all(by_trait[trait] == whole[name][trait] for trait in list(by_trait)[:3])
        assert by_trait["mean"] == pytest.approx(np.mean(list(by_trait.values())[:3]))


def test_a_split_without_any_label_is_refused(predicted_and_target):
    predicted, target = predicted_and_target
    with pytest.raises(ValueError, match="no trait is labelled"):
        all_metrics(predicted, np.full_like(target, np.nan), np.full(5, 0.5))


@pytest.mark.parametrize("bad", [np.nan, np.inf], ids=str)
@pytest.mark.parametrize("where", [0, 1], ids=["predicted", "target"])
def test_values_that_are_not_finite_are_refused(bad, where, predicted_and_target):
    pair = [array.copy() for array in predicted_and_target]
    pair[where][3, 2] = bad
    with pytest.raises(ValueError, match="finite"):
        all_metrics(*pair, np.full(5, 0.5))


@pytest.mark.parametrize(
    ("predicted", "target"),
    [((4, 5), (3, 5)), ((0, 5), (0, 5)), ((5,), (5,))],
    ids=["lengths differ", "no clip", "one clip without its axis"],
)
def test_shapes_that_do_not_fit_are_refused(predicted, target, monkeypatch):
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)  # or the tests' own check comes first
    with pytest.raises(ValueError, match="must be equal"):
        all_metrics(np.full(predicted, 0.5), np.full(target, 0.5), np.full(5, 0.5))


@pytest.fixture
def values() -> np.ndarray:
    return np.random.default_rng(7).normal(0.5, 0.1, 80)


def bootstrap_mean(values: np.ndarray, sources: list[str], level: float = 0.95, **drawing: int) -> Interval:
    everything = np.ones(len(values), dtype=bool)
    return interval(resampled_means(values[:, None], draw_sources(sources, **drawing), everything)[:, 0], level)


PAIRS = [f"s{i // 2}" for i in range(80)]


def test_bootstrap_gives_the_same_interval_again(values):
    assert bootstrap_mean(values, PAIRS, draws=200, seed=3) == bootstrap_mean(values, PAIRS, draws=200, seed=3)


def test_bootstrap_depends_on_its_seed(values):
    assert bootstrap_mean(values, PAIRS, draws=200, seed=3) != bootstrap_mean(values, PAIRS, draws=200, seed=4)


def test_bootstrap_interval_covers_the_point_estimate(values):
    found = bootstrap_mean(values, PAIRS, draws=500)
    assert found.low < values.mean() < found.high


def test_bootstrap_of_single_clips_agrees_with_the_normal_interval(values):
    found = bootstrap_mean(values, [f"s{i}" for i in range(80)])
    assert found.high - found.low == pytest.approx(2 * 1.96 * values.std() / np.sqrt(80), rel=0.1)


def test_bootstrap_is_wider_where_the_clips_of_a_source_are_copies(values):
    copies = np.repeat(values[:20], 4)
    by_source = bootstrap_mean(copies, [f"s{i // 4}" for i in range(80)], draws=500)
    by_clip = bootstrap_mean(copies, [f"s{i}" for i in range(80)], draws=500)
    assert by_source.high - by_source.low > 1.5 * (by_clip.high - by_clip.low)


def test_bootstrap_takes_a_source_whole_or_not_at_all():
    values = np.array([0.0, 0.3, 0.6, 0.9, 0.9, 0.9])
    draws = draw_sources(["a"] * 3 + ["b"] * 3, draws=50)
    means = resampled_means(values[:, None], draws, np.ones(6, dtype=bool))
    assert {round(float(mean), 9) for mean in means[:, 0]} == {0.3, 0.6, 0.9}


def test_a_draw_has_as_many_sources_as_there_are():
    assert (draw_sources(PAIRS, draws=50).counts.sum(axis=1) == 40).all()


def test_a_higher_level_gives_a_wider_interval(values):
    narrow, wide = (bootstrap_mean(values, PAIRS, draws=500, level=level) for level in (0.5, 0.95))
    assert wide.low < narrow.low < narrow.high < wide.high


@pytest.fixture
def uneven_sources() -> list[str]:
    return [f"s{source}" for source in np.random.default_rng(1).geometric(0.1, 200)]


@pytest.mark.parametrize("share", [1.0, 0.3], ids=["whole split", "slice"])
def test_resampled_metrics_equal_the_plain_definition_on_the_drawn_clips(predicted_and_target, uneven_sources, share):
    """Sums by source give in one go what drawing the clips one by one and calling the metrics gives."""
    predicted, target = predicted_and_target
    rng = np.random.default_rng(5)
    constant = rng.uniform(0.4, 0.6, target.shape)
    rows = rng.random(200) < share
    found = resampled_metrics(predicted, target, constant, draw_sources(uneven_sources, draws=30, seed=11), rows)
    names = sorted(set(uneven_sources))
    rng = np.random.default_rng(11)
    for draw in range(30):
        chosen = [names[index] for index in rng.integers(len(names), size=len(names))]
        clips = [i for source in chosen for i in range(200) if uneven_sources[i] == source and rows[i]]
        p, y = predicted[clips], target[clips]
        np.testing.assert_allclose(found["ccc"][draw], ccc(p, y), atol=1e-12)
        np.testing.assert_allclose(found["mean_accuracy"][draw], 1 - mae(p, y), atol=1e-12)
        np.testing.assert_allclose(found["skill"][draw], skill(p, y, constant[clips]), atol=1e-12)


def test_a_constant_has_a_ccc_of_zero_in_every_sample(predicted_and_target, uneven_sources):
    _, target = predicted_and_target
    constant = np.tile(target.mean(axis=0), (200, 1))
    drawn = resampled_metrics(constant, target, constant, draw_sources(uneven_sources), np.ones(200, dtype=bool))
    assert (drawn["ccc"] == 0).all()
    assert (drawn["skill"] == 0).all()


def test_a_sample_without_any_clip_of_the_slice_does_not_count(predicted_and_target):
    predicted, target = predicted_and_target
    draws = draw_sources([f"s{i // 50}" for i in range(200)], draws=200)
    drawn = resampled_metrics(predicted, target, target, draws, np.arange(200) < 50)["mean_accuracy"]
    missed = draws.counts[:, 0] == 0
    assert 0 < missed.sum() < 200
    assert np.array_equal(np.isnan(drawn).all(axis=1), missed)
    assert interval(drawn[:, 0]).low == pytest.approx(1 - mae(predicted[:50], target[:50])[0])


def test_an_interval_of_nothing_is_refused():
    with pytest.raises(ValueError, match="no sample"):
        interval(np.full(10, np.nan))
