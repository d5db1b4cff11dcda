"""What the cells of a suite say together: pure functions on their results.

`retention` is the skill of a cell over that of the same clips when clean; NaN where the clean skill is not above 0.
`effective robustness` is how much less skill is lost than by the static late fusion of the same encoders, in skill.
Means over several corruptions are taken within a family first, so that a family counts once.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
from pydantic import Field
from scipy.integrate import trapezoid
from scipy.stats import spearmanr

from msma.corruptions.corruption import SEVERITIES
from msma.corruptions.scenarios import SIX
from msma.corruptions.table import find_corruption
from msma.evaluation.evaluation import Tested
from msma.evaluation.result_file import Result
from msma.evaluation.robustness.cell_result import ByModality, CellResult, SuiteResult, with_modality
from msma.evaluation.robustness.checks import Check, checks
from msma.evaluation.robustness.slices import LeftByGroup
from msma.metrics import ROUNDING, Interval, Measured, retained
from msma.types import MODALITIES

MODERATE = 3
"""Up to this severity no cell should be below the constant."""


BySeverity = dict[Annotated[int, Field(ge=SEVERITIES[0], le=SEVERITIES[-1])], Measured]


@dataclass(frozen=True)
class Group:
    """A scenario, a family, or several families. NaN where it is not known."""

    family: str
    held_out: bool
    """Is it never used in training?"""
    retention: BySeverity
    """Skill over clean skill."""
    skill: BySeverity
    mean_retention: Measured
    area: Measured
    """Under the skill curve over severities 0 to 5, as a share of that of the clean skill; only where all are there."""
    effective_robustness: Measured
    """How much less skill is lost than by a static late fusion of the same encoders."""
    quality_spearman: Measured
    """Rank correlation of predicted quality with the one that the severity leaves, over clips and severities."""
    coverage: BySeverity
    """Of the prediction intervals."""
    width: BySeverity


class CellScores(Result):
    """The scores of one cell; means over traits."""

    skill: Measured
    skill_interval: Interval
    mean_accuracy: Measured
    ccc: Measured
    mae: Measured
    late_fusion_skill: Measured
    """Of the static late fusion; null for a network of one modality."""
    coverage: Measured
    """Of the prediction intervals; null where there are none."""
    width: Measured
    """Mean of the prediction intervals."""


class CellLine(CellScores):
    """One corrupted cell in the summary of its suite."""

    cell: str
    scenario: str
    family: str
    severity: int
    held_out: bool
    clips: int
    failed: int
    """Clips without a prediction."""
    retention: Measured
    effective_robustness: Measured
    quality: ByModality
    """As predicted, mean over the clips."""
    face_lost: float
    """Share of the clips."""


@dataclass(frozen=True)
class SixRetention:
    """The mean over the six scenarios, what is only missing as it is; empty and null unless all are there."""

    retention: BySeverity
    mean_retention: Measured


@dataclass(frozen=True)
class BelowConstant:
    """The cells with a skill below 0, up to severity MODERATE and above."""

    up_to_severity_3: list[str]
    above: list[str]


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
        there = with_modality(clean, [modality])
        pairs = [
            (-result.cell.severity, one.quality[modality])
            for result in (clean, *results)
            for clip, one in result.predictions.items()
            if clip in there
        ]
        if not pairs:
            continue
        left, quality = np.array(pairs).T
        ranked: Any = spearmanr(left, quality) if np.ptp(quality) > 0 else None
        found.append(0.0 if ranked is None else float(ranked.statistic))
    return mean(found)


def scenario_group(suite: SuiteResult, results: Sequence[CellResult]) -> Group:
    cell = results[0].cell
    kept = {result.cell.severity: retention(result) for result in results}
    scores = {result.cell.severity: cell_scores(suite, result) for result in results}
    return Group(
        family=cell.family,
        held_out=cell.held_out,
        retention=kept,
        skill={severity: one.skill for severity, one in scores.items()},
        mean_retention=mean(kept.values()),
        area=area(results),
        effective_robustness=mean(effective_robustness(result) for result in results),
        quality_spearman=quality_spearman(suite.clean, results, suite.reads),
        coverage={severity: one.coverage for severity, one in scores.items()},
        width={severity: one.width for severity, one in scores.items()},
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


class Summary(Result):
    """What the cells of a suite come to."""

    clips: int
    """With a prediction when clean."""
    clean: CellScores
    six: SixRetention
    seen: Group | None
    """The families that may be seen in training; null where the suite has none."""
    held_out: Group | None
    effective_robustness: Measured
    """Mean over the cells in which something is left."""
    worst: CellLine | None
    """The cell of the lowest skill among those in which something is left."""
    below_constant: BelowConstant
    checks: dict[str, Check]
    families: dict[str, Group]
    """Of corruptions by themselves, without `nothing`."""
    scenarios: dict[str, Group]
    cells: list[CellLine]
    not_run: dict[str, str]
    """Cells that could not be run, and why."""


class SuiteSummary(Summary, Tested):
    """What `msma robustness` writes for a suite, and `msma ablate` for each network."""

    suite: str
    """`six`, `full` or a file."""
    slices: LeftByGroup


def summarize(suite: SuiteResult) -> Summary:
    """The summary of a suite, without which model and clips it is of: see `suite.summarize_suite`."""
    by_scenario: dict[str, list[CellResult]] = {}
    for result in sorted(suite.cells, key=lambda result: result.cell.severity):
        by_scenario.setdefault(result.cell.scenario, []).append(result)
    order = list(dict.fromkeys(result.cell.scenario for result in suite.cells))
    scenarios = {name: scenario_group(suite, by_scenario[name]) for name in order}
    alone: dict[str, list[Group]] = {}
    for name, group in scenarios.items():
        if len(by_scenario[name][0].cell.steps) == 1:
            alone.setdefault(group.family, []).append(group)
    families = {family: together(groups, family) for family, groups in alone.items()}
    seen = [group for group in families.values() if not group.held_out]
    held_out = [group for group in families.values() if group.held_out]
    lines = [cell_line(suite, result) for result in suite.cells]
    left = [line for line, one in zip(lines, suite.cells, strict=True) if one.cell.removed != set(MODALITIES)]
    below = [line for line in lines if line.skill < -ROUNDING]
    six = six_retention(scenarios)
    return Summary(
        clips=suite.clean.clips,
        clean=cell_scores(suite, suite.clean),
        six=SixRetention(six, mean(six.values())),
        seen=together(seen, "seen in training") if seen else None,
        held_out=together(held_out, "held out") if held_out else None,
        effective_robustness=mean(line.effective_robustness for line in left),
        worst=min(left, key=lambda line: line.skill, default=None),
        below_constant=BelowConstant(
            [line.cell for line in below if line.severity <= MODERATE],
            [line.cell for line in below if line.severity > MODERATE],
        ),
        checks=checks(suite, by_scenario),
        families=families,
        scenarios=scenarios,
        cells=lines,
        not_run={one.cell.name: one.reason for one in suite.not_run},
    )


def six_retention(scenarios: dict[str, Group]) -> BySeverity:
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


def cell_scores(suite: SuiteResult, result: CellResult) -> CellScores:
    held = suite.coverage.get(result.cell.name)
    return CellScores(
        skill_interval=result.intervals["skill"]["mean"],
        **{name: result.metrics[name]["mean"] for name in ("skill", "mean_accuracy", "ccc", "mae")},
        late_fusion_skill=math.nan if result.late_skill is None else result.late_skill,
        coverage=math.nan if held is None else held.coverage["mean"],
        width=math.nan if held is None else held.width["mean"],
    )


def cell_line(suite: SuiteResult, result: CellResult) -> CellLine:
    return CellLine(
        **dict(cell_scores(suite, result)),
        cell=result.cell.name,
        scenario=result.cell.scenario,
        family=result.cell.family,
        severity=result.cell.severity,
        held_out=result.cell.held_out,
        clips=result.clips,
        failed=len(result.failed),
        retention=retention(result),
        effective_robustness=effective_robustness(result),
        quality=result.quality,
        face_lost=result.face_lost,
    )
