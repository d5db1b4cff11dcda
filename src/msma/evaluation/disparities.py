"""Group disparities: is a group predicted worse, or with a bias? Each against the rest, all comparisons adjusted."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float
from scipy.special import stdtrit

from msma.evaluation.predictions import Predictions
from msma.metrics import Draws, Measured, labelled_traits, names_of, resampled_means

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
class GroupDisparity:
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
    """The differences that are furthest from 0; None where no value has enough sources."""

    bias: GroupBias | None
    mean_accuracy: GroupDifference | None


@dataclass(frozen=True)
class Disparities:
    """The disparities between the groups of one column, in simultaneous 95 % confidence intervals (docs/metrics.md)."""

    clear: bool
    """Does any interval exclude 0?"""
    largest: Largest
    groups: dict[str, GroupDisparity]
    """By value, where value and rest have MIN_SOURCES sources each."""
    comparisons: int
    """Of the whole report, over all columns: what the level is adjusted to."""


def disparities(predictions: Predictions, columns: Mapping[str, Sequence[str]], draws: Draws) -> dict[str, Disparities]:
    """By column, each value against the rest: signed bias by trait, mean accuracy, and the effects on both sides.

    Intervals are difference +- t * standard error: the error by bootstrap over sources, Student's t with one degree of
    freedom less than the smaller side has sources, at 95 % over all comparisons of all columns (Bonferroni).
    """
    target, labelled = predictions.target, labelled_traits(predictions.target)
    error, names = (predictions.predicted - target)[:, labelled], names_of(labelled)
    # Bias by trait; mean accuracy, but for the 1; the labels.
    measured = np.column_stack([error, -np.abs(error).mean(axis=1), target[:, labelled]])
    compared, looks = compared_groups(columns, draws)
    comparisons = looks * (len(names) + 1)
    groups: dict[str, dict[str, GroupDisparity]] = {column: {} for column in columns}
    for (column, value), (members, sources) in compared.items():
        drawn = resampled_means(measured, draws, members) - resampled_means(measured, draws, ~members)
        half = half_widths(drawn, sources, comparisons)
        centre = measured[members].mean(axis=0) - measured[~members].mean(axis=0)
        found = [Difference(float(c), float(c - h), float(c + h)) for c, h in zip(centre, half, strict=True)]
        bias, labels = (dict(zip(names, of, strict=True)) for of in (found[: len(names)], found[len(names) + 1 :]))
        effects = {trait: effect(labels[trait], bias[trait]) for trait in names}
        groups[column][value] = GroupDisparity(bias, found[len(names)], effects)
    return {column: of_column(found, comparisons) for column, found in groups.items()}


def compared_groups(
    columns: Mapping[str, Sequence[str]], draws: Draws
) -> tuple[dict[tuple[str, str], tuple[Bool[np.ndarray, " clips"], int]], int]:
    """The groups where value and rest have MIN_SOURCES sources each, and how many independent looks they are.

    By column and value, the clips, and the sources of the side that has fewer. Two values are one look: each is the
    rest of the other.
    """
    found, looks = {}, 0
    for column, values in columns.items():
        names = sorted(set(values))
        for value in names:
            members = clips_with(value, values)
            sources = min(len(np.unique(draws.source_of[side])) for side in (members, ~members))
            if sources >= MIN_SOURCES:
                found[column, value] = members, sources
        here = sum((column, value) in found for value in names)
        looks += min(1, here) if len(names) == 2 else here
    return found, looks


def half_widths(
    drawn: Float[np.ndarray, "draws columns"], sources: int, comparisons: int
) -> Float[np.ndarray, " columns"]:
    """Half of each interval from bootstrap samples, at 95 % over all comparisons; `sources` of the smaller side."""
    quantile = float(stdtrit(sources - 1, 1 - 0.05 / (2 * comparisons)))
    # The sample variance of few sources is too small by (sources - 1) / sources.
    return quantile * np.nanstd(drawn, axis=0) * np.sqrt(sources / (sources - 1))


def effect(labels: Difference, bias: Difference) -> Effect:
    """`bias` is what the predictions have beyond the labels."""
    predictions = labels.difference + bias.difference
    return Effect(labels, predictions, predictions / labels.difference if labels.clear else math.nan)


def clips_with(value: str, values: Sequence[str]) -> Bool[np.ndarray, " clips"]:
    return np.array([each == value for each in values])


def of_column(groups: dict[str, GroupDisparity], comparisons: int) -> Disparities:
    biases = [
        GroupBias(**vars(bias), value=value, trait=trait)
        for value, group in groups.items()
        for trait, bias in group.bias.items()
    ]
    accuracies = [GroupDifference(**vars(group.mean_accuracy), value=value) for value, group in groups.items()]
    largest = Largest(max(biases, key=size, default=None), max(accuracies, key=size, default=None))
    return Disparities(any(one.clear for one in (*biases, *accuracies)), largest, groups, comparisons)


def size(difference: Difference) -> float:
    return abs(difference.difference)
