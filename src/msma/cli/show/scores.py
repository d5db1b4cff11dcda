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
    from msma.evaluation.score import Part
    from msma.metrics import Interval

SHOWN = 20
"""Values of a column in the table; the JSON has all."""


SAME_LABEL = 1e-6
"""Labels that differ by less are the same, but for rounding."""


def show_json(values: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(values, indent=2, allow_nan=False) + "\n")


def show_evaluation(evaluation: Evaluation) -> None:
    """Traits down, metrics across; baselines, slices by source and the ceiling below; then the slices by column."""
    scored, console = evaluation.scored, stdout()
    whole = scored.whole
    names = list(whole.metrics)
    table = Table(
        "", "clips", *names, title=printable(f"{evaluation.model} on {evaluation.corpus}, split {evaluation.split}")
    )
    for row in whole.metrics[names[0]]:
        style = "bold" if row == "mean" else ""
        table.add_row(row, str(whole.clips), *(number(whole.metrics[name][row]) for name in names), style=style)
    table.add_section()
    seen, unseen = scored.seen_source, scored.unseen_source
    for title, part, metrics in (
        ("constant", whole, whole.baselines["constant"]),
        ("same source, no media", whole, whole.baselines["same_source"]),
        ("seen sources", seen, seen.metrics),
        ("  same source, no media", seen, seen.baselines["same_source"]),
        ("unseen sources", unseen, unseen.metrics),
        ("  constant", unseen, unseen.baselines["constant"]),
    ):
        table.add_row(title, str(part.clips), *(number(metrics[name]["mean"]) for name in names))
    best = evaluation.ceiling
    if best is not None:
        table.add_row("ceiling", "", *(number(best[name]["mean"]) if name in best else "" for name in names))
    console.print(table)
    for name, intervals in whole.intervals.items():
        console.print(f"{name}: 95 % interval by source {bounds(intervals['mean'])}")
    if evaluation.prediction_intervals is not None:
        show_coverage(evaluation.prediction_intervals, console)
    if best is not None:
        console.print(f"share of the ceiling (CCC): {whole.metrics['ccc']['mean'] / best['ccc']['mean']:.2f}")
    if evaluation.degraded:
        console.print(f"{evaluation.degraded} clips were degraded")
    if evaluation.failed:
        console.print(f"{len(evaluation.failed)} of {evaluation.clips_in_split} clips are not scored")
    for column, parts in scored.columns.items():
        show_column(column, parts, scored.gaps[column])
    comparisons = max((gap.comparisons for gap in scored.gaps.values()), default=0)
    if comparisons:
        console.print(f"gaps: value minus the rest; with 95 %, all {comparisons} intervals hold together")


def show_coverage(report: CoverageReport, console: Console) -> None:
    """A line for all answers, and one by what could be used where that differs."""
    parts = {"": report.whole} | (report.available if len(report.available) > 1 else {})
    for available, part in parts.items():
        held, width = number(part.coverage["mean"]), number(part.width["mean"])
        of = f" of the {part.clips} answers by {available}" if available else ""
        console.print(f"{report.nominal:.0%} intervals{of} hold {held} of the labels; mean width {width}")


