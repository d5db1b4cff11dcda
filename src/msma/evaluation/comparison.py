"""Two sets of predictions on the same clips."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from msma.evaluation.gaps import Difference
from msma.evaluation.predictions import Predictions
from msma.metrics import (
    RESAMPLED,
    Interval,
    all_metrics,
    draw_sources,
    interval,
    labelled_traits,
    names_of,
    resampled_metrics,
)
from msma.types import MsmaError


@dataclass(frozen=True)
class Comparison:
    """How much higher the metrics of the first predictions are than those of the second."""

    clips: int
    """That both have; nothing else is looked at."""
    sources: int
    differences: dict[str, dict[str, Difference]]
    """`[metric][trait or mean]`: `ccc`, `mean_accuracy` and, where a constant is known, `skill`."""


def compare(
    first: Predictions, second: Predictions, constant: Float[np.ndarray, "clips 5"] | None = None
) -> Comparison:
    """First minus second on the clips and traits that both have, with 95 % intervals by bootstrap over sources.

    Paired: both are scored on the same sources in each sample; with one source the interval is NaN. `constant` is the
    constant prediction for the clips of `first`; without it there is no skill.

    Raises:
        MsmaError: they have no clip or no trait in common.
    """
    at = {clip: index for index, clip in enumerate(second.clips)}
    pairs = [(index, at[clip]) for index, clip in enumerate(first.clips) if clip in at]
    if not pairs:
        raise MsmaError("the two predictions have no clip in common; give predictions for the same split")
    ours, theirs = np.array(pairs).T
    target = np.where(np.isnan(second.target[theirs]), np.nan, first.target[ours])
    labelled = labelled_traits(target)
    if not labelled.any():
        raise MsmaError("the two predictions have no trait in common")
    base = target if constant is None else constant[ours]
    draws = draw_sources([first.sources[index] for index in ours])
    everything = np.ones(len(ours), dtype=bool)
    values, samples = [], []
    for predicted in (first.predicted[ours], second.predicted[theirs]):
        values.append(all_metrics(predicted, target, base))
        samples.append(resampled_metrics(predicted, target, base, draws, everything))
    differences: dict[str, dict[str, Difference]] = {}
    for metric in RESAMPLED:
        if metric == "skill" and constant is None:
            continue
        drawn = samples[0][metric] - samples[1][metric]
        columns = {**dict(zip(names_of(labelled), drawn.T, strict=True)), "mean": drawn.mean(axis=1)}
        differences[metric] = {}
        for name, column in columns.items():
            bounds = interval(column) if draws.sources > 1 else Interval(math.nan, math.nan)
            centre = values[0][metric][name] - values[1][metric][name]
            differences[metric][name] = Difference(centre, bounds.low, bounds.high)
    return Comparison(len(ours), draws.sources, differences)
