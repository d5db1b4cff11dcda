"""What is measured inside a network, against reference formulas and by the laws that it must hold to."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from msma.evaluation.robustness.cell_result import spearman
from msma.metrics import mean_of_known
from msma.training.ablation.statistics import evenness, linear_cka, mass_on, slope

ALL = np.ones(4, dtype=bool)


def drawn(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape)


def hsic_cka(x: np.ndarray, y: np.ndarray) -> float:
    """The definition by kernels (Kornblith et al. 2019, equations 1 and 2) with linear ones."""
    n = len(x)
    centre = np.eye(n) - 1 / n
    k, m = centre @ x @ x.T @ centre, centre @ y @ y.T @ centre
    return float(np.trace(k @ m) / math.sqrt(np.trace(k @ k) * np.trace(m @ m)))


# CKA


@given(st.integers(0, 1000), st.integers(1, 6), st.integers(1, 6))
def test_cka_is_that_of_the_kernels(seed, p, q):
    x, y = drawn(seed, 20, p), drawn(seed + 1, 20, q) + drawn(seed, 20, p)[:, :1]
    assert linear_cka(x, y) == pytest.approx(hsic_cka(x, y), abs=1e-9)


@given(st.integers(0, 1000))
def test_cka_does_not_see_rotation_scale_and_offset(seed):
    x, y = drawn(seed, 30, 4), drawn(seed + 1, 30, 5)
    rotation, _ = np.linalg.qr(drawn(seed + 2, 4, 4))
    assert linear_cka(3 * x @ rotation + 7, y) == pytest.approx(linear_cka(x, y), abs=1e-9)
    assert linear_cka(x, 3 * x @ rotation + 7) == pytest.approx(1)


@given(st.integers(0, 1000))
def test_cka_is_symmetric_and_a_share(seed):
    x, y = drawn(seed, 30, 4), drawn(seed + 1, 30, 5)
    assert linear_cka(x, y) == pytest.approx(linear_cka(y, x))
    assert 0 <= linear_cka(x, y) <= 1


def test_cka_of_what_has_nothing_in_common_is_near_0_and_of_a_constant_unknown():
    assert linear_cka(drawn(0, 5000, 3), drawn(1, 5000, 3)) < 0.01
    assert math.isnan(linear_cka(np.ones((9, 2)), drawn(0, 9, 2)))


# rank correlation and slope


def test_spearman_is_that_of_scipy_on_the_pairs_that_are_known():
    x, y = drawn(0, 50), drawn(1, 50) + drawn(0, 50)
    y[7] = np.nan
    kept = np.isfinite(y)
    assert spearman(x, y) == pytest.approx(stats.spearmanr(x[kept], y[kept]).statistic)


def test_spearman_with_a_constant_is_unknown():
    assert math.isnan(spearman(np.arange(5.0), np.ones(5)))
    assert math.isnan(spearman(np.arange(5.0), np.full(5, np.nan)))


@given(st.floats(-5, 5), st.floats(-5, 5))
def test_the_slope_of_a_line_is_its_own(offset, step):
    np.testing.assert_allclose(slope(offset + step * np.arange(6.0)[:, None]), [step], atol=1e-9)


def test_the_slope_is_that_of_least_squares_for_each_column():
    values = drawn(0, 6, 3)
    np.testing.assert_allclose(slope(values), np.polyfit(np.arange(6), values, 1)[0])


def test_the_mean_of_what_is_known():
    assert mean_of_known(np.array([1.0, np.nan, 3.0])) == 2
    assert math.isnan(mean_of_known(np.array([np.nan])))


# attention


def rows(*weights: float) -> np.ndarray:
    """Two heads, four queries, all with the same weights."""
    return np.tile(np.array(weights), (2, 4, 1))


def test_the_mass_is_the_share_on_the_keys():
    assert mass_on(rows(0.1, 0.2, 0.7), ALL, np.array([True, False, True])) == pytest.approx(0.8)


def test_only_the_queries_that_are_kept_count():
    attention = rows(1.0, 0.0)
    attention[:, 2:] = [0.0, 1.0]
    first = np.array([True, True, False, False])
    assert mass_on(attention, first, np.array([True, False])) == 1
    assert mass_on(attention, ALL, np.array([True, False])) == 0.5
    assert math.isnan(mass_on(attention, ALL & False, np.array([True, False])))


def test_even_attention_is_1_a_single_key_0_and_masked_keys_do_not_count():
    assert evenness(rows(0.25, 0.25, 0.25, 0.25), ALL) == pytest.approx(1)
    assert evenness(rows(0.5, 0.5, 0.0), ALL) == pytest.approx(1)
    one_hot = np.tile(np.eye(4), (2, 1, 1))
    assert evenness(one_hot, ALL) == 0
    assert math.isnan(evenness(rows(1.0, 0.0), ALL))
    assert math.isnan(evenness(rows(0.5, 0.5), ALL & False))
