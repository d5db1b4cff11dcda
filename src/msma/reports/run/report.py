"""The report of a run: one page of how it was made, what it learned and how good it is, from its result files."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import numpy as np
import yaml

from msma.evaluation.evaluation import Evaluation
from msma.evaluation.predictions import Predictions
from msma.reports.ablation import differences_table, scenarios_table, scores_table
from msma.reports.costs import costs
from msma.reports.figures import curves, heat_map, own_style
from msma.reports.numbers import number, span
from msma.reports.page import render
from msma.reports.predictions import APPARENT
from msma.reports.robustness import robustness_blocks, suite_title
from msma.reports.run.figures import half_width_curves, image, large, learning_curve, plots, scatter
from msma.reports.run.files import RunFiles
from msma.reports.scores import (
    QUALITIES,
    USED,
    coverage_table,
    gap_table,
    group_blocks,
    half_widths_table,
    score_blocks,
)
from msma.reports.table import Block, Code, Facts, Heading, Missing
from msma.training.run import Validation
from msma.types import TRAITS
from msma.weights.calibration import COVERAGES, Bin, Calibration

EVALUATE = "msma evaluate --model {folder} --manifest CSV --split test"


def run_report(run: RunFiles) -> str:
    """The page; the same files give the same bytes.

    Raises:
        MsmaError: matplotlib is not installed.
    """
    with own_style():
        sections = {title: list(blocks(run)) for title, blocks in SECTIONS.items()}
    return render(
        "run.html.j2",
        title=f"Run {run.folder.resolve().name}",
        folder=str(run.folder),
        notices=[APPARENT, *([] if run.config is None else [run.config.notice])],
        evaluations=[found for found, _ in run.evaluations],
        sections=sections,
        number=number,
        span=span,
    )


def learning(run: RunFiles) -> Iterator[Block]:
    if not run.log:
        yield Missing("No learning curve:", "msma train RECIPE --manifest CSV --out RUN")
        return
    best = best_of(run.log)
    yield (
        f"{len(run.log)} validations. The weights of step {best.step} are kept, whose validation CCC {best.ccc:.3f} is "
        "the best; a constant has 0."
    )
    panels = {
        "training loss": {"loss": [line.train_loss for line in run.log]},
        "validation CCC and skill": {"CCC": [line.ccc for line in run.log], "skill": [line.skill for line in run.log]},
        "validation mean accuracy": {
            "network": [line.mean_accuracy for line in run.log],
            "constant": [line.constant_mean_accuracy for line in run.log],
        },
    }
    steps, images = [line.step for line in run.log], []
    for title, lines in panels.items():
        ends = ", ".join(f"{name} from {values[0]:.3f} to {values[-1]:.3f}" for name, values in lines.items())
        figure = learning_curve({name: (steps, values) for name, values in lines.items()}, title, best.step)
        images.append(image(figure, f"{title} over {steps[-1]} steps: {ends}"))
    yield plots(images)


def best_of(log: list[Validation]) -> Validation:
    """The validation whose weights are kept."""
    return max(log, key=lambda line: (line.ccc, -line.step))


def evaluated(run: RunFiles) -> Iterator[Block]:
    if not run.evaluations:
        yield Missing("Not evaluated:", EVALUATE.format(folder=run.folder))
    for found, predictions in run.evaluations:
        yield Heading(f"Split {found.split}")
        yield from (f"warning: {warning}" for warning in found.warnings)
        yield from score_blocks(found)
        yield "Prediction over label; the diagonal is perfect, the dashed line is the constant."
        yield plots(list(scatters(found, predictions)))


def scatters(found: Evaluation, predictions: Predictions) -> Iterator[str]:
    for column, trait in enumerate(TRAITS):
        predicted, label = predictions.predicted[:, column], predictions.target[:, column]
        known = np.isfinite(predicted) & np.isfinite(label)
        if known.any() and trait in found.metrics["ccc"]:
            constant = float(label[known].mean() + found.baselines["constant"]["bias"][trait])
            ccc = number(found.metrics["ccc"][trait])
            figure = scatter(predicted[known], label[known], f"{trait} (CCC {ccc})", constant)
            yield image(figure, f"{trait}: prediction over label of {known.sum()} clips, CCC {ccc}")


def intervals(run: RunFiles) -> Iterator[Block]:
    reports = [(found.prediction_intervals, found.split) for found, _ in run.evaluations]
    held = [coverage_table(report, split) for report, split in reports if report is not None]
    yield from held
    if run.calibration is None:
        yield Missing("No prediction intervals:", f"msma calibrate --model {run.folder} --manifest CSV")
        return
    yield half_widths_table(run.calibration)
    yield plots(list(half_widths(run.calibration)))
    if not held:
        yield Missing("How well they hold is not known:", EVALUATE.format(folder=run.folder))


def half_widths(calibration: Calibration) -> Iterator[str]:
    for available, bins in calibration.bins.items():
        by_quality = {quality: mean_half_widths(one) for quality, one in zip(QUALITIES, bins, strict=True)}
        figure = half_width_curves(COVERAGES, by_quality, f"{USED[available]}: mean over traits")
        yield image(figure, f"half-width of intervals over nominal coverage, by quality: {USED[available]}")


def mean_half_widths(one: Bin) -> list[float]:
    """By coverage; NaN, which is not drawn, where one is not known."""
    rows = [[np.nan if width is None else width for width in row] for row in one.half_widths.values()]
    return np.mean(np.array(rows, dtype=np.float64), axis=0).tolist()


def by_group(run: RunFiles) -> Iterator[Block]:
    if not run.evaluations:
        yield Missing("No groups looked at:", EVALUATE.format(folder=run.folder) + " --slices gender")
    for found, _ in run.evaluations:
        if not found.slices.columns:
            yield Missing(
                f"Split {found.split}: the manifest has no column that groups clips; with one:",
                EVALUATE.format(folder=run.folder) + " --slices COLUMN",
            )
        for column in found.slices.columns:
            yield from group_blocks(found, column)
            if found.disparities[column].groups:
                yield gap_table(column, found.disparities[column])


def corrupted(run: RunFiles) -> Iterator[Block]:
    for found in run.suites:
        title = suite_title(found)
        yield Heading(title)
        if found.scenarios:
            skill = curves(title, found.clean.skill, found.scenarios)
            yield large(skill, f"Skill by severity, {title}; the numbers are in the table")
            kept = heat_map(title, found.scenarios)
            yield large(kept, f"Retention by severity, {title}; the numbers are in the table")
        yield from robustness_blocks(found)
    command = f"msma robustness --model {run.folder} --manifest CSV --suite"
    for folder in run.cells_only:
        suite = folder.name if folder.name in ("six", "full") else "SUITE"
        what = f"{folder.name}: cells of a suite without its summary; to have one:"
        yield Missing(what, f"{command} {suite} --out {folder}")
    if not run.suites and not run.cells_only:
        yield Missing("Not tried on corrupted clips:", f"{command} six --out {run.folder / 'six'}")


def ablations(run: RunFiles) -> Iterator[Block]:
    if run.ablation is None:
        yield Missing("Not part of an ablation study:", "msma ablate RECIPE --manifest CSV --out STUDY")
        return
    yield scores_table(run.ablation)
    yield scenarios_table(run.ablation)
    if len(run.ablation.rows) > 1:
        yield differences_table(run.ablation)


def complexity(run: RunFiles) -> Iterator[Block]:
    if run.profile is not None:
        yield from costs(run.profile.rows)
        return
    yield Missing(
        "No parameters, operations, latency or memory:",
        f"msma profile --model {run.folder} --out {run.folder / 'profile.json'}",
    )


def provenance(run: RunFiles) -> Iterator[Block]:
    """Commands, versions, seed, data and recipe."""
    if run.sessions:
        yield Heading("Command" if len(run.sessions) == 1 else "Commands, in the order of time")
    else:
        yield Missing(
            "No command and no versions on record (trained elsewhere):", "msma train RECIPE --manifest CSV --out RUN"
        )
    for session in run.sessions:
        yield Code(session.command)
        versions = ", ".join(f"{name} {version}" for name, version in session.versions.items())
        yield Facts({"device": session.device, "platform": session.platform, "versions": versions})
    train = (run.recipe or {}).get("train")
    if isinstance(train, dict):
        yield Heading("Training")
        chosen = ("seed", "steps", "batch_size", "learning_rate")
        yield Facts({name.replace("_", " "): str(train[name]) for name in chosen if name in train})
    if run.corpus is not None:
        yield Heading("Data")
        yield Facts(dict(flat(run.corpus)))
    if run.recipe is not None:
        yield Heading("Recipe")
        yield Code(yaml.safe_dump(run.recipe, sort_keys=False), columns=True)


def flat(values: dict[str, Any], before: str = "") -> Iterator[tuple[str, str]]:
    """Nested values by dotted names, as text."""
    for name, value in values.items():
        if isinstance(value, dict):
            yield from flat(value, f"{before}{name}.")
        else:
            yield f"{before}{name}", value if isinstance(value, str) else json.dumps(value)


SECTIONS = {
    "Learning": learning,
    "Scores": evaluated,
    "Intervals": intervals,
    "Groups": by_group,
    "Robustness": corrupted,
    "Ablations": ablations,
    "Complexity": complexity,
    "How it was made": provenance,
}
"""By title, what makes the parts of a section."""
