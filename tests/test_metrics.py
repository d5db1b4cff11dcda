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

from msma.metrics import METRICS, all_metrics, bootstrap_by_source, ccc, mae, pcc, r2, skill, spread_ratio
from msma.traits import TRAITS

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
    assert mean == pytest.approx({**dict.fromkeys(METRICS, 1.0), "mae": 0.0})


def test_skill_of_the_constant_is_zero(predicted_and_target):
    _, target = predicted_and_target
    constant = np.array([0.5, 0.6, 0.4, 0.5, 0.7])
    assert (skill(np.tile(constant, (len(target), 1)), target, constant) == 0).all()


def test_skill_is_the_share_of_the_constants_error_that_is_gone():
    target = np.tile([[0.2], [0.8]], (1, 5))
    halfway = np.tile([[0.35], [0.65]], (1, 5))
    np.testing.assert_allclose(skill(halfway, target, np.full(5, 0.5)), 0.5)


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


def mean_of(values: np.ndarray):
    return lambda rows: float(values[rows].mean())


@pytest.fixture
def values() -> np.ndarray:
    return np.random.default_rng(7).normal(0.5, 0.1, 80)


def test_bootstrap_gives_the_same_interval_again(values):
    sources = [f"s{i // 2}" for i in range(80)]
    draws = [bootstrap_by_source(mean_of(values), sources, draws=200, seed=3) for _ in range(2)]
    assert draws[0] == draws[1]


def test_bootstrap_depends_on_its_seed(values):
    sources = [f"s{i // 2}" for i in range(80)]
    one, other = (bootstrap_by_source(mean_of(values), sources, draws=200, seed=seed) for seed in (3, 4))
    assert one != other


def test_bootstrap_interval_covers_the_point_estimate(values):
    interval = bootstrap_by_source(mean_of(values), [f"s{i // 2}" for i in range(80)], draws=500)
    assert interval.low < values.mean() < interval.high


def test_bootstrap_of_single_clips_agrees_with_the_normal_interval(values):
    interval = bootstrap_by_source(mean_of(values), [f"s{i}" for i in range(80)], draws=2000)
    assert interval.high - interval.low == pytest.approx(2 * 1.96 * values.std() / np.sqrt(80), rel=0.1)


def test_bootstrap_is_wider_where_the_clips_of_a_source_are_copies(values):
    copies = np.repeat(values[:20], 4)
    by_source = bootstrap_by_source(mean_of(copies), [f"s{i // 4}" for i in range(80)], draws=500)
    by_clip = bootstrap_by_source(mean_of(copies), [f"s{i}" for i in range(80)], draws=500)
    assert by_source.high - by_source.low > 1.5 * (by_clip.high - by_clip.low)


def test_bootstrap_takes_a_source_whole_or_not_at_all():
    def uneven_sources(rows: np.ndarray) -> float:
        counts = np.bincount(rows, minlength=6)
        return float(len(set(counts[:3])) > 1 or len(set(counts[3:])) > 1)

    interval = bootstrap_by_source(uneven_sources, ["a"] * 3 + ["b"] * 3, draws=50)
    assert (interval.low, interval.high) == (0, 0)


def test_a_higher_level_gives_a_wider_interval(values):
    sources = [f"s{i // 2}" for i in range(80)]
    narrow, wide = (bootstrap_by_source(mean_of(values), sources, draws=500, level=level) for level in (0.5, 0.95))
    assert wide.low < narrow.low < narrow.high < wide.high
