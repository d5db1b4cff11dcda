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
    """One value of a column minus the rest of the split; bias and effects by trait, mean accuracy over traits."""

    bias: dict[str, Difference]
    mean_accuracy: Difference
    effects: dict[str, Effect]


@dataclass(frozen=True)
class GroupDifference(Difference):
    """The difference of one value of a column, in one trait or (null) in their mean."""

    value: str
    trait: str | None = None


@dataclass(frozen=True)
class Largest:
    """The differences that are furthest from 0; null where no value has enough sources."""

    bias: GroupDifference | None
    mean_accuracy: GroupDifference | None


@dataclass(frozen=True)
class Disparities:
    """The disparities between the groups of one column, in simultaneous 95 % confidence intervals (docs/metrics.md)."""

    clear: bool
    """Does any interval exclude 0?"""
    largest: Largest
    groups: dict[str, GroupDisparity]
    """The values where value and rest have MIN_SOURCES sources each."""
    comparisons: int
    """All comparisons of the report, over all columns, to which the level is adjusted."""


def disparities(predictions: Predictions, columns: Mapping[str, Sequence[str]], draws: Draws) -> dict[str, Disparities]:
    """The disparities in each column, each value against the rest: bias by trait, mean accuracy, and effects.

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
        effects = {}
        for trait, of_labels in labels.items():
            predicted = of_labels.difference + bias[trait].difference
            effects[trait] = Effect(
                of_labels, predicted, predicted / of_labels.difference if of_labels.clear else math.nan
            )
        groups[column][value] = GroupDisparity(bias, found[len(names)], effects)
    return {column: of_column(found, comparisons) for column, found in groups.items()}


def compared_groups(
    columns: Mapping[str, Sequence[str]], draws: Draws
) -> tuple[dict[tuple[str, str], tuple[Bool[np.ndarray, " clips"], int]], int]:
    """The groups where value and rest have MIN_SOURCES sources each, and how many independent looks they are: the clips
    and the sources of the smaller side. Two values are one look, for each is the rest of the other."""
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


def clips_with(value: str, values: Sequence[str]) -> Bool[np.ndarray, " clips"]:
    return np.array([each == value for each in values])


def of_column(groups: dict[str, GroupDisparity], comparisons: int) -> Disparities:
    biases = [
        GroupDifference(**vars(bias), value=value, trait=trait)
        for value, group in groups.items()
        for trait, bias in group.bias.items()
    ]
    accuracies = [GroupDifference(**vars(group.mean_accuracy), value=value) for value, group in groups.items()]
    largest = (max(of, key=lambda one: abs(one.difference), default=None) for of in (biases, accuracies))
    return Disparities(any(one.clear for one in (*biases, *accuracies)), Largest(*largest), groups, comparisons)
