"""Two sets of predictions on the same clips."""

from __future__ import annotations

import math
from typing import Annotated

import numpy as np
from jaxtyping import Float

from msma.evaluation.gaps import Difference
from msma.evaluation.predictions import Predictions
from msma.evaluation.result_file import Result
from msma.metrics import (
    OF_TRAITS,
    RESAMPLED,
    Interval,
    Keys,
    all_metrics,
    draw_sources,
    interval,
    labelled_traits,
    names_of,
    resampled_metrics,
)
from msma.types import MsmaError


class Paired(Result):
    """How much higher the metrics of the first predictions are than those of the second."""

    clips: int
    """That both have; nothing else is looked at."""
    sources: int
    differences: Annotated[
        dict[str, Annotated[dict[str, Difference], OF_TRAITS]], Keys(("ccc", "mean_accuracy"), ("skill",))
    ]
    """By metric (`skill` where a constant is known) and trait."""


class Comparison(Paired):
    """The paired difference from the predictions of another file."""

    file: str


def compare(first: Predictions, second: Predictions, constant: Float[np.ndarray, "clips 5"] | None = None) -> Paired:
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
    return Paired(clips=len(ours), sources=draws.sources, differences=differences)
