"""The summary of a robustness suite on stdout."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from rich.table import Table

from msma.cli.show.scores import SHOWN, bounds, difference, number, shown
from msma.cli.show.tables import printable, stdout

if TYPE_CHECKING:
    from msma.evaluation.gaps import Difference
    from msma.evaluation.robustness.slices import LeftByGroup
    from msma.evaluation.robustness.summary import Group, SuiteSummary

CHECKED = {
    "severity": "corruptions distort more at a higher severity",
    "modalities": "the network uses what it reads",
    "nothing": "with nothing there, the answer is the prior and quality is 0",
}


def show_summary(summary: SuiteSummary) -> None:
    """Retention by severity: scenarios, then families; below them what the suite says as a whole, and the checks."""
    from msma.metrics import ROUNDING

    console, clean = stdout(), summary.clean
    severities = sorted({severity for group in summary.scenarios.values() for severity in group.retention})
    columns = ("", "family", *map(str, severities), "mean", "area", "vs late fusion", "quality ρ")
    title = f"{summary.model} on {summary.corpus}, split {summary.split}: retention by severity"
    table = Table(*columns, title=printable(title))
    for name, group in summary.scenarios.items():
        table.add_row(name, family_of(group), *shares(group, severities))
    table.add_section()
    for group in summary.families.values():
        table.add_row("", family_of(group), *shares(group, severities))
    table.add_section()
    for group in (summary.seen, summary.held_out):
        if group is not None:
            table.add_row("", group.family, *shares(group, severities), style="bold")
    console.print(table)
    console.print(
        "retention: skill / clean skill; area: under the curve, severities 0 to 5; vs late fusion: how much less skill "
        "is lost than by a static late fusion of the same encoders; quality ρ: rank correlation of predicted quality "
        "with the one that the severity leaves; * held out of training",
        soft_wrap=True,
    )
    console.print(
        f"clean: skill {number(clean.skill)} {bounds(clean.skill_interval)}, mean accuracy "
        f"{number(clean.mean_accuracy)}, CCC {number(clean.ccc)} on {summary.clips} clips"
        + ("" if math.isnan(clean.coverage) else f"; intervals hold {share(clean.coverage)}, {share(clean.width)} wide")
    )
    if clean.skill <= ROUNDING:
        console.print("warning: without skill on clean clips there is no retention")
    for severity, retention in summary.six.retention.items():
        left = share(retention) or "not known"
        console.print(f"mean retention over the six scenarios at severity {severity}: {left}")
    if not math.isnan(summary.effective_robustness):
        console.print(f"effective robustness (mean over cells): {summary.effective_robustness:+.4f} skill")
    for group in (summary.seen, summary.held_out):
        if group is not None and not math.isnan(clean.coverage):
            held, wide = (" ".join(map(share, values.values())) for values in (group.coverage, group.width))
            console.print(f"intervals, {group.family}: hold {held} of the labels by severity, {wide} wide")
    if summary.worst is not None:
        console.print(f"worst cell: {summary.worst.cell}, skill {number(summary.worst.skill)}")
    for names, which in (
        (summary.below_constant.up_to_severity_3, "of severity 3 or less"),
        (summary.below_constant.above, "of severity 4 and 5"),
    ):
        console.print(f"cells {which} below the constant: {', '.join(names) or 'none'}", soft_wrap=True)
    for name, check in summary.checks.items():
        console.print(f"check, {CHECKED[name]}: {check.verdict}")
        for line in check.found:
            console.print(f"  {line}", soft_wrap=True)


def show_slices(left: LeftByGroup) -> None:
    """What is left of the skill by group, a table for each column, largest groups first."""
    console = stdout()
    for name, column in left.columns.items():
        table = Table(
            printable(name), "clips", "sources", "clean skill", "clean accuracy", "mean retention", "minus the rest"
        )
        groups = sorted(column.groups.items(), key=lambda item: -item[1].clips)
        for value, group in groups[:SHOWN]:
            table.add_row(
                shown(value),
                str(group.clips),
                str(group.sources),
                number(group.clean.skill),
                number(group.clean.mean_accuracy),
                share(group.mean_retention),
                "" if group.minus_rest is None else apart(group.minus_rest),
            )
        console.print(table)
        if len(groups) > SHOWN:
            console.print(f"{printable(name)}: and {len(groups) - SHOWN} smaller ones, in the JSON")
        if column.largest is None:
            console.print(f"{printable(name)}: too few sources or no clean skill: no gap in retention can be told")
        else:
            verdict = "a clear gap" if column.clear else "no clear gap"
            console.print(f"{printable(name)}: {verdict} in retention")
    comparisons = max((column.comparisons for column in left.columns.values()), default=0)
    if comparisons:
        console.print(f"minus the rest: all intervals hold together with 95 %; comparisons: {comparisons}")


def apart(value: Difference) -> str:
    """Without an interval where there is none."""
    known = not math.isnan(value.low)
    return difference(value) if known else "" if math.isnan(value.difference) else f"{value.difference:+.3f}"


def family_of(group: Group) -> str:
    return f"{group.family} *" if group.held_out else group.family


def shares(group: Group, severities: list[int]) -> list[str]:
    retention = (group.retention.get(severity, math.nan) for severity in severities)
    effective = group.effective_robustness
    return [
        *map(share, (*retention, group.mean_retention, group.area)),
        "" if math.isnan(effective) else f"{effective:+.3f}",
        share(group.quality_spearman),
    ]


def share(value: float) -> str:
    return "" if math.isnan(value) else f"{round(value, 2) + 0.0:.2f}"  # + 0.0: no -0.00
