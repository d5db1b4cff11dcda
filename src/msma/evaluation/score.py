"""Scores of predictions: metrics beside media-free baselines, by source and by group."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Annotated

import numpy as np
from jaxtyping import Bool, Float
from pydantic import model_validator

from msma.evaluation.baselines import Baselines
from msma.evaluation.disparities import MIN_SOURCES, Disparities, clips_with, disparities
from msma.evaluation.predictions import Predictions
from msma.evaluation.result_file import Result
from msma.metrics import (
    METRICS,
    OF_TRAITS,
    RESAMPLED,
    Draws,
    Interval,
    Keys,
    Metrics,
    all_metrics,
    draw_sources,
    interval,
    labelled_traits,
    names_of,
    resampled_metrics,
)

OF_TWO = ("ccc", "pcc", "r2", "spread_ratio")
"""Metrics that say nothing of a single clip: NaN there."""


class ClipScores(Result):
    """The scores on some clips, beside what is reached on the same clips without media."""

    clips: int
    sources: int
    metrics: Metrics
    intervals: Annotated[dict[str, Annotated[dict[str, Interval], OF_TRAITS]], Keys(RESAMPLED)]
    """95 % intervals by bootstrap over sources; null where there are too few sources."""

    baselines: Annotated[dict[str, Metrics], Keys(("constant", "same_source"), ("ridge",))]
    """Mean training label, mean training label of the same source; `ridge` from `msma crossval` alone."""

    @model_validator(mode="after")
    def of_the_same_traits(self) -> ClipScores:
        traits = self.metrics["ccc"].keys()
        tables = (self.metrics, self.intervals, *self.baselines.values())
        if any(by_trait.keys() != traits for table in tables for by_trait in table.values()):
            raise ValueError("metrics and intervals are not of the same traits")
        return self


class Slices(Result):
    """The scores on parts of a split."""

    seen_source: ClipScores
    """Clips whose source is in training too."""
    unseen_source: ClipScores
    columns: dict[str, dict[str, ClipScores]]
    """The scores by column of the manifest and value."""
    skipped: dict[str, str]
    """Columns of the manifest that make no slices, and why."""


class Scored(ClipScores):
    """The scores on a split and its slices."""

    slices: Slices
    disparities: dict[str, Disparities]
    """The disparities between groups by column of the manifest."""

    @model_validator(mode="after")
    def slices_are_of_the_same_traits(self) -> Scored:
        of_values = [part for parts in self.slices.columns.values() for part in parts.values()]
        for part in (self.slices.seen_source, self.slices.unseen_source, *of_values):
            if part.metrics["ccc"].keys() != self.metrics["ccc"].keys():
                raise ValueError("slices are not of the same traits as the whole")
        return self


def score(
    predictions: Predictions,
    baselines: Baselines,
    columns: Mapping[str, Sequence[str]] | None = None,
    skipped: Mapping[str, str] | None = None,
) -> Scored:
    """Score predictions on whole splits: the one way of `msma evaluate`, `msma score` and cross-validation.

    Traits without labels have no scores. `baselines` may differ from clip to clip (each fold has its own). `columns`
    has a value for each clip; `skipped` says why other columns make no slices. ValueError without a clip, or where a
    value of a labelled trait is not finite.
    """
    columns, draws = columns or {}, draw_sources(predictions.sources)
    scores_on = partial(clip_scores, predictions, baselines, draws=draws)
    slices = Slices(
        seen_source=scores_on(baselines.seen),
        unseen_source=scores_on(~baselines.seen),
        columns={
            column: {value: scores_on(clips_with(value, values)) for value in sorted(set(values))}
            for column, values in columns.items()
        },
        skipped=dict(skipped or {}),
    )
    return Scored(**dict(scores_on()), slices=slices, disparities=disparities(predictions, columns, draws))


def clip_scores(
    predictions: Predictions,
    baselines: Baselines,
    rows: Bool[np.ndarray, " clips"] | None = None,
    draws: Draws | None = None,
) -> ClipScores:
    """The scores on all clips, or on a part, `rows`; `draws` are of the sources of all clips. Intervals are NaN where
    all clips are of one source, or a part is of fewer than MIN_SOURCES."""
    least = 2 if rows is None else MIN_SOURCES
    rows = np.ones(len(predictions.clips), dtype=bool) if rows is None else rows
    draws = draws or draw_sources(predictions.sources)
    clips, sources = int(rows.sum()), len(np.unique(draws.source_of[rows]))
    target, constant = predictions.target, baselines.constant
    names = (*names_of(labelled_traits(target)), "mean")

    def metrics(predicted: Float[np.ndarray, "clips 5"]) -> Metrics:
        known = all_metrics(predicted[rows], target[rows], constant[rows]) if clips else {}
        undefined = METRICS if not clips else OF_TWO if clips == 1 else ()
        return known | {name: dict.fromkeys(names, math.nan) for name in undefined}

    intervals = {name: dict.fromkeys(names, Interval(math.nan, math.nan)) for name in RESAMPLED}
    if sources >= least:
        for name, drawn in resampled_metrics(predictions.predicted, target, constant, draws, rows).items():
            columns = (*drawn.T, drawn.mean(axis=1))
            intervals[name] = {trait: interval(column) for trait, column in zip(names, columns, strict=True)}
    return ClipScores(
        clips=clips,
        sources=sources,
        metrics=metrics(predictions.predicted),
        intervals=intervals,
        baselines={"constant": metrics(constant), "same_source": metrics(baselines.same_source)},
    )
