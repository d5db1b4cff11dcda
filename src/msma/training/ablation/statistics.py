"""Measures inside a network, and their statistics over several seeds. Pure functions on arrays.

A seed trains another network; every network predicts the same clips. So both are drawn: an interval by bootstrap over
seeds and sources, crossed (docs/ablations.md).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Bool, Float
from scipy.special import ndtr, stdtrit

from msma.evaluation.ablation import FromFull, Spread, Verdict
from msma.evaluation.disparities import Difference
from msma.metrics import interval, mean_of_known

Attention = Float[np.ndarray, "heads queries keys"]
"""The attention of one clip; what is missing to 1 in a row goes to the null key."""
LEVEL = 0.95


def linear_cka(x: Float[np.ndarray, "places p"], y: Float[np.ndarray, "places q"]) -> float:
    """Linear centred kernel alignment (Kornblith et al. 2019) of two representations of the same places, in [0, 1]. 1:
    the same up to rotation, scale and offset; 0: no linear relation. NaN where one of them is constant."""
    x, y = (part.astype(np.float64) - part.mean(axis=0, dtype=np.float64) for part in (x, y))
    own = np.linalg.norm(x.T @ x) * np.linalg.norm(y.T @ y)
    return float(np.linalg.norm(x.T @ y) ** 2 / own) if own > 0 else math.nan


def slope(values: Float[np.ndarray, "steps columns"]) -> Float[np.ndarray, " columns"]:
    """Change from one step to the next, by least squares, in each column."""
    return np.polyfit(np.arange(len(values)), values, 1)[0]


def mass_on(attention: Attention, queries: Bool[np.ndarray, " queries"], keys: Bool[np.ndarray, " keys"]) -> float:
    """Share of the attention of `queries` that falls on `keys`, mean over heads; NaN without queries."""
    return float(attention[:, queries][..., keys].sum(axis=-1).mean()) if queries.any() else math.nan


def evenness(attention: Attention, queries: Bool[np.ndarray, " queries"]) -> float:
    """Entropy of the attention of `queries`, without the null key, over that of even attention to every key that is
    kept, in [0, 1]; NaN without queries, or where fewer than two keys are kept."""
    rows = attention[:, queries].astype(np.float64)
    rows = rows / np.maximum(rows.sum(axis=-1, keepdims=True), np.finfo(np.float64).tiny)
    kept = int((rows > 0).any(axis=(0, 1)).sum())
    if not rows.size or kept < 2:
        return math.nan
    entropy = -np.sum(rows * np.log(np.where(rows > 0, rows, 1.0)), axis=-1)
    return float(entropy.mean() / math.log(kept))


def spread(by_seed: Sequence[float]) -> Spread:
    values = tuple(float(value) for value in by_seed)
    known = [value for value in values if not math.isnan(value)] or [math.nan]
    return Spread(mean_of_known(values), min(known), max(known), values)


def last_quarter(curve: Sequence[tuple[int, float]]) -> float:
    """How much a measure rose from three quarters of the steps, or the validation before, to the last one; `curve` has
    step and measure of each validation. NaN where there is none before."""
    early = [value for step, value in curve if step <= 0.75 * curve[-1][0]]
    return curve[-1][1] - early[-1] if early else math.nan


def over_seeds(drawn: Float[np.ndarray, "seeds draws"], seed: int = 0) -> Float[np.ndarray, " draws"]:
    """The mean over seeds in each bootstrap sample: `drawn` has resampled the sources, the seeds are drawn here.

    One seed fewer than there are is drawn (Rao and Wu 1988): with as many as there are, the variance of the mean of so
    few would come out too small, by a third for three. With a single seed there is nothing to draw.
    """
    seeds, draws = drawn.shape
    chosen = np.random.default_rng(seed).integers(seeds, size=(max(seeds - 1, 1), draws))
    return np.take_along_axis(drawn, chosen, axis=0).mean(axis=0)


def together(
    sampled: Mapping[str, Float[np.ndarray, "seeds samples"]], sources: int
) -> dict[str, Float[np.ndarray, " 2"]]:
    """Intervals that hold for all rows of a table together with 95 %: around each row's mean, by its name; NaN where
    the statistic is not defined for a seed or some sample, and those rows count for no other.

    One step of the max-t bootstrap (Westfall and Young 1993; Romano and Wolf 2005): the level is such that the largest
    deviation of any row, in its standard errors, is inside as often as it says. All rows are drawn with the same
    sources. Of seeds there are too few to draw from, and to show how alike rows are: their deviations are normal, and
    independent between rows, which is the worst case (Sidak 1967). Half a width is a quantile of Student's t at that
    level: its degrees of freedom (Satterthwaite 1946) say how much of the variance is known from few seeds only.
    """
    rng, found, deviations = np.random.default_rng(0), {name: np.full(2, math.nan) for name in sampled}, {}
    for name, values in sampled.items():
        mean, drawn = values[:, 0].mean(), values[:, 1:].mean(axis=0)
        deviations[name] = drawn - mean + seeds_error(values) * rng.standard_normal(drawn.shape)
    errors = {name: float(drawn.std()) for name, drawn in deviations.items() if not np.isnan(drawn).any()}
    scaled = [np.abs(deviations[name]) / error for name, error in errors.items() if error > 0]
    level = 2 * ndtr(-np.quantile(np.max(scaled, axis=0), LEVEL)) if scaled else 1 - LEVEL
    for name, error in errors.items():
        half = stdtrit(freedom(sampled[name], sources), 1 - level / 2) * error if error > 0 else 0.0
        found[name] = sampled[name][:, 0].mean() + np.array([-half, half])
    return found


def seeds_error(sampled: Float[np.ndarray, "seeds samples"]) -> float:
    """Standard error of a mean over seeds; 0 for a single one, which says nothing of others."""
    return float(sampled[:, 0].std(ddof=1)) / math.sqrt(len(sampled)) if len(sampled) > 1 else 0.0


def freedom(sampled: Float[np.ndarray, "seeds samples"], sources: int) -> float:
    """Degrees of freedom of the standard error of a mean over seeds and sources (Satterthwaite 1946)."""
    of_sources, of_seeds = float(sampled[:, 1:].mean(axis=0).var()), seeds_error(sampled) ** 2
    squares = of_sources**2 / (sources - 1) + of_seeds**2 / max(len(sampled) - 1, 1)
    return (of_sources + of_seeds) ** 2 / squares


def from_full(sampled: Mapping[str, Float[np.ndarray, "seeds samples"]], sources: int) -> dict[str, FromFull]:
    """The differences of all rows in one statistic, with both kinds of interval."""
    found = {}
    for name, (low, high) in together(sampled, sources).items():
        verdict: Verdict = "loses" if high < 0 else "gains" if low > 0 else "not told apart"
        own = estimate(sampled[name])
        found[name] = FromFull(**vars(own), all_low=low, all_high=high, verdict=None if math.isnan(low) else verdict)
    return found


def estimate(sampled: Float[np.ndarray, "seeds samples"]) -> Difference:
    """The mean over seeds with its 95 % interval, from the value of each seed and its bootstrap samples; NaN where the
    statistic is not defined for a seed, and no interval where it is not for some sample."""
    mean, samples = float(sampled[:, 0].mean()), over_seeds(sampled[:, 1:])
    if math.isnan(mean) or np.isnan(samples).any():
        return Difference(mean, math.nan, math.nan)
    bounds = interval(samples)
    return Difference(mean, bounds.low, bounds.high)
