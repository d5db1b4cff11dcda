"""The part of a run's page that comes from `msma robustness`: what is left of the skill on corrupted clips."""

from __future__ import annotations

import math
from collections.abc import Mapping

from msma.corruptions.corruption import SEVERITIES
from msma.evaluation.robustness.checks import Check
from msma.evaluation.robustness.summary import Group, SuiteSummary
from msma.reports.figures import curves, heat_map
from msma.reports.numbers import number, signed, span
from msma.reports.page import text
from msma.reports.run.figures import large
from msma.reports.run.files import RunFiles
from msma.reports.tables import missing, table

IN_TABLE = "the numbers are in the table"


def robustness(run: RunFiles) -> str:
    told = "".join(suite(found) for found in run.suites)
    for folder in run.cells_only:
        suite_of = folder.name if folder.name in ("six", "full") else "SUITE"
        told += missing(
            f"{folder.name}: cells of a suite without its summary; to have one:",
            f"msma robustness --model {run.folder} --manifest CSV --suite {suite_of} --out {folder}",
        )
    command = f"msma robustness --model {run.folder} --manifest CSV --suite six --out {run.folder / 'six'}"
    return told or missing("Not tried on corrupted clips:", command)


def suite(found: SuiteSummary) -> str:
    clean, worst = found.clean, found.worst
    title = f"suite {found.suite} on {found.corpus}, split {found.split}"
    told = [
        f"Clean: skill {number(clean.skill)} {span(clean.skill_interval.low, clean.skill_interval.high)}, CCC "
        f"{number(clean.ccc)}, mean accuracy {number(clean.mean_accuracy, 4)} on {found.clips} clips."
    ]
    told += [
        f"Mean retention over the six scenarios at severity {severity}: {number(kept, 2)}."
        for severity, kept in found.six.retention.items()
    ]
    told += [] if worst is None else [f"Worst cell: {worst.cell}, skill {number(worst.skill)}."]
    below = [*found.below_constant.up_to_severity_3, *found.below_constant.above]
    told += [f"Cells below the constant: {', '.join(below) or 'none'}.", checked(found.checks)]
    told += [f"Not run: {name}: {reason}" for name, reason in found.not_run.items()]
    drawn = ""
    if found.scenarios:
        skill = large(curves(title, clean.skill, found.scenarios), f"Skill by severity, {title}; {IN_TABLE}")
        drawn = skill + large(heat_map(title, found.scenarios), f"Retention by severity, {title}; {IN_TABLE}")
    lines = "".join(f"<li>{text(line)}</li>\n" for line in told)
    return f"<h3>{text(title[:1].upper() + title[1:])}</h3>\n<ul>\n{lines}</ul>\n{drawn}{retentions(found)}"


def checked(checks: Mapping[str, Check]) -> str:
    """What the suite says of itself, with whatever it found."""
    told = [
        f"{name} {check.verdict}" + (f" ({'; '.join(check.found)})" if check.found else "")
        for name, check in checks.items()
    ]
    return f"Checks of the suite: {', '.join(told)}."


def retentions(found: SuiteSummary) -> str:
    """Scenarios, then families, then seen and held-out ones together."""
    scenarios, families = found.scenarios, found.families
    together = {group.family: group for group in (found.seen, found.held_out) if group is not None}
    rows = [
        [name, f"{group.family}{' *' if group.held_out else ''}", *by_severity(group)]
        for name, group in (*scenarios.items(), *families.items(), *together.items())
    ]
    heads = ["", "family", *map(str, SEVERITIES), "mean", "area", "vs late fusion", "quality ρ", "coverage", "width"]
    about = (
        "Retention (skill over clean skill) by severity 1 to 5; area under the skill curve; how much less skill is "
        "lost than by a static late fusion; rank correlation of predicted quality with severity; coverage and width of "
        "the intervals at the highest severity; * held out of training"
    )
    apart = [len(scenarios), len(scenarios) + len(families)]
    return table(heads, rows, about, apart=apart, strong=range(apart[1], len(rows)))


def by_severity(group: Group) -> list[str]:
    last = max(group.coverage, default=0)
    return [
        *(number(group.retention.get(severity, math.nan), 2) for severity in SEVERITIES),
        number(group.mean_retention, 2),
        number(group.area, 2),
        signed(group.effective_robustness),
        number(group.quality_spearman, 2),
        number(group.coverage.get(last, math.nan), 2),
        number(group.width.get(last, math.nan), 2),
    ]
