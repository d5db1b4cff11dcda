"""The tables of groups of people: their scores, what they keep on corrupted clips, and which disparities are clear."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TypeVar

from msma.evaluation.disparities import Difference, Disparities, GroupDisparity, Largest
from msma.evaluation.evaluation import Evaluation
from msma.evaluation.robustness.slices import GroupLeft, LeftByGroup
from msma.evaluation.score import ClipScores
from msma.metrics import RESAMPLED
from msma.reports.numbers import difference, metric_cells, metric_name, number, one_line, signed, span
from msma.reports.table import Block, Row, Table

MAX_GROUPS = 20
"""Values of a column in a table; the JSON has all."""
GroupT = TypeVar("GroupT", ClipScores, GroupLeft)
SIMULTANEOUS = "simultaneous 95 % confidence intervals of all {} comparisons"


def group_blocks(found: Evaluation, column: str) -> Iterator[Block]:
    """The scores by value of a column, largest groups first, and which group disparities are clear."""
    by_value, between = found.slices.columns[column], found.disparities[column]
    # Each against the rest: of two values each is the rest of the other, so that one says it all.
    compared = list(between.groups.items())[: 1 if len(by_value) == 2 else None]
    traits = found.metrics["bias"]
    rows = []
    for head, part in largest(by_value):
        bias = (signed(part.metrics["bias"][trait]) for trait in traits)
        rows.append(Row(*head, *metric_cells(part, "mean", RESAMPLED), *bias))
    heads = [column, "clips", *map(metric_name, RESAMPLED), *(f"bias {trait}" for trait in traits)]
    yield Table(f"{column}, split {found.split}, with 95 % intervals", heads, rows)
    yield from left_out(column, by_value)
    yield f"{column}: {clear_or_largest(between.largest, compared)}"
    effects = [
        f"{trait} of {named_value(value)} {signed_line(effect.labels)}, in the predictions "
        f"{signed(effect.predictions)} (amplification {number(effect.amplification, 2)})"
        for value, group in compared
        for trait, effect in group.effects.items()
        if effect.labels.clear
    ]
    if effects:
        yield f"{column}: the labels themselves differ: {'; '.join(effects)}"


def largest(groups: Mapping[str, GroupT]) -> Iterator[tuple[tuple[str, str], GroupT]]:
    """MAX_GROUPS groups in falling order of size, each with its value and its size as cells of a row."""
    for value, group in sorted(groups.items(), key=lambda item: -item[1].clips)[:MAX_GROUPS]:
        yield (named_value(value), f"{group.clips}\n{group.sources} sources"), group


def left_out(column: str, groups: Mapping[str, object]) -> Iterator[str]:
    if len(groups) > MAX_GROUPS:
        yield f"{column}: and {len(groups) - MAX_GROUPS} smaller ones, in the JSON"


def clear_or_largest(most: Largest, compared: Sequence[tuple[str, GroupDisparity]]) -> str:
    """Which group disparities are clear, or else the largest ones."""
    clear = [
        f"{what} of {named_value(value)} {signed_line(found)}"
        for value, group in compared
        for what, found in (
            *((f"bias in {trait}", bias) for trait, bias in group.bias.items()),
            ("mean accuracy", group.mean_accuracy),
        )
        if found.clear
    ]
    if clear:
        return f"clear disparities: {'; '.join(clear)}"
    bias, accuracy = most.bias, most.mean_accuracy
    if bias is None or accuracy is None:
        return "too few sources in each value to look for disparities"
    of_bias = f"bias in {bias.trait} of {named_value(bias.value)} {signed_line(bias)}"
    of_accuracy = f"mean accuracy of {named_value(accuracy.value)} {signed_line(accuracy)}"
    return f"no clear disparity; the largest are {of_bias} and {of_accuracy}"


def disparities_table(column: str, between: Disparities) -> Table:
    """Each value minus the rest; a clear one has a star."""
    traits = list(next(iter(between.groups.values())).bias)
    rows = [
        Row(named_value(value), *map(starred, (*group.bias.values(), group.mean_accuracy)))
        for value, group in between.groups.items()
    ]
    heads = [column, *(f"bias {trait}" for trait in traits), "mean accuracy"]
    note = f"{SIMULTANEOUS.format(between.comparisons).capitalize()}; * excludes 0."
    return Table(f"{column}: each value minus the rest", heads, rows, [note])


def starred(value: Difference) -> str:
    return f"{signed(value.difference)}{'*' if value.clear else ''}\n{span(value, sign=True)}"


def signed_line(value: Difference) -> str:
    return one_line(value.difference, value, sign=True)


def named_value(value: str) -> str:
    """A value of a column, short enough for a cell."""
    return value[:60] or "(none)"


def group_retention_blocks(left: LeftByGroup) -> Iterator[Block]:
    """What is left of the skill by group, a table for each column, largest groups first."""
    for name, column in left.columns.items():
        rows = [
            Row(
                *head,
                number(group.clean.skill),
                number(group.clean.mean_accuracy, 4),
                number(group.mean_retention, 2),
                "" if group.minus_rest is None else difference(group.minus_rest),
            )
            for head, group in largest(column.groups)
        ]
        heads = [name, "clips", "clean skill", "clean accuracy", "mean retention", "minus the rest"]
        notes = [f"Minus the rest: {SIMULTANEOUS.format(column.comparisons)}."] if column.comparisons else []
        yield Table(f"{name}: retention by group", heads, rows, notes)
        yield from left_out(name, column.groups)
        if column.largest is None:
            yield f"{name}: too few sources or no clean skill to look for a disparity in retention"
        else:
            yield f"{name}: {'a clear' if column.clear else 'no clear'} disparity in retention"
