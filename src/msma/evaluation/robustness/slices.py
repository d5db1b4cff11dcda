"""Retention by group of people: from the predictions in the cells of a suite, and the labels.

Retention of a group is its skill in a cell over its own clean skill. Its mean is over the scenarios in which something
is left, each over its severities. Only clips with a prediction in every cell count, so that all cells are of the same
clips.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float, Float64

from msma.data.corpora.manifest import Row, targets
from msma.evaluation.disparities import Difference, clips_with, compared_groups, half_widths
from msma.evaluation.evaluation import slice_columns
from msma.evaluation.predictions import trait_array
from msma.evaluation.robustness.cell_result import SuiteResult
from msma.metrics import (
    Draws,
    Interval,
    Measured,
    draw_sources,
    interval,
    labelled_traits,
    relative_gain,
    resampled_means,
    retained,
)
from msma.types import MODALITIES, TRAITS


@dataclass(frozen=True)
class Left:
    """The scores in one cell; means over traits."""

    skill: Measured
    mean_accuracy: Measured
    retention: Measured
    """NaN where the clean skill is not above 0."""


@dataclass(frozen=True)
class GroupLeft:
    """One value of a column, clean and in each cell."""

    clips: int
    sources: int
    clean: Left
    cells: dict[str, Left]
    mean_retention: Measured
    minus_rest: Difference | None
    """Mean retention minus that of all other clips. None where value or rest have fewer than MIN_SOURCES sources;
    without an interval (NaN) where the clean skill of either is not above 0 in every bootstrap sample."""


@dataclass(frozen=True)
class ColumnLeft:
    """The skill that is left in each group of one column of the manifest."""

    clear: bool
    """Does any interval exclude 0?"""
    groups: dict[str, GroupLeft]
    largest: str | None
    """The value whose mean retention differs most from the rest."""
    comparisons: int
    """All comparisons of the report, over all columns, to which the level is adjusted."""


@dataclass(frozen=True)
class LeftByGroup:
    """The skill that is left in each group of people, for each column of the manifest."""

    columns: dict[str, ColumnLeft]
    skipped: dict[str, str]
    """Columns of the manifest that make no slices, and why."""


@dataclass(frozen=True)
class Errors:
    """Absolute errors clip by clip, on the traits that are predicted and labelled."""

    names: list[str]
    """The cells, without the clean one."""
    weights: Float64[np.ndarray, " cells"]
    """Weights of the cells in mean retention; they sum to 1."""
    columns: Float64[np.ndarray, "clips cells_clean_and_constant_by_trait"]


def slice_suite(
    suite: SuiteResult,
    rows: Sequence[Row],
    constant: Float[np.ndarray, "clips 5"],
    slices: Sequence[str] | None = None,
) -> LeftByGroup:
    """Retention for each column of the manifest and value, with simultaneous 95 % confidence intervals.

    `rows` are those of the clean cell's clips, `constant` their constant prediction; `slices` as in `evaluation_of`.
    """
    some, kept = in_every_cell(suite, rows)
    if not some:
        return LeftByGroup({}, {})
    columns, skipped = slice_columns(some, slices)
    errors, draws = errors_of(suite, some, constant[kept]), draw_sources([row.source for row in some])
    compared, comparisons = compared_groups(columns, draws)
    found = {
        column: {value: group_left(errors, draws, clips_with(value, values)) for value in sorted(set(values))}
        for column, values in columns.items()
    }
    for (column, value), (members, sources) in compared.items():
        ours, theirs = (mean_retention(errors, scores_on(errors, draws, side)[0]) for side in (members, ~members))
        apart = ours - theirs
        half = math.nan if np.isnan(apart).any() else float(half_widths(apart[1:, None], sources, comparisons)[0])
        difference = Difference(float(apart[0]), float(apart[0]) - half, float(apart[0]) + half)
        found[column][value] = replace(found[column][value], minus_rest=difference)
    return LeftByGroup({column: column_left(groups, comparisons) for column, groups in found.items()}, skipped)


def effective_interval(suite: SuiteResult, rows: Sequence[Row], constant: Float[np.ndarray, "clips 5"]) -> Interval:
    """The 95 % interval of effective robustness, mean over the cells of the suite, by bootstrap over sources.

    The network and the static late fusion are scored on the same sources in each sample. `rows` and `constant` as in
    `slice_suite`. NaN with a single source, without a cell, for a network of one modality, and where the late fusion
    has no clean skill in any sample.
    """
    some, kept = in_every_cell(suite, rows)
    draws = draw_sources([row.source for row in some])
    if suite.reads != MODALITIES or draws.sources < 2 or not suite.cells:
        return Interval(math.nan, math.nan)
    ours, late = (
        scores_on(errors_of(suite, some, constant[kept], output), draws, np.ones(len(some), bool))[0][1:]
        for output in ("traits", "late_fusion")
    )
    above = (ours[:, :-1] - ours[:, -1:] * retained(late[:, :-1], late[:, -1:])).mean(axis=1)
    return Interval(math.nan, math.nan) if np.isnan(above).all() else interval(above)


def in_every_cell(suite: SuiteResult, rows: Sequence[Row]) -> tuple[list[Row], Bool[np.ndarray, " clips"]]:
    """The rows with a prediction in every cell, and which of `rows` these are."""
    common = set.intersection(*(set(result.predictions) for result in (suite.clean, *suite.cells)))
    kept = np.array([row.clip in common for row in rows], dtype=bool)
    return [row for row in rows if row.clip in common], kept


def errors_of(
    suite: SuiteResult, rows: Sequence[Row], constant: Float[np.ndarray, "clips 5"], output: str = "traits"
) -> Errors:
    """Those of the predictions, or of the `late_fusion` that the network is compared with."""
    target = targets(rows)
    used = labelled_traits(target) & np.array([trait in suite.constant for trait in TRAITS])
    left = [result for result in suite.cells if not result.cell.leaves_nothing]
    scenarios = [result.cell.scenario for result in left]
    predicted = [
        trait_array([getattr(one.predictions[row.clip], output) for row in rows]) for one in (*left, suite.clean)
    ]
    return Errors(
        names=[result.cell.name for result in left],
        weights=np.array([1 / scenarios.count(name) for name in scenarios]) / max(len(set(scenarios)), 1),
        columns=np.hstack([np.abs(scores - target)[:, used] for scores in (*predicted, constant)]),
    )


def group_left(errors: Errors, draws: Draws, members: Bool[np.ndarray, " clips"]) -> GroupLeft:
    """Without the difference from the rest."""
    skill, accuracy = scores_on(errors, replace(draws, counts=draws.counts[:0]), members)
    retention = retained(skill[0], skill[0, -1])
    *cells, clean = (Left(*map(float, values)) for values in zip(skill[0], accuracy[0], retention, strict=True))
    return GroupLeft(
        clips=int(members.sum()),
        sources=len(np.unique(draws.source_of[members])),
        clean=clean,
        cells=dict(zip(errors.names, cells, strict=True)),
        mean_retention=float(mean_retention(errors, skill)[0]),
        minus_rest=None,
    )


def scores_on(
    errors: Errors, draws: Draws, rows: Bool[np.ndarray, " clips"]
) -> tuple[Float64[np.ndarray, "samples cells_and_clean"], Float64[np.ndarray, "samples cells_and_clean"]]:
    """Skill and mean accuracy on some clips, means over traits: as they are, then in every bootstrap sample."""
    once = replace(draws, counts=np.vstack([np.ones(draws.sources), draws.counts]))
    means = resampled_means(errors.columns, once, rows).reshape(len(once.counts), len(errors.names) + 2, -1)
    error, constant = means[:, :-1], np.broadcast_to(means[:, -1:], means[:, :-1].shape)
    return relative_gain(error, constant).mean(axis=-1), 1 - error.mean(axis=-1)


def mean_retention(
    errors: Errors, skill: Float64[np.ndarray, "samples cells_and_clean"]
) -> Float64[np.ndarray, " samples"]:
    """NaN where the clean skill is not above 0, or where no cell is left."""
    if not errors.names:
        return np.full(len(skill), math.nan)
    return retained(skill[:, :-1] @ errors.weights, skill[:, -1])


def column_left(groups: dict[str, GroupLeft], comparisons: int) -> ColumnLeft:
    apart = {value: group.minus_rest for value, group in groups.items() if group.minus_rest is not None}
    sizes = {value: abs(one.difference) for value, one in apart.items() if not math.isnan(one.difference)}
    clear = any(one.clear for one in apart.values())
    return ColumnLeft(clear, groups, max(sizes, key=sizes.__getitem__, default=None), comparisons)
