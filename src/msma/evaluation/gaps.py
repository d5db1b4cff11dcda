"""Are some groups of people answered worse or with a bias? Each group against the rest, many looks accounted for."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float
from scipy.special import stdtrit

from msma.metrics import Draws, Measured, names_of, resampled_means

MIN_SOURCES = 10
"""A group or slice of fewer sources has counts and metrics, but no interval: there is too little to draw from."""


@dataclass(frozen=True)
class Difference:
    """A difference and its interval."""

    difference: Measured
    low: Measured
    high: Measured

    @property
    def clear(self) -> bool:
        """Does the interval exclude 0?"""
        return self.low > 0 or self.high < 0


@dataclass(frozen=True)
class Effect:
    """How much higher a trait is in one value of a column than in the rest of the split."""

    labels: Difference
    predictions: Measured
    amplification: Measured
    """Predictions over labels: above 1, the network makes more of the group than observers did. NaN where the effect in
    the labels is not clear, so that there is nothing to amplify."""


@dataclass(frozen=True)
class GroupGap:
    """One value of a column minus the rest of the split."""

    bias: dict[str, Difference]
    """By trait."""
    mean_accuracy: Difference
    """Mean over traits."""
    effects: dict[str, Effect]
    """By trait."""


@dataclass(frozen=True)
class GroupDifference(Difference):
    """The difference of one value of a column."""

    value: str


@dataclass(frozen=True)
class GroupBias(GroupDifference):
    """The difference of one value of a column in one trait."""

    trait: str


@dataclass(frozen=True)
class Largest:
    """The differences that are furthest from 0; None where no value has sources enough."""

    bias: GroupBias | None
    mean_accuracy: GroupDifference | None


@dataclass(frozen=True)
class Gap:
    """The disparities between the groups of one column, in simultaneous 95 % confidence intervals (docs/metrics.md)."""

    clear: bool
    """Does any interval exclude 0?"""
    largest: Largest
    groups: dict[str, GroupGap]
    """By value, where value and rest have MIN_SOURCES sources each."""
    comparisons: int
    """Of the whole report, over all columns: what the level is adjusted to."""


def gaps(
    predicted: Float[np.ndarray, "clips 5"],
    target: Float[np.ndarray, "clips 5"],
    labelled: Bool[np.ndarray, "5"],
    columns: Mapping[str, Sequence[str]],
    draws: Draws,
) -> dict[str, Gap]:
    """By column, of each value against the rest: signed bias by trait, mean accuracy, and how much higher labels and
    predictions are.

    Intervals are difference +- t * standard error: the error by bootstrap over sources, Student's t with one degree of
    freedom less than the smaller side has sources, at 95 % over all comparisons of all columns (Bonferroni).
    """
    error, names = (predicted - target)[:, labelled], names_of(labelled)
    measured = np.column_stack([error, -np.abs(error).mean(axis=1)])  # bias by trait, mean accuracy but for the 1
    large = large_groups(columns, draws)
    comparisons = looks_at(large, columns) * measured.shape[1]
    groups: dict[str, dict[str, GroupGap]] = {column: {} for column in columns}
    for (column, value), (members, sources) in large.items():
        *bias, accuracy = differences(measured, members, draws, sources, comparisons)
        in_labels = differences(target[:, labelled], members, draws, sources, comparisons)
        effects = [effect(labels, own) for labels, own in zip(in_labels, bias, strict=True)]
        groups[column][value] = GroupGap(
            dict(zip(names, bias, strict=True)), accuracy, dict(zip(names, effects, strict=True))
        )
    return {column: gap_of(its_groups, comparisons) for column, its_groups in groups.items()}


def large_groups(
    columns: Mapping[str, Sequence[str]], draws: Draws
) -> dict[tuple[str, str], tuple[Bool[np.ndarray, " clips"], int]]:
    """By column and value, where value and rest have MIN_SOURCES sources each: the clips, and the sources of the side
    that has fewer."""
    return {
        (column, value): (members, sources)
        for column, values in columns.items()
        for value in sorted(set(values))
        if (sources := smaller_side(draws, members := clips_with(value, values))) >= MIN_SOURCES
    }


def looks_at(large: Collection[tuple[str, str]], columns: Mapping[str, Sequence[str]]) -> int:
    """How many independent looks the groups are: of two values each is the rest of the other, one look."""
    found = {column: sum(name == column for name, _ in large) for column in columns}
    return sum(min(1, here) if len(set(columns[column])) == 2 else here for column, here in found.items())


def half_widths(
    drawn: Float[np.ndarray, "draws columns"], sources: int, comparisons: int
) -> Float[np.ndarray, " columns"]:
    """Of the intervals of what was drawn by bootstrap, at 95 % over all comparisons; `sources` of the smaller side."""
    quantile = float(stdtrit(sources - 1, 1 - 0.05 / (2 * comparisons)))
    # The sample variance of few sources is too small by (sources - 1) / sources.
    return quantile * np.nanstd(drawn, axis=0) * np.sqrt(sources / (sources - 1))


def differences(
    values: Float[np.ndarray, "clips columns"],
    members: Bool[np.ndarray, " clips"],
    draws: Draws,
    sources: int,
    comparisons: int,
) -> list[Difference]:
    """Mean of each column over `members` minus that over the rest; `sources` is that of the smaller side."""
    drawn = resampled_means(values, draws, members) - resampled_means(values, draws, ~members)
    half = half_widths(drawn, sources, comparisons)
    centre = values[members].mean(axis=0) - values[~members].mean(axis=0)
    return [Difference(float(c), float(c - h), float(c + h)) for c, h in zip(centre, half, strict=True)]


def effect(labels: Difference, bias: Difference) -> Effect:
    """`bias` is what the predictions have beyond the labels."""
    predictions = labels.difference + bias.difference
    return Effect(labels, predictions, predictions / labels.difference if labels.clear else math.nan)


def clips_with(value: str, values: Sequence[str]) -> Bool[np.ndarray, " clips"]:
    return np.array([each == value for each in values])


def smaller_side(draws: Draws, members: Bool[np.ndarray, " clips"]) -> int:
    """Sources of the clips of a group or of all others, whichever are fewer."""
    return min(len(np.unique(draws.source_of[side])) for side in (members, ~members))


def gap_of(groups: dict[str, GroupGap], comparisons: int) -> Gap:
    biases = [
        GroupBias(**vars(bias), value=value, trait=trait)
        for value, group in groups.items()
        for trait, bias in group.bias.items()
    ]
    accuracies = [GroupDifference(**vars(group.mean_accuracy), value=value) for value, group in groups.items()]
    largest = Largest(
        max(biases, key=lambda one: abs(one.difference), default=None),
        max(accuracies, key=lambda one: abs(one.difference), default=None),
    )
    return Gap(any(one.clear for one in (*biases, *accuracies)), largest, groups, comparisons)
