"""Coverage and width of prediction intervals, by what could be used of a clip and by group."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from msma.evaluation.disparities import clips_with
from msma.evaluation.predictions import Bounds
from msma.metrics import ByTrait, by_trait, labelled_traits, names_of


@dataclass(frozen=True)
class Coverage:
    """How many labels are in their prediction interval."""

    clips: int
    coverage: ByTrait
    """Share of the labels that are in their interval."""
    width: ByTrait
    """Mean of high - low."""


@dataclass(frozen=True)
class CoverageReport:
    """How well prediction intervals hold, by what could be used of a clip and by group."""

    nominal: float
    """The coverage that the intervals are made for."""
    whole: Coverage
    available: dict[str, Coverage]
    """The coverage by what could be used."""
    columns: dict[str, dict[str, Coverage]]
    """The coverage by column of the manifest and value."""


def coverage_of(
    bounds: Bounds, target: Float[np.ndarray, "clips 5"], rows: Bool[np.ndarray, " clips"] | slice = slice(None)
) -> Coverage:
    """The coverage on all clips, or on `rows`, of which there must be one at least, and on labelled traits."""
    labelled = labelled_traits(target)
    low, high, label = (values[rows][:, labelled] for values in (bounds.low, bounds.high, target))
    names, inside = names_of(labelled), (low <= label) & (label <= high)
    return Coverage(len(label), by_trait(inside.mean(axis=0), names), by_trait((high - low).mean(axis=0), names))


def coverage_report(
    bounds: Bounds, target: Float[np.ndarray, "clips 5"], columns: Mapping[str, Sequence[str]]
) -> CoverageReport:
    """The coverage of all clips and of parts; `columns` has a value for each clip."""

    def split_by(values: Sequence[str]) -> dict[str, Coverage]:
        return {value: coverage_of(bounds, target, clips_with(value, values)) for value in sorted(set(values))}

    by_column = {column: split_by(values) for column, values in columns.items()}
    return CoverageReport(bounds.nominal, coverage_of(bounds, target), split_by(bounds.available), by_column)
