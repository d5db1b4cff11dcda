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
from msma.evaluation.robustness.cell_result import CellResult, SuiteResult
from msma.metrics import Draws, Measured, draw_sources, relative_gain, resampled_means, retained
from msma.types import MODALITIES, TRAITS


@dataclass(frozen=True)
class Left:
    """What is left in one cell; means over traits."""

    skill: Measured
    mean_accuracy: Measured
    retention: Measured
    """NaN where the clean skill is not above 0."""


@dataclass(frozen=True)
class GroupLeft:
    """One value of a column."""

    clips: int
    sources: int
    clean: Left
    cells: dict[str, Left]
    """By name of the cell."""
    mean_retention: Measured
    minus_rest: Difference | None
    """Mean retention minus that of all other clips. None where value or rest have fewer than MIN_SOURCES sources;
    without an interval (NaN) where the clean skill of either is not above 0 in every bootstrap sample."""


@dataclass(frozen=True)
class ColumnLeft:
    """What is left by group, for one column of the manifest."""

    clear: bool
    """Does any interval exclude 0?"""
    groups: dict[str, GroupLeft]
    """By value."""
    largest: str | None
    """The value whose mean retention differs most from the rest."""
    comparisons: int
    """Of the whole report, over all columns: what the level is adjusted to."""


@dataclass(frozen=True)
class LeftByGroup:
    """What is left of the skill in each group of people."""

    columns: dict[str, ColumnLeft]
    """By column of the manifest."""
    skipped: dict[str, str]
    """Columns of the manifest that make no slices, and why."""


@dataclass(frozen=True)
class Errors:
    """Absolute errors clip by clip, on the traits that are predicted and labelled."""

    names: list[str]
    """Of the cells, without the clean one."""
    weights: Float64[np.ndarray, " cells"]
    """Of the cells in mean retention; they sum to 1."""
    cells: Float64[np.ndarray, "cells_and_clean clips traits"]
    """The clean one last."""
    constant: Float64[np.ndarray, "clips traits"]


def slice_suite(
    suite: SuiteResult,
    rows: Sequence[Row],
    constant: Float[np.ndarray, "clips 5"],
    slices: Sequence[str] | None = None,
) -> LeftByGroup:
    """By column of the manifest and value, with simultaneous 95 % confidence intervals (docs/metrics.md).

    `rows` are those of the clean cell's clips, `constant` their constant prediction. MsmaError where there is no column
    of a name in `slices`.
    """
    common = set.intersection(*(set(result.predictions) for result in (suite.clean, *suite.cells)))
    kept = np.array([row.clip in common for row in rows], dtype=bool)
    some = [row for row in rows if row.clip in common]
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
        ours, theirs = (mean_retention(errors, skills(errors, draws, side)) for side in (members, ~members))
        apart = ours - theirs
        half = math.nan if np.isnan(apart).any() else float(half_widths(apart[1:, None], sources, comparisons)[0])
        difference = Difference(float(apart[0]), float(apart[0]) - half, float(apart[0]) + half)
        found[column][value] = replace(found[column][value], minus_rest=difference)
    return LeftByGroup({column: column_left(groups, comparisons) for column, groups in found.items()}, skipped)


def errors_of(suite: SuiteResult, rows: Sequence[Row], constant: Float[np.ndarray, "clips 5"]) -> Errors:
    places = [TRAITS.index(trait) for trait in suite.constant]  # in the order of the predictions
    target = targets(rows)[:, places]
    labelled = ~np.isnan(target).all(axis=0)
    target = target[:, labelled]

    def error(result: CellResult) -> Float64[np.ndarray, "clips traits"]:
        predicted = [list(result.predictions[row.clip].traits.values()) for row in rows]
        return np.abs(np.array(predicted)[:, labelled] - target)

    left = [result for result in suite.cells if result.cell.removed != set(MODALITIES)]
    scenarios = [result.cell.scenario for result in left]
    return Errors(
        names=[result.cell.name for result in left],
        weights=np.array([1 / scenarios.count(name) for name in scenarios]) / max(len(set(scenarios)), 1),
        cells=np.stack([error(result) for result in (*left, suite.clean)]),
        constant=np.abs(constant[:, places][:, labelled] - target),
    )


def group_left(errors: Errors, draws: Draws, members: Bool[np.ndarray, " clips"]) -> GroupLeft:
    """Without the difference from the rest."""
    skill = skills(errors, replace(draws, counts=draws.counts[:0]), members)
    accuracy = 1 - errors.cells[:, members].mean(axis=(1, 2))
    retention = retained(skill[0], skill[0, -1])
    *cells, clean = (Left(*map(float, values)) for values in zip(skill[0], accuracy, retention, strict=True))
    return GroupLeft(
        clips=int(members.sum()),
        sources=len(np.unique(draws.source_of[members])),
        clean=clean,
        cells=dict(zip(errors.names, cells, strict=True)),
        mean_retention=float(mean_retention(errors, skill)[0]),
        minus_rest=None,
    )


def skills(
    errors: Errors, draws: Draws, rows: Bool[np.ndarray, " clips"]
) -> Float64[np.ndarray, "samples cells_and_clean"]:
    """On some clips, mean over traits: as they are, and in every bootstrap sample."""
    cells, clips, traits = errors.cells.shape
    columns = np.hstack([errors.cells.transpose(1, 0, 2).reshape(clips, -1), errors.constant])
    once = replace(draws, counts=np.vstack([np.ones(draws.sources), draws.counts]))
    error, constant = np.split(resampled_means(columns, once, rows).reshape(-1, cells + 1, traits), [cells], axis=1)
    return relative_gain(error, np.broadcast_to(constant, error.shape)).mean(axis=-1)


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
