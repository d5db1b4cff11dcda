"""Intervals that hold for all rows of a table together: as often as they say, and not too wide to find an effect."""

from __future__ import annotations

import math

import numpy as np
import pytest

from msma.metrics import Draws, draw_sources
from msma.training.ablation.statistics import estimate, freedom, from_full, together

ROWS, SEEDS, SOURCES = 8, 5, 40
NAMES = [f"row{place}" for place in range(ROWS)]


@pytest.fixture(scope="module")
def draws() -> Draws:
    return draw_sources([str(place) for place in range(SOURCES)], draws=1000)


def table(rng: np.random.Generator, draws: Draws, seed_std: float, effects: np.ndarray) -> dict[str, np.ndarray]:
    """Differences of rows from one recipe, whose own seeds and sources are in all of them: they are correlated."""
    of_seeds = rng.normal(0, seed_std, (ROWS + 1, SEEDS, 1))
    of_sources = rng.normal(0, 1, (ROWS + 1, 1, SOURCES))
    apart = (of_seeds + of_sources)[1:] - (of_seeds + of_sources)[:1] + effects[:, None, None]
    weights = draws.counts / draws.counts.sum(axis=1, keepdims=True)
    samples = np.concatenate([apart.mean(axis=2, keepdims=True), apart @ weights.T], axis=2)
    return dict(zip(NAMES, samples, strict=True))


@pytest.mark.parametrize("seed_std", [0.02, 0.1, 0.3])
def test_under_the_null_all_rows_hold_together_in_about_95_of_100_tables(draws, seed_std):
    rng, tables, held, single = np.random.default_rng(0), 200, 0, 0
    for _ in range(tables):
        sampled = table(rng, draws, seed_std, np.zeros(ROWS))
        held += all(low <= 0 <= high for low, high in together(sampled, SOURCES).values())
        own = [estimate(values) for values in sampled.values()]
        single += all(one.low <= 0 <= one.high for one in own)
    assert 0.91 <= held / tables <= 0.995
    assert single / tables < 0.85  # each by itself, one of eight misses far more often


def test_an_effect_that_is_there_is_found_and_named_and_the_others_are_not(draws):
    rng, tables, found, false = np.random.default_rng(1), 100, 0, 0
    effects = np.array([-1.5, 1.5] + [0.0] * (ROWS - 2))
    for _ in range(tables):
        verdicts = {name: one.verdict for name, one in from_full(table(rng, draws, 0.1, effects), SOURCES).items()}
        found += (verdicts["row0"] == "loses") + (verdicts["row1"] == "gains")
        false += sum(verdicts[name] != "not told apart" for name in NAMES[2:])
    assert found / (2 * tables) > 0.9
    assert false / tables < 0.1


def test_the_interval_of_all_rows_is_the_wider_one_and_one_row_needs_none_wider(draws):
    sampled = table(np.random.default_rng(2), draws, 0.1, np.zeros(ROWS))
    for name, one in from_full(sampled, SOURCES).items():
        assert one.all_high - one.all_low > 1.2 * (one.high - one.low)
        assert one.difference == pytest.approx(sampled[name][:, 0].mean())
    low, high = together({"row0": sampled["row0"]}, SOURCES)["row0"]
    alone = estimate(sampled["row0"])
    assert high - low == pytest.approx(alone.high - alone.low, rel=0.35)


def test_few_seeds_count_for_the_share_of_the_variance_that_is_theirs(draws):
    rng = np.random.default_rng(3)
    assert freedom(table(rng, draws, 0.001, np.zeros(ROWS))["row0"], SOURCES) == pytest.approx(SOURCES - 1, rel=0.05)
    assert freedom(table(rng, draws, 10.0, np.zeros(ROWS))["row0"], SOURCES) == pytest.approx(SEEDS - 1, rel=0.05)


def test_rows_that_are_not_defined_or_do_not_vary_take_nothing_from_the_others(draws):
    sampled = table(np.random.default_rng(4), draws, 0.1, np.zeros(ROWS))
    plain = together(sampled, SOURCES)
    more = from_full({**sampled, "same": 0 * sampled["row0"], "unknown": math.nan * sampled["row0"]}, SOURCES)
    for name, (low, high) in plain.items():
        assert (more[name].all_low, more[name].all_high) == pytest.approx((low, high))
    assert (more["same"].all_low, more["same"].all_high, more["same"].verdict) == (0, 0, "not told apart")
    assert math.isnan(more["unknown"].all_low)
    assert more["unknown"].verdict is None
