"""What the cells of a suite say together: pure functions on their results.

`retention` is the skill of a cell over that of the same clips when clean; NaN where the clean skill is not above 0.
`effective robustness` is how much less skill is lost than by the static late fusion of the same encoders, in skill.
Means over several corruptions are taken within a family first, so that a family counts once.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from scipy.integrate import trapezoid
from scipy.stats import spearmanr

from msma.corruptions.corruption import SEVERITIES
from msma.corruptions.scenarios import SIX
from msma.corruptions.table import find_corruption
from msma.evaluation.robustness.cell_result import CellResult, with_modality
from msma.evaluation.robustness.checks import checks
from msma.evaluation.robustness.suite import SuiteResult
from msma.metrics import ROUNDING, retained
from msma.types import MODALITIES

MODERATE = 3
"""Up to this severity no cell should be below the constant."""


@dataclass(frozen=True)
class Group:
    """A scenario, a family, or several families. NaN where it is not known."""

    family: str
    held_out: bool
    retention: dict[int, float]
    """By severity."""
    skill: dict[int, float]
    mean_retention: float
    area: float
    """Under the skill curve over severities 0 to 5, as a share of that of the clean skill; only where all are there."""
    effective_robustness: float
    quality_spearman: float
    """Rank correlation of predicted quality with the one that the severity leaves, over clips and severities."""
    coverage: dict[int, float]
    """Of the prediction intervals, by severity."""
    width: dict[int, float]


def retention(result: CellResult) -> float:
    return float(retained(result.skill, result.clean_skill))


def effective_robustness(result: CellResult) -> float:
    """NaN for a network of one modality, which has no late fusion."""
    if result.late_skill is None or result.clean_late_skill is None:
        return math.nan
    return (result.skill - result.clean_skill) - (result.late_skill - result.clean_late_skill)


def area(results: Sequence[CellResult]) -> float:
    """Under the skill curve of one corruption, by trapezoids, as a share of what it were without any loss."""
    by_severity = {result.cell.severity: result for result in results}
    if set(by_severity) != set(SEVERITIES):
        return math.nan
    kept = [1.0, *(retention(by_severity[severity]) for severity in SEVERITIES)]
    return float(trapezoid(kept)) / SEVERITIES[-1]


def quality_spearman(clean: CellResult, results: Sequence[CellResult], reads: Sequence[str] = MODALITIES) -> float:
    """Of one graded corruption, over all clips clean and at all its severities; mean over the modalities it spoils.

    1 where predicted quality falls whenever severity rises, 0 for a quality that never changes. NaN for what is all or
    nothing, spoils nothing that the network reads, is one of several at once, or where no clip has what it spoils.
    """
    cell = results[0].cell
    spoiled = (
        [m for m in find_corruption(cell.steps[0].corruption).modalities if m in reads] if len(cell.steps) == 1 else []
    )
    if len(results) < 2 or not spoiled:
        return math.nan
    found = []
    for modality in spoiled:
        column, there = MODALITIES.index(modality), with_modality(clean, [modality])
        pairs = [
            (-result.cell.severity, quality)
            for result in (clean, *results)
            for clip, quality in zip(result.clips, result.quality[:, column].tolist(), strict=True)
            if clip in there
        ]
        if not pairs:
            continue
        left, quality = np.array(pairs).T
        ranked: Any = spearmanr(left, quality) if np.ptp(quality) > 0 else None
        found.append(0.0 if ranked is None else float(ranked.statistic))
    return mean(found)


def scenario_group(clean: CellResult, results: Sequence[CellResult], reads: Sequence[str]) -> Group:
    cell = results[0].cell
    kept = {result.cell.severity: retention(result) for result in results}
    return Group(
        family=cell.family,
        held_out=cell.held_out,
        retention=kept,
        skill={result.cell.severity: result.skill for result in results},
        mean_retention=mean(kept.values()),
        area=area(results),
        effective_robustness=mean(effective_robustness(result) for result in results),
        quality_spearman=quality_spearman(clean, results, reads),
        coverage={result.cell.severity: result.coverage for result in results},
        width={result.cell.severity: result.width for result in results},
    )


def together(groups: Sequence[Group], family: str) -> Group:
    """The mean of groups that count alike."""

    def by_severity(name: str) -> dict[int, float]:
        values: list[dict[int, float]] = [getattr(group, name) for group in groups]
        severities = sorted({severity for one in values for severity in one})
        return {severity: mean(one[severity] for one in values if severity in one) for severity in severities}

    return Group(
        family=family,
        held_out=all(group.held_out for group in groups),
        retention=by_severity("retention"),
        skill=by_severity("skill"),
        mean_retention=mean(group.mean_retention for group in groups),
        area=mean(group.area for group in groups),
        effective_robustness=mean(group.effective_robustness for group in groups),
        quality_spearman=mean(group.quality_spearman for group in groups),
        coverage=by_severity("coverage"),
        width=by_severity("width"),
    )


def mean(values: Iterable[float]) -> float:
    """Of those that are known."""
    known = [value for value in values if not math.isnan(value)]
    return float(np.mean(known)) if known else math.nan


@dataclass(frozen=True)
class Summary:
    scenarios: dict[str, Group]
    families: dict[str, Group]
    """Of corruptions by themselves, without `nothing`."""
    seen: Group | None
    """The families that may be seen in training; None where the suite has none."""
    held_out: Group | None
    six: dict[int, float]
    """Mean retention over the six scenarios by severity, what is only missing as it is; empty unless all are there."""
    worst: CellResult | None
    """The cell of the lowest skill among those in which something is left."""
    effective_robustness: float
    """Mean over the cells in which something is left."""
    below_constant: list[str]
    """Cells up to severity MODERATE with a skill below 0."""
    below_constant_severe: list[str]
    """The others."""
    checks: dict[str, dict[str, Any]]


def summarize(suite: SuiteResult) -> Summary:
    by_scenario: dict[str, list[CellResult]] = {}
    for result in sorted(suite.cells, key=lambda result: result.cell.severity):
        by_scenario.setdefault(result.cell.scenario, []).append(result)
    order = list(dict.fromkeys(result.cell.scenario for result in suite.cells))
    scenarios = {name: scenario_group(suite.clean, by_scenario[name], suite.reads) for name in order}
    alone: dict[str, list[Group]] = {}
    for name, group in scenarios.items():
        if len(by_scenario[name][0].cell.steps) == 1:
            alone.setdefault(group.family, []).append(group)
    families = {family: together(groups, family) for family, groups in alone.items()}
    seen = [group for group in families.values() if not group.held_out]
    held_out = [group for group in families.values() if group.held_out]
    left = [result for result in suite.cells if result.cell.removed != set(MODALITIES)]
    below = [result.cell for result in suite.cells if result.skill < -ROUNDING]
    return Summary(
        scenarios=scenarios,
        families=families,
        seen=together(seen, "seen in training") if seen else None,
        held_out=together(held_out, "held out") if held_out else None,
        six=six_retention(scenarios),
        worst=min(left, key=lambda result: result.skill, default=None),
        effective_robustness=mean(effective_robustness(result) for result in left),
        below_constant=[cell.name for cell in below if cell.severity <= MODERATE],
        below_constant_severe=[cell.name for cell in below if cell.severity > MODERATE],
        checks=checks(suite, by_scenario),
    )


def six_retention(scenarios: dict[str, Group]) -> dict[int, float]:
    if not all(scenario.name in scenarios for scenario in SIX):
        return {}
    graded: list[Group] = []
    missing: list[Group] = []
    for scenario in SIX:
        has_levels = any(len(find_corruption(name).levels) > 1 for name in scenario.corruptions)
        (graded if has_levels else missing).append(scenarios[scenario.name])
    severities = set.intersection(*(set(group.retention) for group in graded))
    return {
        severity: mean([*(g.retention[severity] for g in graded), *(g.mean_retention for g in missing)])
        for severity in sorted(severities)
    }


def summary_json(suite: SuiteResult, summary: Summary, about: dict[str, Any]) -> dict[str, Any]:
    """As plain JSON values, with NaN; `about` says what it is a summary of."""
    clean = suite.clean
    low, high = clean.skill_interval
    return {
        **about,
        "clips": len(clean.clips),
        "clean": {
            "skill": clean.skill,
            "skill_interval": {"low": low, "high": high},
            "mean_accuracy": clean.mean_accuracy,
            "ccc": clean.ccc,
            "mae": clean.mae,
            "late_fusion_skill": clean.late_skill,
            "coverage": clean.coverage,
            "width": clean.width,
        },
        "six": {"retention": summary.six, "mean_retention": mean(summary.six.values())},
        "seen": None if summary.seen is None else asdict(summary.seen),
        "held_out": None if summary.held_out is None else asdict(summary.held_out),
        "effective_robustness": summary.effective_robustness,
        "worst": None if summary.worst is None else cell_line(summary.worst),
        "below_constant": {
            f"up_to_severity_{MODERATE}": summary.below_constant,
            "above": summary.below_constant_severe,
        },
        "checks": summary.checks,
        "families": {name: asdict(group) for name, group in summary.families.items()},
        "scenarios": {name: asdict(group) for name, group in summary.scenarios.items()},
        "cells": [cell_line(result) for result in suite.cells],
        "not_run": {one.cell.name: one.reason for one in suite.not_run},
    }


def cell_line(result: CellResult) -> dict[str, Any]:
    low, high = result.skill_interval
    quality = result.quality.mean(axis=0).tolist()
    return {
        "cell": result.cell.name,
        "scenario": result.cell.scenario,
        "family": result.cell.family,
        "severity": result.cell.severity,
        "held_out": result.cell.held_out,
        "clips": len(result.clips),
        "failed": result.failed,
        "skill": result.skill,
        "skill_interval": {"low": low, "high": high},
        "mean_accuracy": result.mean_accuracy,
        "ccc": result.ccc,
        "mae": result.mae,
        "retention": retention(result),
        "late_fusion_skill": result.late_skill,
        "effective_robustness": effective_robustness(result),
        "quality": dict(zip(MODALITIES, quality, strict=True)),
        "coverage": result.coverage,
        "width": result.width,
        "face_lost": result.face_lost,
    }