def show_column(column: str, parts: Mapping[str, Part], gap: Gap) -> None:
    """The values of a column, largest first, and the gaps between each and the rest."""
    column = printable(column)
    traits = list(next(iter(parts.values())).metrics["bias"])
    initials = (trait[0].upper() if trait != "mean" else trait for trait in traits)
    table = Table(
        column, "clips", "sources", "ccc [95 %]", "mean_accuracy [95 %]", "skill", *(f"bias {i}" for i in initials)
    )
    for value, part in sorted(parts.items(), key=lambda item: -item[1].clips)[:SHOWN]:
        table.add_row(
            shown(value),
            str(part.clips),
            str(part.sources),
            *(
                f"{number(part.metrics[m]['mean'])} {bounds(part.intervals[m]['mean'])}"
                for m in ("ccc", "mean_accuracy")
            ),
            number(part.metrics["skill"]["mean"]),
            *(signed(part.metrics["bias"][trait]) for trait in traits),
        )
    console = stdout()
    console.print(table)
    if len(parts) > SHOWN:
        console.print(f"{column}: and {len(parts) - SHOWN} smaller ones, in the JSON")
    mirrored = len(parts) == 2
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
    elif gap.largest_bias is not None and gap.largest_mean_accuracy is not None:
        value, trait = gap.largest_bias
        console.print(
            f"{column}: no clear gap; the largest are bias in {trait} of {shown(value)} "
            f"{difference(gap.groups[value].bias[trait])} and mean accuracy of {shown(gap.largest_mean_accuracy)} "
            f"{difference(gap.groups[gap.largest_mean_accuracy].mean_accuracy)}"
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


def show_comparison(against: str, comparison: Comparison) -> None:
    """Traits down, differences across."""
    metrics = comparison.differences
    table = Table(
        "", *metrics, title=f"minus {against}, on the {comparison.clips} common clips [95 %, paired by source]"
    )
    for row in next(iter(metrics.values())):
        cells = (difference(metrics[name][row]) for name in metrics)
        table.add_row(row, *cells, style="bold" if row == "mean" else "")
    stdout().print(table)


def show_folds(spread: dict[str, dict[str, dict[str, float]]]) -> None:
    """How much single folds differ."""
    for name, metrics in spread.items():
        for metric, of_folds in metrics.items():
            numbers = {key: f"{value:.4f}" for key, value in of_folds.items()}
            stdout().print(
                f"{name}, {metric} of {of_folds['folds']:.0f} single folds: {numbers['mean']} ± {numbers['std']} "
                f"({numbers['min']} to {numbers['max']})"
            )


def show_evaluations(evaluations: dict[str, tuple[dict[str, Any], Predictions]]) -> None:
    """One row an evaluation; differences are of the first to each other one.

    Raises:
        MsmaError: the evaluations are not of the same clips and labels, or one is damaged.
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
        try:
            table.add_row(name, *evaluation_cells(evaluation), paired)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise MsmaError(f"{name}: evaluation.json is damaged; make it again with `msma evaluate`") from error
    stdout().print(table)


def evaluation_cells(evaluation: dict[str, Any]) -> list[str]:
    from msma.metrics import Interval

    metrics, constant = evaluation["metrics"], evaluation["baselines"]["constant"]
    ccc, ceiling = known(metrics["ccc"]["mean"]), (evaluation["ceiling"] or {}).get("ccc", {}).get("mean")
    interval = Interval(*(known(evaluation["intervals"]["ccc"][end]) for end in ("low", "high")))
    return [
        evaluation["fusion"] or "",
        str(evaluation["clips"]),
        f"{number(ccc)} {bounds(interval)}",
        "" if ceiling is None else f"{ceiling:.3f}",
        "" if ceiling is None else f"{ccc / ceiling:.2f}",
        number(metrics["mean_accuracy"]["mean"]),
        number(constant["mean_accuracy"]["mean"]),
    ]


def shown(value: str) -> str:
    return printable(value)[:60] or "(none)"


def known(value: float | None) -> float:
    """A number of the JSON; null is NaN."""
    return math.nan if value is None else value


def number(value: float) -> str:
    return "-" if math.isnan(value) else f"{round(value, 4) + 0.0:.4f}"  # + 0.0: no -0.0000


def signed(value: float) -> str:
    return "-" if math.isnan(value) else f"{round(value, 3) + 0.0:+.3f}"


def bounds(interval: Interval) -> str:
    return "" if math.isnan(interval.low) else f"[{interval.low:.4f}, {interval.high:.4f}]"


def difference(value: Difference) -> str:
    return f"{signed(value.difference)} [{signed(value.low)}, {signed(value.high)}]"
