"""The scores on arrays of predictions: metrics beside what can be had without media, by source and by group."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Annotated

import numpy as np
from jaxtyping import Bool, Float
from pydantic import model_validator

from msma.evaluation.baselines import Baselines
from msma.evaluation.gaps import MIN_SOURCES, Gap, clips_with, gaps
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
    """95 % by bootstrap over sources; null where there are too few sources."""

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
    """By column of the manifest and value."""
    skipped: dict[str, str]
    """Columns of the manifest that make no slices, and why."""


class Scored(ClipScores):
    """The scores on a split and its slices."""

    slices: Slices
    gaps: dict[str, Gap]
    """By column of the manifest."""

    @model_validator(mode="after")
    def slices_are_of_the_same_traits(self) -> Scored:
        of_values = [part for parts in self.slices.columns.values() for part in parts.values()]
        for part in (self.slices.seen_source, self.slices.unseen_source, *of_values):
            if part.metrics["ccc"].keys() != self.metrics["ccc"].keys():
                raise ValueError("slices are not of the same traits as the whole")
        return self


def score(
    predicted: Float[np.ndarray, "clips 5"],
    target: Float[np.ndarray, "clips 5"],
    sources: Sequence[str],
    baselines: Baselines,
    columns: Mapping[str, Sequence[str]] | None = None,
    skipped: Mapping[str, str] | None = None,
) -> Scored:
    """Score predictions on whole splits: the one way of `msma evaluate`, `msma score` and cross-validation.

    Arrays are in OCEAN order; `target` is NaN for traits without labels, which have no scores. `baselines` may differ
    from clip to clip (each fold has its own). `columns` has a value for each clip; `skipped` says why other columns
    make no slices.

    Raises:
        ValueError: no clip, or a value of a labelled trait that is not finite.
    """
    columns = columns or {}
    labelled, draws = labelled_traits(target), draw_sources(sources)

    def scores_on(rows: Bool[np.ndarray, " clips"], least: int = MIN_SOURCES) -> ClipScores:
        return clip_scores(predicted, target, baselines, labelled, draws, rows, least)

    slices = Slices(
        seen_source=scores_on(baselines.seen),
        unseen_source=scores_on(~baselines.seen),
        columns={
            column: {value: scores_on(clips_with(value, values)) for value in sorted(set(values))}
            for column, values in columns.items()
        },
        skipped=dict(skipped or {}),
    )
    whole = scores_on(np.ones(len(target), dtype=bool), least=2)
    return Scored(**dict(whole), slices=slices, gaps=gaps(predicted, target, labelled, columns, draws))


def clip_scores(
    predicted: Float[np.ndarray, "clips 5"],
    target: Float[np.ndarray, "clips 5"],
    baselines: Baselines,
    labelled: Bool[np.ndarray, "5"],
    draws: Draws,
    rows: Bool[np.ndarray, " clips"],
    least: int,
) -> ClipScores:
    """The scores on `rows`; with fewer than `least` sources the intervals are NaN."""
    clips, sources = int(rows.sum()), len(np.unique(draws.source_of[rows]))
    names = (*names_of(labelled), "mean")
    constant = baselines.constant

    def metrics(answer: Float[np.ndarray, "clips 5"]) -> Metrics:
        known = all_metrics(answer[rows], target[rows], constant[rows]) if clips else {}
        undefined = METRICS if not clips else OF_TWO if clips == 1 else ()
        return known | {name: dict.fromkeys(names, math.nan) for name in undefined}

    answered = metrics(predicted)
    intervals = {name: dict.fromkeys(names, Interval(math.nan, math.nan)) for name in RESAMPLED}
    if sources >= least:
        samples = resampled_metrics(predicted, target, constant, draws, rows)
        for name, drawn in samples.items():
            columns = (*drawn.T, drawn.mean(axis=1))
            intervals[name] = {trait: interval(column) for trait, column in zip(names, columns, strict=True)}
    return ClipScores(
        clips=clips,
        sources=sources,
        metrics=answered,
        intervals=intervals,
        baselines={"constant": metrics(constant), "same_source": metrics(baselines.same_source)},
    )
