"""Statistics over several seeds: mean and range, and intervals over seeds and sources.

A seed trains another network; every network predicts the same clips. So both are drawn: an interval by bootstrap over
seeds and sources, crossed (docs/ablations.md).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from msma.evaluation.disparities import Difference
from msma.evaluation.results import Spread
from msma.metrics import interval, mean_of_known


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


def estimate(by_seed: Sequence[float], drawn: Float[np.ndarray, "seeds draws"]) -> Difference:
    """The mean over seeds with its 95 % interval.

    NaN where the statistic is not defined for a seed; no interval where it is not for some sample.
    """
    mean, samples = float(np.mean(by_seed)), over_seeds(drawn)
    if math.isnan(mean) or np.isnan(samples).any():
        return Difference(mean, math.nan, math.nan)
    bounds = interval(samples)
    return Difference(mean, bounds.low, bounds.high)
