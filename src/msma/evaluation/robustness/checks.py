"""Checks before a suite's numbers are believed: the corruptions corrupt, and the network uses both modalities."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float64

from msma.corruptions.table import find_corruption
from msma.evaluation.robustness.cell_result import CellResult, SuiteResult, spearman, with_modality
from msma.metrics import mean_of_known
from msma.types import MODALITIES

RISE = 1.05
"""From the lowest to the highest severity, distortion grows by this factor at least."""
SURE = 3.0
"""Standard errors, over clips, beyond which a rise or a fall with severity is no chance."""
FALL = 0.05
"""Share of the highest distortion by which a step to the next severity may fall."""
MOVES = 0.02
"""Of the spread of the clean predictions over clips: those that move less with a modality do not use it."""
BAD = 3
"""A severity from which on a corruption is plain."""
EXACT = 1e-4
"""How near a prediction must be to the mean-label baseline, to be it."""


@dataclass(frozen=True)
class Check:
    """The outcome of one check of a suite."""

    verdict: Literal["ok", "warning", "not checked"]
    found: list[str]
    """One line for each thing that is wrong."""


def checks(suite: SuiteResult, by_scenario: Mapping[str, Sequence[CellResult]]) -> dict[str, Check]:
    return {
        "severity": severity_check(suite.clean, by_scenario),
        "modalities": modality_check(suite),
        "nothing": nothing_check(suite),
    }


def verdict(found: list[str], checked: bool) -> Check:
    return Check("not checked" if not checked else "warning" if found else "ok", found)


def severity_check(clean: CellResult, by_scenario: Mapping[str, Sequence[CellResult]]) -> Check:
    """Does each graded corruption change the clips more at a higher severity?"""
    found, checked = [], False
    for name, results in by_scenario.items():
        graded = sorted(results, key=lambda result: result.cell.severity)
        if len(graded) < 2 or len(graded[0].cell.steps) != 1:
            continue
        (step,) = graded[0].cell.steps
        there = with_modality(clean, find_corruption(step.corruption).modalities or MODALITIES)
        distortion = on_common_clips(graded, there)
        if not distortion.size:
            continue
        checked = True
        severities = [result.cell.severity for result in graded]
        differs = np.ptp(distortion, axis=0) > 0
        if differs.any():  # a clip of one frame is black or not: there, no severity is more than another
            distortion = distortion[:, differs]
        means = distortion.mean(axis=1)
        if not means.any():
            found.append(f"{name}: changes nothing in these clips")
        elif not rises(distortion, severities):
            each = ", ".join(f"{severity}: {value:.3f}" for severity, value in zip(severities, means, strict=True))
            found.append(f"{name}: does not distort more at a higher severity ({each})")
        else:
            steps = np.diff(distortion, axis=0)
            falls = (np.diff(means) < -FALL * means.max()) & (steps.mean(axis=1) < -SURE * standard_errors(steps))
            found += [f"{name}: distorts less at severity {severities[at + 1]}" for at in np.flatnonzero(falls)]
    return verdict(found, checked)


def on_common_clips(results: Sequence[CellResult], clips: frozenset[str]) -> Float64[np.ndarray, "severities clips"]:
    """Distortion of both modalities together, of those of `clips` that all cells have."""
    common = clips.intersection(*(result.predictions for result in results))
    given = [[one for clip, one in result.predictions.items() if clip in common] for result in results]
    return np.array([[sum(one.distortion.values()) for one in of_cell] for of_cell in given])


def rises(distortion: Float64[np.ndarray, "severities clips"], severities: Sequence[int]) -> bool:
    """From the first severity to the last by RISE, and in so many clips that chance is no reason.

    Clips count by whether they rise, not by how much: short ones and long ones, still ones and lively ones differ in
    that a lot, and their spread would be taken for chance.
    """
    means = distortion.mean(axis=1)
    if means[-1] < RISE * means[0]:
        return False
    ranked = np.array([[spearman(np.array(severities), clip) for clip in distortion.T]])
    return bool(ranked.mean() > SURE * standard_errors(ranked))


def standard_errors(values: Float64[np.ndarray, "rows clips"]) -> Float64[np.ndarray, " rows"]:
    """Of the mean over clips; 0 where there is one clip only."""
    return values.std(axis=1, ddof=min(1, values.shape[1] - 1)) / math.sqrt(values.shape[1])


def modality_check(suite: SuiteResult) -> Check:
    """Do the predictions move when a modality is removed, and when it alone is corrupted?"""
    found, checked = [], False
    spread = float(suite.clean.traits_by_clip().std(axis=0).mean())
    for modality in suite.reads:
        clips = with_modality(suite.clean, [modality])
        removed = [moved(suite.clean, one, clips) for one in suite.cells if one.cell.removed == {modality}]
        corrupted = [moved(suite.clean, one, clips) for one in suite.cells if corrupts_only(one, modality)]
        removed, corrupted = ([move for move in moves if not math.isnan(move)] for moves in (removed, corrupted))
        checked |= bool(removed or corrupted)
        # Half of the corruptions must move them: one that shortens a stream shows without its content being read.
        typical = [float(np.median(moves)) for moves in (removed, corrupted) if moves]
        if any(move <= MOVES * spread for move in typical):
            found.append(
                f"ignores {modality}: without it or with it corrupted, predictions move by "
                f"{max([*removed, *corrupted]):.4f} at most, where those for clean clips spread by {spread:.4f}"
            )
    return verdict(found, checked)


def corrupts_only(result: CellResult, modality: str) -> bool:
    """Is this modality there, but plainly bad, and the other as it was?"""
    corrupted = {one for step in result.cell.steps for one in find_corruption(step.corruption).modalities}
    return corrupted == {modality} and not result.cell.removed and result.cell.severity >= BAD


def moved(clean: CellResult, result: CellResult, clips: frozenset[str]) -> float:
    """Mean absolute change of the predictions for `clips` from the clean ones; NaN where there are none."""
    return mean_of_known(
        abs(score - clean.predictions[clip].traits[trait])
        for clip, one in result.predictions.items()
        if clip in clips
        for trait, score in one.traits.items()
    )


def nothing_check(suite: SuiteResult) -> Check:
    """Without audio and visual, is the prediction the mean-label baseline, with quality 0?"""
    found = []
    constant = np.array(list(suite.constant.values()))
    without = [result for result in suite.cells if result.cell.leaves_nothing]
    for result in without:
        apart, quality = float(np.abs(result.traits_by_clip() - constant).max()), result.by_clip("quality")
        if apart > EXACT:
            found.append(f"{result.cell.name}: predicts up to {apart:.4f} away from the mean-label baseline")
        if quality.any():
            found.append(f"{result.cell.name}: predicts a quality of up to {quality.max():.3f}")
    return verdict(found, bool(without))
