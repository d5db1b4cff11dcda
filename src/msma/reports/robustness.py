"""The tables of a robustness suite: what is left of the skill on corrupted clips."""

from __future__ import annotations

import math
from collections.abc import Iterator

from msma.evaluation.robustness.summary import Group, SuiteSummary
from msma.metrics import ROUNDING
from msma.reports.numbers import number, signed, span
from msma.reports.table import Block, Row, Table

CHECKED = {
    "severity": "corruptions distort more at a higher severity",
    "modalities": "the network uses what it reads",
    "nothing": "with nothing there, the prediction is the mean-label baseline and quality is 0",
}

NOTES = (
    "Retention is skill over clean skill; * held out of training; bold: the mean of a family.",
    "area: under the retention curve, severities 0 to 5; vs late fusion: how much higher the skill is than that of a "
    "static late fusion of the same encoders would be, were it as good on clean clips; quality ρ: rank correlation of "
    "predicted quality with the one that the severity leaves; coverage and width of the prediction intervals at the "
    "highest severity.",
)


def robustness_blocks(found: SuiteSummary) -> Iterator[Block]:
    """Retention by severity, then what the suite comes to as a whole, and its checks."""
    yield suite_table(found)
    yield from findings(found)
    for name, check in found.checks.items():
        lines = f" ({'; '.join(check.found)})" if check.found else ""
        yield f"check, {CHECKED[name]}: {check.verdict}{lines}"


def suite_title(found: SuiteSummary) -> str:
    return f"{found.model} on {found.corpus}, split {found.split}, suite {found.suite}"


def suite_table(found: SuiteSummary) -> Table:
    """Retention by severity, and what goes beyond it: a row for each scenario and family."""
    groups = list(ordered(found))
    severities = sorted({severity for _, group, _ in groups for severity in group.retention})
    rows = [
        Row(
            name,
            *(number(group.retention.get(severity), 2) for severity in severities),
            number(group.mean_retention, 2),
            number(group.area, 2),
            signed(group.effective_robustness),
            number(group.quality_spearman, 2),
            number(last(group.coverage), 2),
            number(last(group.width), 2),
            strong=family,
            rule=group is found.seen,
        )
        for name, group, family in groups
    ]
    heads = ["", *map(str, severities), "mean", "area", "vs late fusion", "quality ρ", "coverage", "width"]
    return Table(f"{suite_title(found)}: retention by severity", heads, rows, NOTES)


def ordered(found: SuiteSummary) -> Iterator[tuple[str, Group, bool]]:
    """Name, group, and whether it is of several scenarios: scenarios under their family, then what was seen in training
    and what was not."""
    families = [group.family for group in found.scenarios.values()]
    for place, (name, group) in enumerate(found.scenarios.items()):
        first_of_several = families.index(group.family) == place and families.count(group.family) > 1
        if first_of_several and group.family in found.families:
            yield starred(group.family, group), found.families[group.family], True
        yield starred(name, group), group, False
    for group in (found.seen, found.held_out):
        if group is not None:
            yield group.family, group, True


def starred(name: str, group: Group) -> str:
    return f"{name} *" if group.held_out else name


def last(by_severity: dict[int, float]) -> float:
    """The value at the highest severity."""
    return by_severity[max(by_severity)] if by_severity else math.nan


def findings(found: SuiteSummary) -> Iterator[str]:
    clean = found.clean
    held = "" if math.isnan(clean.coverage) else f"; intervals hold {clean.coverage:.2f}, {clean.width:.2f} wide"
    yield (
        f"clean: skill {number(clean.skill)} {span(clean.skill_interval)}, mean accuracy "
        f"{number(clean.mean_accuracy, 4)}, CCC {number(clean.ccc)} on {found.clips} clips{held}"
    )
    if clean.skill <= ROUNDING:
        yield "warning: without skill on clean clips there is no retention"
    for severity, retention in found.six.retention.items():
        left = "not known" if math.isnan(retention) else number(retention, 2)
        yield f"mean retention over the six scenarios at severity {severity}: {left}"
    if not math.isnan(found.effective_robustness):
        sure = span(found.effective_robustness_interval, 4, sign=True)
        effective = f"{found.effective_robustness:+.4f} skill {sure}".rstrip()
        yield f"effective robustness (mean over severities 3 to 5): {effective}"
    if found.worst is not None:
        yield f"worst cell: {found.worst.cell}, skill {number(found.worst.skill)}"
    low, high = (", ".join(cells) or "none" for cells in vars(found.below_constant).values())
    yield f"cells of severity 3 or less below the constant: {low}"
    yield f"cells of severity 4 and 5 below the constant: {high}"
    for name, reason in found.not_run.items():
        yield f"not run: {name}: {reason}"
