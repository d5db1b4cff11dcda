"""Measures of one cell, and of one corruption over all its severities.

`retention` is the skill of a cell over that of the same clips when clean; NaN where the clean skill is not above 0.
`effective robustness` is how much less skill is lost than by the static late fusion of the same encoders, in skill.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from scipy.integrate import trapezoid
from scipy.stats import spearmanr

from msma.corruptions.corruption import SEVERITIES
from msma.corruptions.table import find_corruption
from msma.evaluation.robustness.cell_result import CellResult, with_modality
from msma.metrics import mean_of_known, retained
from msma.types import MODALITIES


def retention(result: CellResult) -> float:
    return float(retained(result.skill, result.clean_skill))


def effective_robustness(result: CellResult) -> float:
    """NaN for a network of one modality, which has no late fusion."""
    return (result.skill - result.clean_skill) - (result.late_skill - result.clean_late_skill)


def area(kept: Mapping[int, float]) -> float:
    """Under the skill curve of one corruption, by trapezoids, as a share of what it were without any loss.

    `kept` is the retention by severity; NaN unless all are there.
    """
    if set(kept) != set(SEVERITIES):
        return math.nan
    return float(trapezoid([1.0, *(kept[severity] for severity in SEVERITIES)])) / SEVERITIES[-1]


def quality_spearman(clean: CellResult, results: Sequence[CellResult], reads: Sequence[str] = MODALITIES) -> float:
    """Rank correlation of predicted quality and rising severity, negated, of one graded corruption.

    Over all clips clean and at all its severities; mean over the modalities that it corrupts. 1 where predicted quality
    falls whenever severity rises, 0 for a quality that never changes. NaN for what is all or nothing, corrupts nothing
    that the network reads, is one of several at once, or where no clip has what it corrupts.
    """
    cell, found = results[0].cell, []
    if len(results) < 2 or len(cell.steps) != 1:
        return math.nan
    for modality in find_corruption(cell.steps[0].corruption).modalities:
        if modality not in reads:
            continue
        there = with_modality(clean, [modality])
        pairs = [
            (-result.cell.severity, one.quality[modality])
            for result in (clean, *results)
            for clip, one in result.predictions.items()
            if clip in there
        ]
        if pairs:
            left, quality = np.array(pairs).T
            ranked: Any = spearmanr(left, quality) if np.ptp(quality) > 0 else None
            found.append(0.0 if ranked is None else float(ranked.statistic))
    return mean_of_known(found)
