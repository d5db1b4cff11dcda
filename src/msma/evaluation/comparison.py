"""Two sets of predictions on the same clips."""

from __future__ import annotations

import math
from typing import Annotated

import numpy as np
from jaxtyping import Float

from msma.evaluation.disparities import Difference
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
    """Clips in both; no others count."""
    sources: int
    differences: Annotated[
        dict[str, Annotated[dict[str, Difference], OF_TRAITS]], Keys(("ccc", "mean_accuracy"), ("skill",))
    ]
    """The differences by metric (`skill` where a constant is known) and trait."""


class Comparison(Paired):
    """The paired difference from the predictions of another file."""

    file: str


def compare(first: Predictions, second: Predictions, constant: Float[np.ndarray, "clips 5"] | None = None) -> Paired:
    """First minus second on the clips and traits that both have, with 95 % intervals by bootstrap over sources.

    Paired: both are scored on the same sources in each sample; with one source the interval is NaN. `constant` is the
    constant prediction for the clips of `first`; without it there is no skill. MsmaError without a common clip.
    """
    at = {clip: index for index, clip in enumerate(second.clips)}
    ours = [index for index, clip in enumerate(first.clips) if clip in at]
    if not ours:
        raise MsmaError("the two predictions have no clip in common; give predictions for the same split")
    both = first.at(ours), second.at([at[first.clips[index]] for index in ours])
    target = np.where(np.isnan(both[1].target), np.nan, both[0].target)
    labelled = labelled_traits(target)
    if not labelled.any():
        raise MsmaError("the two predictions have no trait in common")
    base = target if constant is None else constant[ours]
    draws = draw_sources(both[0].sources)
    values = [all_metrics(one.predicted, target, base) for one in both]
    samples = [resampled_metrics(one.predicted, target, base, draws) for one in both]
    differences: dict[str, dict[str, Difference]] = {}
    for metric in (name for name in RESAMPLED if constant is not None or name != "skill"):
        drawn = samples[0][metric] - samples[1][metric]
        columns = np.column_stack([drawn, drawn.mean(axis=1)]).T
        differences[metric] = {}
        for name, column in zip((*names_of(labelled), "mean"), columns, strict=True):
            bounds = interval(column) if draws.sources > 1 else Interval(math.nan, math.nan)
            differences[metric][name] = Difference(
                values[0][metric][name] - values[1][metric][name], bounds.low, bounds.high
            )
    return Paired(clips=len(ours), sources=draws.sources, differences=differences)
