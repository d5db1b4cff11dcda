"""The tables of an evaluation and a calibration: scores beside baselines, intervals, groups, comparisons."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from msma.evaluation.comparison import Comparison, compare
from msma.evaluation.coverage import CoverageReport
from msma.evaluation.evaluation import Evaluation
from msma.evaluation.predictions import Predictions
from msma.evaluation.results import CrossValidation
from msma.metrics import METRICS, RESAMPLED, ByTrait
from msma.reports.groups import group_blocks
from msma.reports.numbers import difference, metric_cells, metric_name, number, with_interval
from msma.reports.table import Block, Row, Table
from msma.types import MsmaError
from msma.weights.calibration import QUALITY_EDGES, Calibration, level_of

COLUMNS = (*RESAMPLED, *(name for name in METRICS if name not in RESAMPLED))
"""The metrics with intervals first."""
USED = {"both": "audio and visual", "audio": "audio alone", "visual": "visual alone", "nothing": "nothing"}
QUALITIES = tuple(
    f"quality {low:.1f} to {high:.1f}" for low, high in zip((0.0, *QUALITY_EDGES), (*QUALITY_EDGES, 1.0), strict=True)
)
"""The bins of a calibration."""
SHOWN_COVERAGE = 0.9
MAX_REASONS = 5
SAME_LABEL = 1e-6
"""Labels that differ by less are the same, but for rounding."""


def evaluation_blocks(found: Evaluation) -> Iterator[Block]:
    """All that an evaluation holds."""
    yield from score_blocks(found)
    if found.operating_points is not None:
        yield points_table(found)
    if found.prediction_intervals is not None:
        yield coverage_table(found.prediction_intervals, found.split)
    for column in found.slices.columns:
        yield from group_blocks(found, column)
    if found.against is not None:
        yield comparison_table(found.against)


def score_blocks(found: Evaluation) -> Iterator[Block]:
    """Every metric by trait and baseline, and why clips are not scored."""
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
        Row(trait, str(found.clips), *metric_cells(found, trait, COLUMNS), strong=trait == "mean")
        for trait in found.metrics["ccc"]
    ]
    seen, unseen = found.slices.seen_source, found.slices.unseen_source
    rows.append(mean_row("constant", found.clips, found.baselines["constant"], rule=True))
    rows.append(mean_row("same source, no media", found.clips, found.baselines["same_source"]))
    if seen.clips and unseen.clips:
        rows.append(mean_row("seen sources", seen.clips, seen.metrics))
        rows.append(mean_row("seen: same source", seen.clips, seen.baselines["same_source"]))
        rows.append(mean_row("unseen sources", unseen.clips, unseen.metrics))
        rows.append(mean_row("unseen: constant", unseen.clips, unseen.baselines["constant"]))
    if found.abstention is not None and (without := found.abstention.without) is not None:
        rows.append(mean_row("without abstained", without.clips, without.metrics))
    if found.ceiling is not None:
        rows.append(mean_row("ceiling", found.clips, found.ceiling))
    for part, best in (found.ceiling_without or {}).items():
        rows.append(mean_row(f"ceiling without {part}", found.clips, best))
    note = (
        "In brackets, 95 % intervals by bootstrap over sources. Below the mean, to compare with (means over traits): "
        "the mean training label (constant), the mean label of the same source, and the ceiling where it is known."
    )
    title = f"{found.model} on {found.corpus}, split {found.split}"
    return Table(title, ["", "clips", *map(metric_name, COLUMNS)], rows, [note])


def points_table(found: Evaluation) -> Table:
    """One network's two operating points beside the constant, means over traits."""
    points = found.operating_points or {}
    rows = [mean_row(name, found.clips, metrics) for name, metrics in points.items()]
    rows.append(mean_row("constant", found.clips, found.baselines["constant"], rule=True))
    note = (
        "One network: its scores mapped for the least error (accuracy: the default, as above), or to the mean and the "
        "spread of the labels (ccc)."
    )
    return Table("Operating points, means over traits", ["", "clips", *map(metric_name, COLUMNS)], rows, [note])


def mean_row(name: str, clips: int, values: Mapping[str, ByTrait], *, rule: bool = False) -> Row:
    """The metrics of something to compare with, where it has them."""
    means = [number(values[metric]["mean"]) if metric in values else "" for metric in COLUMNS]
    return Row(name, str(clips), *means, rule=rule)


def coverage_table(report: CoverageReport, split: str) -> Table:
    """How often and how narrowly prediction intervals hold the labels, by what was used of a clip."""
    held = {"all predictions": report.whole} | {USED[name]: part for name, part in report.available.items()}
    rows = []
    for name, part in held.items():
        cells = (f"{number(part.coverage[trait])}\nwidth {number(part.width[trait], 2)}" for trait in part.coverage)
        rows.append(Row(name, str(part.clips), *cells))
    title = f"Split {split}: share of the labels in their {report.nominal:.0%} intervals, by what was used"
    return Table(title, ["", "clips", *report.whole.coverage], rows, ["Below each share, the mean width."])


def half_widths_table(calibration: Calibration) -> Table:
    """The half-widths of prediction intervals at SHOWN_COVERAGE, by what was used and predicted quality."""
    about, level = calibration.about, level_of(SHOWN_COVERAGE)
    traits = list(next(iter(calibration.bins.values()))[0].half_widths)
    rows = [
        Row(
            f"{USED[available]}, {quality}",
            f"{one.answers}\n{one.sources} sources",
            *("unknown" if widths[level] is None else number(widths[level]) for widths in one.half_widths.values()),
            rule=place == 0,
        )
        for available, bins in calibration.bins.items()
        for place, (quality, one) in enumerate(zip(QUALITIES, bins, strict=True))
    ]
    title = f"half-widths of {SHOWN_COVERAGE:.0%} intervals"
    note = f"From {about.clips} clips of {about.sources} sources ({about.corpus}, split {about.split})."
    return Table(title, ["used", "predictions", *traits], rows, [note])


def comparison_table(found: Comparison) -> Table:
    """Traits down, differences across."""
    metrics = found.differences
    rows = [
        Row(trait, *(difference(metrics[name][trait]) for name in metrics), strong=trait == "mean")
        for trait in metrics["ccc"]
    ]
    title = f"minus {found.file}, on the {found.clips} common clips [95 %, paired by source]"
    return Table(title, ["", *map(metric_name, metrics)], rows)


def fold_lines(found: CrossValidation) -> Iterator[str]:
    """How much single folds differ."""
    for name, metrics in found.spread.items():
        for metric, one in metrics.items():
            spread = f"{one.mean:.4f} ± {one.std:.4f} ({one.min:.4f} to {one.max:.4f})"
            yield f"{name}, {metric} of {one.folds} single folds: {spread}"


def evaluations_table(evaluations: Mapping[str, tuple[Evaluation, Predictions]]) -> Table:
    """A row for each evaluation, with the difference of the first from it; MsmaError where they are not of the same
    clips and labels."""
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
                name,
                str(found.clips),
                with_interval(ccc, found.intervals["ccc"]["mean"]),
                "" if name == first_name else difference(compare(first, predictions).differences["ccc"]["mean"]),
                f"{number(found.metrics['mean_accuracy']['mean'], 4)}\nconstant {number(constant, 4)}",
                "" if best is None else f"{number(ccc / best['ccc']['mean'], 2)}\nof {number(best['ccc']['mean'])}",
                found.fusion or "",
            )
        )
    heads = ["model", "clips", "CCC", "first - this (CCC)", "mean accuracy", "share of the ceiling", "fusion"]
    return Table("Evaluations on the same clips, with 95 % intervals", heads, rows)
