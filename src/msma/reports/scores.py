"""The tables of an evaluation and a calibration: scores beside baselines, intervals, groups, comparisons."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from msma.evaluation.comparison import Comparison, compare
from msma.evaluation.coverage import CoverageReport
from msma.evaluation.disparities import Difference, Disparities, GroupDisparity
from msma.evaluation.evaluation import Evaluation
from msma.evaluation.predictions import Predictions
from msma.evaluation.results import CrossValidation
from msma.evaluation.score import ClipScores
from msma.metrics import METRICS, RESAMPLED
from msma.reports.numbers import difference, number, signed, span, with_interval
from msma.reports.table import Block, Row, Table
from msma.types import MsmaError
from msma.weights.calibration import QUALITY_EDGES, Calibration, level_of

METRIC_NAMES = {"ccc": "CCC", "pcc": "PCC", "mae": "MAE", "r2": "R²"}
"""Those that are not called as in the results, with spaces."""
COLUMNS = (*RESAMPLED, *(name for name in METRICS if name not in RESAMPLED))
"""The metrics with intervals first."""
USED = {"both": "audio and visual", "audio": "audio alone", "visual": "visual alone", "nothing": "nothing"}
QUALITIES = tuple(
    f"quality {low:.1f} to {high:.1f}" for low, high in zip((0.0, *QUALITY_EDGES), (*QUALITY_EDGES, 1.0), strict=True)
)
"""The bins of a calibration."""
SHOWN_COVERAGE = 0.9
MAX_GROUPS = 20
"""Values of a column in a table; the JSON has all."""
MAX_REASONS = 5
SAME_LABEL = 1e-6
"""Labels that differ by less are the same, but for rounding."""


def metric_name(metric: str) -> str:
    return METRIC_NAMES.get(metric, metric.replace("_", " "))


def evaluation_blocks(found: Evaluation) -> Iterator[Block]:
    """All that an evaluation holds."""
    yield from score_blocks(found)
    if found.prediction_intervals is not None:
        yield coverage_table(found.prediction_intervals, found.split)
    for column in found.slices.columns:
        yield from group_blocks(found, column)
    if found.against is not None:
        yield comparison_table(found.against)


def score_blocks(found: Evaluation) -> Iterator[Block]:
    """Every metric by trait and baseline, and what kept clips from being scored."""
    yield scores_table(found)
    ccc, best = found.metrics["ccc"]["mean"], found.ceiling
    if best is not None:
        yield f"share of the ceiling (CCC): {number(ccc / best['ccc']['mean'], 2)}"
    if found.degraded:
        yield f"{found.degraded} clips were degraded"
    if found.abstention is not None:
        yield (
            f"the model abstains on {found.abstention.clips} of {found.clips} clips, where neither modality has a "
            f"predicted quality of {found.abstention.min_quality:g}; the scores count what its network predicts there"
        )
    if found.failed:
        reasons = list(found.failed.values())
        more = [f"and {len(reasons) - MAX_REASONS} more"] if len(reasons) > MAX_REASONS else []
        in_split = round(found.clips / found.coverage)
        yield f"{len(reasons)} of {in_split} clips are not scored: {'; '.join([*reasons[:MAX_REASONS], *more])}"


def scores_table(found: Evaluation) -> Table:
    """Traits down, metrics across; then the baselines, seen and unseen sources and the ceiling."""
    rows = [
        Row([trait, str(found.clips), *metric_cells(found, trait, COLUMNS)], strong=trait == "mean")
        for trait in found.metrics["ccc"]
    ]
    seen, unseen = found.slices.seen_source, found.slices.unseen_source
    others = [
        ("constant", found.clips, found.baselines["constant"]),
        ("same source, no media", found.clips, found.baselines["same_source"]),
    ]
    if seen.clips and unseen.clips:
        others += [
            ("seen sources", seen.clips, seen.metrics),
            ("seen: same source", seen.clips, seen.baselines["same_source"]),
            ("unseen sources", unseen.clips, unseen.metrics),
            ("unseen: constant", unseen.clips, unseen.baselines["constant"]),
        ]
    if found.abstention is not None and found.abstention.without is not None:
        others.append(("without abstained", found.abstention.without.clips, found.abstention.without.metrics))
    if found.ceiling is not None:
        others.append(("ceiling", found.clips, found.ceiling))
    rows += [
        Row(
            [name, str(clips), *(number(values[metric]["mean"]) if metric in values else "" for metric in COLUMNS)],
            rule=name == "constant",
        )
        for name, clips, values in others
    ]
    note = (
        "In brackets, 95 % intervals by bootstrap over sources. Below the mean, to compare with (means over traits): "
        "the mean training label (constant), the mean label of the same source, and the ceiling where it is known."
    )
    title = f"{found.model} on {found.corpus}, split {found.split}"
    return Table(title, ["", "clips", *map(metric_name, COLUMNS)], rows, [note])


def metric_cells(found: ClipScores, trait: str, metrics: Sequence[str]) -> list[str]:
    return [
        with_interval(found.metrics[metric][trait], found.intervals[metric][trait])
        if metric in found.intervals
        else number(found.metrics[metric][trait], sign=metric == "bias")
        for metric in metrics
    ]


def coverage_table(report: CoverageReport, split: str) -> Table:
    """How often and how narrowly prediction intervals hold the labels, by what was used of a clip."""
    held = {"all predictions": report.whole} | {USED[name]: part for name, part in report.available.items()}
    rows = [
        Row(
            [
                name,
                str(part.clips),
                *(f"{number(part.coverage[trait])}\nwidth {number(part.width[trait], 2)}" for trait in part.coverage),
            ]
        )
        for name, part in held.items()
    ]
    title = f"Split {split}: share of the labels in their {report.nominal:.0%} intervals, by what was used"
    return Table(title, ["", "clips", *report.whole.coverage], rows, ["Below each share, the mean width."])


def half_widths_table(calibration: Calibration) -> Table:
    """The half-widths of prediction intervals at SHOWN_COVERAGE, by what was used and predicted quality."""
    about, level = calibration.about, level_of(SHOWN_COVERAGE)
    traits = list(next(iter(calibration.bins.values()))[0].half_widths)
    rows = [
        Row(
            [
                f"{USED[available]}, {quality}",
                f"{one.answers}\n{one.sources} sources",
                *("unknown" if (width := one.half_widths[trait][level]) is None else number(width) for trait in traits),
            ],
            rule=place == 0,
        )
        for available, bins in calibration.bins.items()
        for place, (quality, one) in enumerate(zip(QUALITIES, bins, strict=True))
    ]
    title = f"half-widths of {SHOWN_COVERAGE:.0%} intervals"
    note = f"From {about.clips} clips of {about.sources} sources ({about.corpus}, split {about.split})."
    return Table(title, ["used", "predictions", *traits], rows, [note])


def group_blocks(found: Evaluation, column: str) -> Iterator[Block]:
    """The scores by value of a column, largest groups first, and which group disparities are clear."""
    by_value, gap = found.slices.columns[column], found.disparities[column]
    ordered, traits = sorted(by_value.items(), key=lambda item: -item[1].clips), list(found.metrics["bias"])
    rows = [
        Row(
            [
                named_value(value),
                f"{part.clips}\n{part.sources} sources",
                *metric_cells(part, "mean", RESAMPLED),
                *(signed(part.metrics["bias"][trait]) for trait in traits),
            ]
        )
        for value, part in ordered[:MAX_GROUPS]
    ]
    heads = [column, "clips", *map(metric_name, RESAMPLED), *(f"bias {trait}" for trait in traits)]
    yield Table(f"{column}, split {found.split}, with 95 % intervals", heads, rows)
    if len(ordered) > MAX_GROUPS:
        yield f"{column}: and {len(ordered) - MAX_GROUPS} smaller ones, in the JSON"
    yield f"{column}: {disparities(gap, len(by_value))}"
    effects = [
        f"{trait} of {named_value(value)} {one_line(effect.labels)}, in the predictions {signed(effect.predictions)} "
        f"(amplification {number(effect.amplification, 2)})"
        for value, group in compared_groups(gap, len(by_value))
        for trait, effect in group.effects.items()
        if effect.labels.clear
    ]
    if effects:
        yield f"{column}: the labels themselves differ: {'; '.join(effects)}"


def compared_groups(gap: Disparities, values: int) -> list[tuple[str, GroupDisparity]]:
    """Each group against the rest; of two values each is the rest of the other, so that one says it all."""
    return list(gap.groups.items())[: 1 if values == 2 else None]


def disparities(gap: Disparities, values: int) -> str:
    """Which group disparities are clear, or else the largest ones."""
    clear = [
        f"{what} of {named_value(value)} {one_line(found)}"
        for value, group in compared_groups(gap, values)
        for what, found in (
            *((f"bias in {trait}", bias) for trait, bias in group.bias.items()),
            ("mean accuracy", group.mean_accuracy),
        )
        if found.clear
    ]
    if clear:
        return f"clear gaps: {'; '.join(clear)}"
    bias, accuracy = gap.largest.bias, gap.largest.mean_accuracy
    if bias is None or accuracy is None:
        return "too few sources in each value to look for gaps"
    return (
        f"no clear gap; the largest are bias in {bias.trait} of {named_value(bias.value)} {one_line(bias)} and mean "
        f"accuracy of {named_value(accuracy.value)} {one_line(accuracy)}"
    )


def gap_table(column: str, gap: Disparities) -> Table:
    """Each value minus the rest; a clear gap has a star."""
    traits = list(next(iter(gap.groups.values())).bias)
    rows = [
        Row([named_value(value), *map(starred, (*group.bias.values(), group.mean_accuracy))])
        for value, group in gap.groups.items()
    ]
    heads = [column, *(f"bias {trait}" for trait in traits), "mean accuracy"]
    note = f"Simultaneous 95 % confidence intervals of all {gap.comparisons} comparisons; * excludes 0."
    return Table(f"{column}: each value minus the rest", heads, rows, [note])


def starred(value: Difference) -> str:
    return f"{signed(value.difference)}{'*' if value.clear else ''}\n{span(value, sign=True)}"


def one_line(value: Difference) -> str:
    return difference(value).replace("\n", " ")


def named_value(value: str) -> str:
    """A value of a column, short enough for a cell."""
    return value[:60] or "(none)"


def comparison_table(found: Comparison) -> Table:
    """Traits down, differences across."""
    metrics = found.differences
    rows = [
        Row([trait, *(difference(metrics[name][trait]) for name in metrics)], strong=trait == "mean")
        for trait in metrics["ccc"]
    ]
    title = f"minus {found.file}, on the {found.clips} common clips [95 %, paired by source]"
    return Table(title, ["", *map(metric_name, metrics)], rows)


def fold_lines(found: CrossValidation) -> Iterator[str]:
    """How much single folds differ."""
    for name, metrics in found.spread.items():
        for metric, one in metrics.items():
            yield (
                f"{name}, {metric} of {one.folds} single folds: {one.mean:.4f} ± {one.std:.4f} "
                f"({one.min:.4f} to {one.max:.4f})"
            )


def evaluations_table(evaluations: Mapping[str, tuple[Evaluation, Predictions]]) -> Table:
    """A row for each evaluation; differences are of the first to each other one.

    Raises:
        MsmaError: the evaluations are not of the same clips and labels.
    """
    (first_name, (_, first)), *_ = evaluations.items()
    rows = []
    for name, (found, predictions) in evaluations.items():
        if predictions.clips != first.clips:
            raise MsmaError(f"{name}: not of the same clips as {first_name}; evaluate both on one manifest and split")
        if np.nanmax(np.abs(predictions.target - first.target), initial=0.0) > SAME_LABEL:
            raise MsmaError(f"{name}: of other labels than {first_name}; evaluate both on one manifest")
        ccc, best = found.metrics["ccc"]["mean"], found.ceiling
        constant = found.baselines["constant"]["mean_accuracy"]["mean"]
        rows.append(
            Row(
                [
                    name,
                    str(found.clips),
                    with_interval(ccc, found.intervals["ccc"]["mean"]),
                    "" if name == first_name else difference(compare(first, predictions).differences["ccc"]["mean"]),
                    f"{number(found.metrics['mean_accuracy']['mean'], 4)}\nconstant {number(constant, 4)}",
                    "" if best is None else f"{number(ccc / best['ccc']['mean'], 2)}\nof {number(best['ccc']['mean'])}",
                    found.fusion or "",
                ]
            )
        )
    heads = ["model", "clips", "CCC", "first - this (CCC)", "mean accuracy", "share of the ceiling", "fusion"]
    return Table("Evaluations on the same clips, with 95 % intervals", heads, rows)
