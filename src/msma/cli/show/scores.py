"""Scores on stdout: the split beside its baselines, its slices, and comparisons."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from rich.table import Table

from msma.cli.show.tables import printable, stdout

if TYPE_CHECKING:
    from rich.console import Console

    from msma.evaluation.comparison import Comparison
    from msma.evaluation.coverage import CoverageReport
    from msma.evaluation.evaluation import Evaluation
    from msma.evaluation.gaps import Difference, Gap
    from msma.evaluation.predictions import Predictions
    from msma.evaluation.result_file import Result
    from msma.evaluation.results import CrossValidation
    from msma.evaluation.score import ClipScores
    from msma.metrics import Interval

SHOWN = 20
"""Values of a column in the table; the JSON has all."""


SAME_LABEL = 1e-6
"""Labels that differ by less are the same, but for rounding."""


def show_json(values: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(values, indent=2, allow_nan=False) + "\n")


def show_result(value: Result) -> None:
    """As its file holds it."""
    from msma.evaluation.result_file import as_json

    sys.stdout.write(as_json(value))


def show_evaluation(evaluation: Evaluation) -> None:
    """Traits down, metrics across; baselines, slices by source and the ceiling below; then the slices by column."""
    console, metrics, names = stdout(), evaluation.metrics, list(evaluation.metrics)
    table = Table(
        "", "clips", *names, title=printable(f"{evaluation.model} on {evaluation.corpus}, split {evaluation.split}")
    )
    for row in metrics[names[0]]:
        style = "bold" if row == "mean" else ""
        table.add_row(row, str(evaluation.clips), *(number(metrics[name][row]) for name in names), style=style)
    table.add_section()
    seen, unseen = evaluation.slices.seen_source, evaluation.slices.unseen_source
    for title, scores, values in (
        ("constant", evaluation, evaluation.baselines["constant"]),
        ("same source, no media", evaluation, evaluation.baselines["same_source"]),
        ("seen sources", seen, seen.metrics),
        ("  same source, no media", seen, seen.baselines["same_source"]),
        ("unseen sources", unseen, unseen.metrics),
        ("  constant", unseen, unseen.baselines["constant"]),
    ):
        table.add_row(title, str(scores.clips), *(number(values[name]["mean"]) for name in names))
    abstention = evaluation.abstention
    if abstention is not None and abstention.without is not None:
        without = abstention.without
        cells = (number(without.metrics[name]["mean"]) for name in names)
        table.add_row("without abstained", str(without.clips), *cells)
    best = evaluation.ceiling
    if best is not None:
        table.add_row("ceiling", "", *(number(best[name]["mean"]) if name in best else "" for name in names))
    console.print(table)
    for name, intervals in evaluation.intervals.items():
        console.print(f"{name}: 95 % interval by source {bounds(intervals['mean'])}")
    if evaluation.prediction_intervals is not None:
        show_coverage(evaluation.prediction_intervals, console)
    if best is not None:
        console.print(f"share of the ceiling (CCC): {metrics['ccc']['mean'] / best['ccc']['mean']:.2f}")
    if evaluation.degraded:
        console.print(f"{evaluation.degraded} clips were degraded")
    if abstention is not None:
        console.print(
            f"the model abstains on {abstention.clips} of {evaluation.clips} clips "
            f"(quality of audio and visual below {abstention.min_quality:g})"
        )
    if evaluation.failed:
        console.print(
            f"{len(evaluation.failed)} of {round(evaluation.clips / evaluation.coverage)} clips are not scored"
        )
    for column, groups in evaluation.slices.columns.items():
        show_column(column, groups, evaluation.gaps[column])
    comparisons = max((gap.comparisons for gap in evaluation.gaps.values()), default=0)
    if comparisons:
        console.print(f"gaps: value minus the rest; with 95 %, all {comparisons} intervals hold together")
    if evaluation.against is not None:
        show_comparison(evaluation.against)


def show_coverage(report: CoverageReport, console: Console) -> None:
    """A line for all answers, and one by what could be used where that differs."""
    parts = {"": report.whole} | (report.available if len(report.available) > 1 else {})
    for available, part in parts.items():
        held, width = number(part.coverage["mean"]), number(part.width["mean"])
        of = f" of the {part.clips} answers by {available}" if available else ""
        console.print(f"{report.nominal:.0%} intervals{of} hold {held} of the labels; mean width {width}")


def show_column(column: str, groups: Mapping[str, ClipScores], gap: Gap) -> None:
    """The values of a column, largest first, and the gaps between each and the rest."""
    column = printable(column)
    traits = list(next(iter(groups.values())).metrics["bias"])
    initials = (trait[0].upper() if trait != "mean" else trait for trait in traits)
    table = Table(
        column, "clips", "sources", "ccc [95 %]", "mean_accuracy [95 %]", "skill", *(f"bias {i}" for i in initials)
    )
    for value, scores in sorted(groups.items(), key=lambda item: -item[1].clips)[:SHOWN]:
        table.add_row(
            shown(value),
            str(scores.clips),
            str(scores.sources),
            *(
                f"{number(scores.metrics[m]['mean'])} {bounds(scores.intervals[m]['mean'])}"
                for m in ("ccc", "mean_accuracy")
            ),
            number(scores.metrics["skill"]["mean"]),
            *(signed(scores.metrics["bias"][trait]) for trait in traits),
        )
    console = stdout()
    console.print(table)
    if len(groups) > SHOWN:
        console.print(f"{column}: and {len(groups) - SHOWN} smaller ones, in the JSON")
    mirrored = len(groups) == 2
    found = [
        f"{what} of {shown(value)} {difference(gap_of)}"
        for value, group in list(gap.groups.items())[: 1 if mirrored else None]
        for what, gap_of in (
            *((f"bias in {t}", d) for t, d in group.bias.items()),
            ("mean accuracy", group.mean_accuracy),
        )
        if gap_of.clear
    ]
    if found:
        console.print(f"{column}: clear gaps: {'; '.join(found)}")
    elif gap.largest.bias is not None and gap.largest.mean_accuracy is not None:
        bias, accuracy = gap.largest.bias, gap.largest.mean_accuracy
        console.print(
            f"{column}: no clear gap; the largest are bias in {bias.trait} of {shown(bias.value)} {difference(bias)} "
            f"and mean accuracy of {shown(accuracy.value)} {difference(accuracy)}"
        )
    else:
        console.print(f"{column}: too few sources in each value to look for gaps")
    effects = [
        f"{trait} of {shown(value)} {difference(effect.labels)}, in the answers {effect.predictions:+.3f} "
        f"(amplification {effect.amplification:.2f})"
        for value, group in list(gap.groups.items())[: 1 if mirrored else None]
        for trait, effect in group.effects.items()
        if effect.labels.clear
    ]
    if effects:
        console.print(f"{column}: the labels themselves differ: {'; '.join(effects)}", soft_wrap=True)


def show_comparison(comparison: Comparison) -> None:
    """Traits down, differences across."""
    metrics = comparison.differences
    table = Table(
        "", *metrics, title=f"minus {comparison.file}, on the {comparison.clips} common clips [95 %, paired by source]"
    )
    for row in next(iter(metrics.values())):
        cells = (difference(metrics[name][row]) for name in metrics)
        table.add_row(row, *cells, style="bold" if row == "mean" else "")
    stdout().print(table)


def show_folds(found: CrossValidation) -> None:
    """How much single folds differ."""
    for name, metrics in found.spread.items():
        for metric, one in metrics.items():
            stdout().print(
                f"{name}, {metric} of {one.folds} single folds: {one.mean:.4f} ± {one.std:.4f} "
                f"({one.min:.4f} to {one.max:.4f})"
            )


def show_evaluations(evaluations: dict[str, tuple[Evaluation, Predictions]]) -> None:
    """One row an evaluation; differences are of the first to each other one.

    Raises:
        MsmaError: the evaluations are not of the same clips and labels.
    """
    import numpy as np

    from msma.evaluation.comparison import compare
    from msma.types import MsmaError

    (first_name, (_, first)), *_ = evaluations.items()
    table = Table(
        "model", "fusion", "clips", "CCC [95 %]", "ceiling", "share", "mean accuracy", "constant", "first - this (CCC)"
    )
    for name, (evaluation, predictions) in evaluations.items():
        if predictions.clips != first.clips:
            raise MsmaError(f"{name}: not of the same clips as {first_name}; evaluate both on one manifest and split")
        if np.nanmax(np.abs(predictions.target - first.target), initial=0.0) > SAME_LABEL:
            raise MsmaError(f"{name}: of other labels than {first_name}; evaluate both on one manifest")
        paired = "" if name == first_name else difference(compare(first, predictions).differences["ccc"]["mean"])
        ccc = evaluation.metrics["ccc"]["mean"]
        ceiling = None if evaluation.ceiling is None else evaluation.ceiling["ccc"]["mean"]
        table.add_row(
            name,
            evaluation.fusion or "",
            str(evaluation.clips),
            f"{number(ccc)} {bounds(evaluation.intervals['ccc']['mean'])}",
            "" if ceiling is None else f"{ceiling:.3f}",
            "" if ceiling is None else f"{ccc / ceiling:.2f}",
            number(evaluation.metrics["mean_accuracy"]["mean"]),
            number(evaluation.baselines["constant"]["mean_accuracy"]["mean"]),
            paired,
        )
    stdout().print(table)


def shown(value: str) -> str:
    return printable(value)[:60] or "(none)"


def number(value: float) -> str:
    return "-" if math.isnan(value) else f"{round(value, 4) + 0.0:.4f}"  # + 0.0: no -0.0000


def signed(value: float) -> str:
    return "-" if math.isnan(value) else f"{round(value, 3) + 0.0:+.3f}"


def bounds(interval: Interval) -> str:
    return "" if math.isnan(interval.low) else f"[{interval.low:.4f}, {interval.high:.4f}]"


def difference(value: Difference) -> str:
    return f"{signed(value.difference)} [{signed(value.low)}, {signed(value.high)}]"
