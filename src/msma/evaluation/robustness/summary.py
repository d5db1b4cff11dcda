"""The summary of a suite, from the results of its cells alone.

Means over several corruptions are taken within a family first, so that a family counts once.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import Field

from msma.corruptions.corruption import SEVERITIES
from msma.corruptions.scenarios import SIX
from msma.corruptions.table import find_corruption
from msma.evaluation.evaluation import Tested
from msma.evaluation.result_file import Result
from msma.evaluation.robustness.cell_result import CellResult, SuiteResult, area, quality_spearman
from msma.evaluation.robustness.checks import Check, checks
from msma.evaluation.robustness.slices import LeftByGroup
from msma.metrics import ROUNDING, Interval, Measured, mean_of_known
from msma.prediction.pooling import ByModality

MODERATE = 3
"""Up to this severity no cell should be below the constant; from it on effective robustness is measured."""


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
    """Area under the skill curve over severities 0 to 5, as a share of that of the clean skill; needs all of them."""
    effective_robustness: Measured
    """How much higher the skill is than that of a static late fusion of the same encoders would be, were it as good on
    clean clips."""
    quality_spearman: Measured
    """Rank correlation of predicted quality with the one that the severity leaves, over clips and severities."""
    coverage: BySeverity
    """Coverage of the prediction intervals."""
    width: BySeverity


class CellScores(Result):
    """The scores of one cell; means over traits."""

    skill: Measured
    skill_interval: Interval
    mean_accuracy: Measured
    ccc: Measured
    mae: Measured
    late_fusion_skill: Measured
    """The skill of the static late fusion; null for a network of one modality."""
    coverage: Measured
    """Coverage of the prediction intervals; null where there are none."""
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
    """Mean predicted quality over the clips."""
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


class Summary(Result):
    """The scores of all cells of a suite, and their means by scenario and family."""

    clips: int
    """Clips with a prediction when clean."""
    clean: CellScores
    six: SixRetention
    seen: Group | None
    """The families that may be seen in training; null where the suite has none."""
    held_out: Group | None
    effective_robustness: Measured
    """Mean over the cells of severity 3 to 5 that leave something."""
    worst: CellLine | None
    """The cell of the lowest skill among those that leave something."""
    below_constant: BelowConstant
    checks: dict[str, Check]
    families: dict[str, Group]
    """Families of corruptions by themselves, without `nothing`."""
    scenarios: dict[str, Group]
    cells: list[CellLine]
    not_run: dict[str, str]
    """Cells that could not be run, and why."""


class SuiteSummary(Summary, Tested):
    """The output of `msma robustness` for a suite, and of `msma ablate` for each network."""

    suite: str
    """`six`, `full`, `joint` or a file."""
    effective_robustness_interval: Interval
    """NaN where there is only one source, and where effective robustness is not known."""
    slices: LeftByGroup


def summarize(suite: SuiteResult) -> Summary:
    """The summary of a suite, without which model and clips it is of: see `suite.summarize_suite`."""
    by_scenario: dict[str, list[CellResult]] = {}
    for result in suite.cells:
        by_scenario.setdefault(result.cell.scenario, []).append(result)
    for results in by_scenario.values():
        results.sort(key=lambda result: result.cell.severity)
    scenarios = {name: scenario_group(suite, results) for name, results in by_scenario.items()}
    alone: dict[str, list[Group]] = {}
    for name, group in scenarios.items():
        if len(by_scenario[name][0].cell.steps) == 1:
            alone.setdefault(group.family, []).append(group)
    families = {family: together(groups, family) for family, groups in alone.items()}
    seen = [group for group in families.values() if not group.held_out]
    held_out = [group for group in families.values() if group.held_out]
    lines = [cell_line(suite, result) for result in suite.cells]
    left = [line for line, one in zip(lines, suite.cells, strict=True) if not one.cell.leaves_nothing]
    below = [line for line in lines if line.skill < -ROUNDING]
    six = six_retention(scenarios)
    return Summary(
        clips=suite.clean.clips,
        clean=CellScores(**cell_scores(suite, suite.clean)),
        six=SixRetention(six, mean_of_known(six.values())),
        seen=together(seen, "seen in training") if seen else None,
        held_out=together(held_out, "held out") if held_out else None,
        effective_robustness=mean_of_known(result.effective_robustness for result in strong(suite)),
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


def strong(suite: SuiteResult) -> list[CellResult]:
    """The cells of severity MODERATE and above that leave something."""
    return [one for one in suite.cells if one.cell.severity >= MODERATE and not one.cell.leaves_nothing]


def scenario_group(suite: SuiteResult, results: Sequence[CellResult]) -> Group:
    """One scenario; its results by rising severity."""
    lines = [cell_line(suite, result) for result in results]
    by_severity = {
        name: {line.severity: getattr(line, name) for line in lines}
        for name in ("retention", "skill", "coverage", "width")
    }
    return Group(
        **by_severity,
        family=lines[0].family,
        held_out=lines[0].held_out,
        mean_retention=mean_of_known(by_severity["retention"].values()),
        area=area(by_severity["retention"]),
        effective_robustness=mean_of_known(line.effective_robustness for line in lines),
        quality_spearman=quality_spearman(suite.clean, results, suite.reads),
    )


def together(groups: Sequence[Group], family: str) -> Group:
    """The mean of groups that count alike."""
    means: dict[str, Any] = {}
    for name, first in list(vars(groups[0]).items())[2:]:
        values = [getattr(group, name) for group in groups]
        if isinstance(first, dict):
            severities = sorted({severity for one in values for severity in one})
            means[name] = {s: mean_of_known(one[s] for one in values if s in one) for s in severities}
        else:
            means[name] = mean_of_known(values)
    return Group(family, all(group.held_out for group in groups), **means)


def six_retention(scenarios: Mapping[str, Group]) -> dict[int, float]:
    if not all(name in scenarios for name in SIX):
        return {}
    graded: list[Group] = []
    missing: list[Group] = []
    for scenario, corruptions in SIX.items():
        has_levels = any(len(find_corruption(name).levels) > 1 for name in corruptions)
        (graded if has_levels else missing).append(scenarios[scenario])
    return {
        severity: mean_of_known([*(g.retention[severity] for g in graded), *(g.mean_retention for g in missing)])
        for severity in sorted(set.intersection(*(set(group.retention) for group in graded)))
    }


def cell_scores(suite: SuiteResult, result: CellResult) -> dict[str, Any]:
    """The fields of `CellScores`."""
    held = suite.coverage.get(result.cell.name)
    return {name: result.metrics[name]["mean"] for name in ("skill", "mean_accuracy", "ccc", "mae")} | {
        "skill_interval": result.intervals["skill"]["mean"],
        "late_fusion_skill": result.late_skill,
        "coverage": math.nan if held is None else held.coverage["mean"],
        "width": math.nan if held is None else held.width["mean"],
    }


def cell_line(suite: SuiteResult, result: CellResult) -> CellLine:
    cell = result.cell
    return CellLine(
        **cell_scores(suite, result),
        **{name: getattr(cell, name) for name in ("scenario", "family", "severity", "held_out")},
        **{name: getattr(result, name) for name in ("clips", "quality", "face_lost")},
        cell=cell.name,
        failed=len(result.failed),
        retention=result.retention,
        effective_robustness=result.effective_robustness,
    )
