"""The parts of a run's page that come from `msma evaluate`: scores beside baselines, intervals, groups."""

from __future__ import annotations

import numpy as np

from msma.evaluation.coverage import CoverageReport
from msma.evaluation.evaluation import Evaluation
from msma.evaluation.gaps import Difference, Gap
from msma.evaluation.predictions import Predictions
from msma.evaluation.score import ClipScores
from msma.reports.numbers import number, signed, span
from msma.reports.page import text
from msma.reports.run.figures import half_width_curves, image, plots, scatter
from msma.reports.run.files import RunFiles
from msma.reports.tables import missing, table
from msma.types import TRAITS
from msma.weights.calibration import BINS, COVERAGES, QUALITY_EDGES, Bin, Calibration, level_of

WITH_INTERVAL = ("ccc", "mean_accuracy", "skill")
SHOWN_COVERAGE = 0.9
USED = {"both": "sound and picture", "audio": "sound alone", "visual": "picture alone", "nothing": "nothing"}
MOST_VALUES = 20
"""Of a column of groups; the JSON has all."""
EVALUATE = "msma evaluate --model {folder} --manifest CSV --split test"


def headline(run: RunFiles) -> str:
    """The one number of each evaluation, beside what it is to be measured by."""
    told = ""
    for found, _ in run.evaluations:
        ccc, accuracy = found.metrics["ccc"]["mean"], found.metrics["mean_accuracy"]["mean"]
        bounds, constant = found.intervals["ccc"]["mean"], found.baselines["constant"]["mean_accuracy"]["mean"]
        best = "" if found.ceiling is None else f", at most {number(found.ceiling['ccc']['mean'])} is possible"
        told += (
            f"<p>On {text(found.corpus)}, split {text(found.split)} ({found.clips} clips of {found.sources} sources): "
            f"CCC <strong>{number(ccc)}</strong> {span(bounds.low, bounds.high)} (a constant has 0{best}); mean "
            f"accuracy {number(accuracy, 4)}, of a constant {number(constant, 4)}.</p>\n"
        )
    return told


def evaluations(run: RunFiles) -> str:
    if not run.evaluations:
        return missing("Not evaluated:", EVALUATE.format(folder=run.folder))
    return "".join(evaluation(found, predictions) for found, predictions in run.evaluations)


def evaluation(found: Evaluation, predictions: Predictions) -> str:
    warnings = "".join(f"<li>{text(line)}</li>\n" for line in found.warnings)
    told = (f"<ul>\n{warnings}</ul>\n" if warnings else "") + unscored(found)
    return f"<h3>Split {text(found.split)}</h3>\n{told}{table_of_metrics(found)}{scatters(found, predictions)}"


def unscored(found: Evaluation) -> str:
    parts = [f"{found.degraded} clips were read with faults"] if found.degraded else []
    if found.abstention is not None:
        parts.append(
            f"The model abstains on {found.abstention.clips} of {found.clips} clips, where neither modality has a "
            f"predicted quality of {found.abstention.min_quality:g}; the scores count what its network says of them"
        )
    if found.failed:
        parts.append(f"{len(found.failed)} clips are not scored: " + "; ".join(found.failed.values()))
    return "".join(f"<p>{text(part)}.</p>\n" for part in parts)


def table_of_metrics(found: Evaluation) -> str:
    """Traits down, metrics across; then the baselines, seen and unseen sources and the ceiling."""
    names = list(found.metrics)
    rows = [
        [trait, str(found.clips), *(with_interval(found, name, trait) for name in names)]
        for trait in found.metrics[names[0]]
    ]
    seen, unseen = found.slices.seen_source, found.slices.unseen_source
    others = [
        ("constant", found.clips, found.baselines["constant"]),
        ("same source, no media", found.clips, found.baselines["same_source"]),
    ]
    if seen.clips and unseen.clips:
        others += [
            ("seen sources", seen.clips, seen.metrics),
            ("seen: same source, no media", seen.clips, seen.baselines["same_source"]),
            ("unseen sources", unseen.clips, unseen.metrics),
            ("unseen: constant", unseen.clips, unseen.baselines["constant"]),
        ]
    if found.abstention is not None and found.abstention.without is not None:
        without = found.abstention.without
        others.append(("without abstained clips", without.clips, without.metrics))
    first_other = len(rows)
    rows += [[title, str(clips), *(number(of[name]["mean"]) for name in names)] for title, clips, of in others]
    ceiling = found.ceiling
    if ceiling is not None:
        cells = (number(ceiling[name]["mean"]) if name in ceiling else "" for name in names)
        rows.append(["ceiling", "", *cells])
    about = (
        "By trait, with 95 % intervals by bootstrap over sources. Below, to compare with (means over traits): the mean "
        "of the training labels, the mean label of the same source, and the best that is possible where that is known"
    )
    heads = ["", "clips", *(name.replace("_", " ") for name in names)]
    return table(heads, rows, about, strong=[first_other - 1], apart=[first_other])


def with_interval(scores: ClipScores, metric: str, trait: str) -> str:
    bounds = scores.intervals.get(metric)
    value = number(scores.metrics[metric][trait])
    return value if bounds is None else f"{value}\n{span(bounds[trait].low, bounds[trait].high)}"


