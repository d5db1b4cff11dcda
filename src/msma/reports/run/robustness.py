"""The part of a run's page that comes from `msma robustness`: what is left of the skill on corrupted clips."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from msma.corruptions.corruption import SEVERITIES
from msma.evaluation.robustness.summary import Group
from msma.reports.figures import curves, heat_map
from msma.reports.numbers import number, signed, span
from msma.reports.page import text
from msma.reports.run.figures import large
from msma.reports.run.files import Found, RunFiles, understood
from msma.reports.tables import missing, table

BY_SEVERITY = ("retention", "skill", "coverage", "width")


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


def suite(found: Found) -> str:
    with understood(found) as values:
        clean, scenarios = values["clean"], groups(values["scenarios"])
        title = f"suite {values['suite']} on {values['corpus']}, split {values['split']}"
        low, high = clean["skill_interval"]["low"], clean["skill_interval"]["high"]
        told = [
            f"Clean: skill {number(clean['skill'])} {span(low, high)}, CCC {number(clean['ccc'])}, mean accuracy "
            f"{number(clean['mean_accuracy'], 4)} on {values['clips']} clips."
        ]
        told += [
            f"Mean retention over the six scenarios at severity {severity}: {number(kept, 2)}."
            for severity, kept in values["six"]["retention"].items()
        ]
        worst, below = values["worst"], [name for names in values["below_constant"].values() for name in names]
        told += [] if worst is None else [f"Worst cell: {worst['cell']}, skill {number(worst['skill'])}."]
        told += [f"Cells below the constant: {', '.join(below) or 'none'}."]
        told += [checked(values["checks"])]
        told += [f"Not run: {name}: {reason}" for name, reason in values["not_run"].items()]
        skill = float(clean["skill"])
        drawn = ""
        if scenarios:
            drawn += large(curves(title, skill, scenarios), f"Skill by severity, {title}; the numbers are in the table")
            drawn += large(heat_map(title, scenarios), f"Retention by severity, {title}; the numbers are in the table")
        listed = retentions(scenarios, groups(values["families"]), values)
    lines = "".join(f"<li>{text(line)}</li>\n" for line in told)
    return f"<h3>{text(title[:1].upper() + title[1:])}</h3>\n<ul>\n{lines}</ul>\n{drawn}{listed}"


def checked(checks: dict[str, Any]) -> str:
    """What the suite says of itself, with whatever it found."""
    told = [
        f"{name} {check['verdict']}" + (f" ({'; '.join(check['found'])})" if check["found"] else "")
        for name, check in checks.items()
    ]
    return f"Checks of the suite: {', '.join(told)}."


def groups(values: dict[str, Any]) -> dict[str, Group]:
    return {name: group_of(value) for name, value in values.items()}


def group_of(value: dict[str, Any]) -> Group:
    """As the summary wrote it: severities are text there, and null is NaN.

    Raises:
        ValueError: a severity that is none.
    """
    by_severity = {name: {int(s): known(v) for s, v in value[name].items()} for name in BY_SEVERITY}
    if any(severity not in SEVERITIES for kept in by_severity.values() for severity in kept):
        raise ValueError("a severity that is not 1 to 5")
    return Group(
        family=str(value["family"]),
        held_out=bool(value["held_out"]),
        retention=by_severity["retention"],
        skill=by_severity["skill"],
        mean_retention=known(value["mean_retention"]),
        area=known(value["area"]),
        effective_robustness=known(value["effective_robustness"]),
        quality_spearman=known(value["quality_spearman"]),
        coverage=by_severity["coverage"],
        width=by_severity["width"],
    )


def known(value: Any) -> float:
    return math.nan if value is None else float(value)


def retentions(scenarios: Mapping[str, Group], families: Mapping[str, Group], values: dict[str, Any]) -> str:
    """Scenarios, then families, then seen and held-out ones together."""
    together = {
        group.family: group for name in ("seen", "held_out") if values[name] for group in [group_of(values[name])]
    }
    rows = [
        [name, f"{group.family}{' *' if group.held_out else ''}", *cells(group)]
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


def cells(group: Group) -> list[str]:
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
