"""The scores on arrays of predictions: metrics beside what can be had without media, by source and by group."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from msma.evaluation.baselines import Baselines
from msma.evaluation.gaps import MIN_SOURCES, Gap, clips_with, gaps
from msma.metrics import (
    METRICS,
    RESAMPLED,
    Draws,
    Interval,
    all_metrics,
    draw_sources,
    interval,
    labelled_traits,
    names_of,
    resampled_metrics,
)

OF_TWO = ("ccc", "pcc", "r2", "spread_ratio")
"""Metrics that say nothing of a single clip: NaN there."""

Metrics = dict[str, dict[str, float]]


@dataclass(frozen=True)
class Part:
    """The scores on some clips. `metrics[name][trait]`, and `mean` among the traits; NaN where not defined."""

    clips: int
    sources: int
    metrics: Metrics
    baselines: dict[str, Metrics]
    """`constant` and `same_source` on the same clips."""
    intervals: dict[str, dict[str, Interval]]
    """95 % by bootstrap over sources, for `ccc`, `mean_accuracy` and `skill`; NaN where there are too few sources."""


@dataclass(frozen=True)
class Scored:
    """The scores on a split and its slices."""

    whole: Part
    seen_source: Part
    """Clips whose source is in training too."""
    unseen_source: Part
    columns: dict[str, dict[str, Part]]
    """By column and value."""
    gaps: dict[str, Gap]
    """By column."""


def score(
    predicted: Float[np.ndarray, "clips 5"],
    target: Float[np.ndarray, "clips 5"],
    sources: Sequence[str],
    baselines: Baselines,
    columns: Mapping[str, Sequence[str]] | None = None,
) -> Scored:
    """Score predictions on whole splits: the one way of `msma evaluate`, `msma score` and cross-validation.

    Arrays are in OCEAN order; `target` is NaN for traits without labels, which have no scores. `baselines` may differ
    from clip to clip (each fold has its own). `columns` has a value for each clip.

    Raises:
        ValueError: no clip, or a value of a labelled trait that is not finite.
    """
    columns = columns or {}
    labelled, draws = labelled_traits(target), draw_sources(sources)

    def part(rows: Bool[np.ndarray, " clips"], least: int = MIN_SOURCES) -> Part:
        return part_of(predicted, target, baselines, labelled, draws, rows, least)

    return Scored(
        whole=part(np.ones(len(target), dtype=bool), least=2),
        seen_source=part(baselines.seen),
        unseen_source=part(~baselines.seen),
        columns={
            column: {value: part(clips_with(value, values)) for value in sorted(set(values))}
            for column, values in columns.items()
        },
        gaps=gaps(predicted, target, labelled, columns, draws),
    )


def part_of(
    predicted: Float[np.ndarray, "clips 5"],
    target: Float[np.ndarray, "clips 5"],
    baselines: Baselines,
    labelled: Bool[np.ndarray, "5"],
    draws: Draws,
    rows: Bool[np.ndarray, " clips"],
    least: int,
) -> Part:
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
    return Part(
        clips,
        sources,
        answered,
        {"constant": metrics(constant), "same_source": metrics(baselines.same_source)},
        intervals,
    )