def scatters(found: Evaluation, predictions: Predictions) -> str:
    images = []
    for column, trait in enumerate(TRAITS):
        predicted, label = predictions.predicted[:, column], predictions.target[:, column]
        known = np.isfinite(predicted) & np.isfinite(label)
        if not known.any() or trait not in found.metrics["ccc"]:
            continue
        constant = float(label[known].mean() + found.baselines["constant"]["bias"][trait])
        ccc = number(found.metrics["ccc"][trait])
        figure = scatter(predicted[known], label[known], f"{trait} (CCC {ccc})", constant)
        images.append(image(figure, f"{trait}: prediction over label of {known.sum()} clips, CCC {ccc}"))
    return "<p>Prediction over label; the diagonal is perfect, the dashed line is the constant.</p>\n" + plots(images)


def intervals(run: RunFiles) -> str:
    """Do they hold, and how wide are they?"""
    parts = []
    for found, _ in run.evaluations:
        if found.prediction_intervals is not None:
            parts.append(coverage(found.prediction_intervals, found.split))
    if run.calibration is None:
        parts.append(missing("No prediction intervals:", f"msma calibrate --model {run.folder} --manifest CSV"))
    else:
        parts.append(half_widths(run.calibration))
        if len(parts) == 1:
            parts.append(missing("How well they hold is not known:", EVALUATE.format(folder=run.folder)))
    return "".join(parts)


def coverage(report: CoverageReport, split: str) -> str:
    groups = {"all answers": report.whole} | {USED.get(name, name): held for name, held in report.available.items()}
    names = list(report.whole.coverage)
    rows = [
        [
            name,
            str(held.clips),
            *(f"{number(held.coverage[trait])}\nwidth {number(held.width[trait], 2)}" for trait in names),
        ]
        for name, held in groups.items()
    ]
    nominal = f"{100 * report.nominal:.0f} %"
    about = f"Split {split}: share of the labels that {nominal} intervals hold, and their mean width, by what was used"
    return table(["", "clips", *names], rows, about)


def half_widths(calibration: Calibration) -> str:
    """Of the calibration: a table at one coverage, and curves over all of them."""
    lows, highs = (0.0, *QUALITY_EDGES), (*QUALITY_EDGES, 1.0)
    rows, images, level = [], [], level_of(SHOWN_COVERAGE)
    traits: list[str] = []
    for available, bins in calibration.bins.items():
        traits = list(bins[0].half_widths)
        curves = {}
        for place in range(BINS):
            said, one = f"quality {lows[place]:.1f} to {highs[place]:.1f}", bins[place]
            cells = (one.half_widths[trait][level] for trait in traits)
            widths = ["unknown" if width is None else number(width) for width in cells]
            rows.append([USED[available], said.removeprefix("quality "), str(one.answers), str(one.sources), *widths])
            curves[said] = mean_half_widths(one)
        figure = half_width_curves(COVERAGES, curves, f"{USED[available]}: mean over traits")
        images.append(image(figure, f"half-width of intervals over nominal coverage, by quality: {USED[available]}"))
    about = calibration.about
    caption = (
        f"Half-widths of {100 * SHOWN_COVERAGE:.0f} % intervals, from {about.clips} clips of {about.sources} sources "
        f"({about.corpus}, split {about.split})"
    )
    return table(["used", "quality", "answers", "sources", *traits], rows, caption) + plots(images)


def mean_half_widths(one: Bin) -> list[float]:
    """By coverage; NaN, which is not drawn, where one is not known."""
    rows = [[np.nan if width is None else width for width in row] for row in one.half_widths.values()]
    return np.mean(np.array(rows, dtype=np.float64), axis=0).tolist()


def slices(run: RunFiles) -> str:
    if not run.evaluations:
        return missing("No groups looked at:", EVALUATE.format(folder=run.folder) + " --slices gender")
    told = ""
    for found, _ in run.evaluations:
        if not found.slices.columns:
            told += missing(
                f"Split {found.split}: the manifest has no column that groups clips; with one:",
                EVALUATE.format(folder=run.folder) + " --slices COLUMN",
            )
        for column, groups in found.slices.columns.items():
            told += group_table(found, column, groups) + gap_table(column, found.gaps.get(column))
    return told


def group_table(found: Evaluation, column: str, groups: dict[str, ClipScores]) -> str:
    ordered, traits = sorted(groups.items(), key=lambda item: -item[1].clips), list(found.metrics["bias"])
    rows = [
        [
            value or "(none)",
            str(scores.clips),
            str(scores.sources),
            *(with_interval(scores, name, "mean") for name in WITH_INTERVAL),
            *(signed(scores.metrics["bias"][trait]) for trait in traits),
        ]
        for value, scores in ordered[:MOST_VALUES]
    ]
    heads = [column, "clips", "sources", *(f"{name.replace('_', ' ')} [95 %]" for name in WITH_INTERVAL)]
    more = f"; {len(ordered) - MOST_VALUES} smaller ones are in the JSON" if len(ordered) > MOST_VALUES else ""
    return table([*heads, *(f"bias {trait}" for trait in traits)], rows, f"{column}, split {found.split}{more}")


def gap_table(column: str, gap: Gap | None) -> str:
    """Each value minus the rest; a clear gap has a star."""
    if gap is None or not gap.groups:
        return f"<p>{text(column)}: too few sources in each value to look for gaps.</p>\n"
    traits = list(next(iter(gap.groups.values())).bias)
    rows = [
        [value or "(none)", *map(starred, group.bias.values()), starred(group.mean_accuracy)]
        for value, group in gap.groups.items()
    ]
    about = (
        f"{column}: each value minus the rest. With 95 %, all {gap.comparisons} intervals of the evaluation hold "
        "together; * excludes 0"
    )
    return table([column, *(f"bias {trait}" for trait in traits), "mean accuracy"], rows, about)


def starred(value: Difference) -> str:
    return f"{signed(value.difference)}{'*' if value.clear else ''}\n[{signed(value.low)}, {signed(value.high)}]"
