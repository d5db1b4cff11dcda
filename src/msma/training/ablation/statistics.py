"""Measures inside a network, and their statistics over several seeds. Pure functions on arrays.

A seed trains another network; every network predicts the same clips. So both are drawn: an interval by bootstrap over
seeds and sources, crossed (docs/ablations.md).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float

from msma.evaluation.disparities import Difference
from msma.evaluation.results import Spread
from msma.metrics import interval, mean_of_known

Attention = Float[np.ndarray, "heads queries keys"]
"""The attention of one clip; each row sums to 1."""


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
    """Entropy of the attention of `queries` over that of even attention to every key that is kept, in [0, 1]; NaN
    without queries, or where fewer than two keys are kept."""
    rows = attention[:, queries].astype(np.float64)
    kept = int((rows > 0).any(axis=(0, 1)).sum())
    if not rows.size or kept < 2:
        return math.nan
    entropy = -np.sum(rows * np.log(np.where(rows > 0, rows, 1.0)), axis=-1)
    return float(entropy.mean() / math.log(kept))


def spread(by_seed: Sequence[float]) -> Spread:
    values = tuple(float(value) for value in by_seed)
    known = [value for value in values if not math.isnan(value)] or [math.nan]
    return Spread(mean_of_known(values), min(known), max(known), values)


def over_seeds(drawn: Float[np.ndarray, "seeds draws"], seed: int = 0) -> Float[np.ndarray, " draws"]:
    """The mean over seeds in each bootstrap sample: `drawn` has resampled the sources, the seeds are drawn here.

    One seed fewer than there are is drawn (Rao and Wu 1988): with as many as there are, the variance of the mean of so
    few would come out too small, by a third for three. With a single seed there is nothing to draw.
    """
    seeds, draws = drawn.shape
    chosen = np.random.default_rng(seed).integers(seeds, size=(max(seeds - 1, 1), draws))
    return np.take_along_axis(drawn, chosen, axis=0).mean(axis=0)


def estimate(sampled: Float[np.ndarray, "seeds samples"]) -> Difference:
    """The mean over seeds with its 95 % interval, from the value of each seed and its bootstrap samples; NaN where the
    statistic is not defined for a seed, and no interval where it is not for some sample."""
    mean, samples = float(sampled[:, 0].mean()), over_seeds(sampled[:, 1:])
    if math.isnan(mean) or np.isnan(samples).any():
        return Difference(mean, math.nan, math.nan)
    bounds = interval(samples)
    return Difference(mean, bounds.low, bounds.high)
