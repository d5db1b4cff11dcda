"""The report of a run: one page of how it was made, what it learned and how good it is, from its result files."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import numpy as np
import yaml
from markupsafe import Markup

from msma.evaluation.evaluation import Evaluation
from msma.evaluation.predictions import Predictions
from msma.reports.ablation import ablation_blocks
from msma.reports.costs import costs
from msma.reports.figures import can_draw, curves, from_to, heat_map, image, line_chart, plots, scatter
from msma.reports.groups import disparities_table, group_blocks
from msma.reports.numbers import number, span
from msma.reports.page import render
from msma.reports.predictions import APPARENT
from msma.reports.robustness import robustness_blocks, suite_title
from msma.reports.run.files import RunFiles
from msma.reports.scores import QUALITIES, USED, coverage_table, half_widths_table, score_blocks
from msma.reports.table import Block, Code, Facts, Heading, Missing, or_missing
from msma.types import TRAITS
from msma.weights.calibration import COVERAGES, Calibration

TRAIN = "msma train RECIPE --manifest CSV --out RUN"
EVALUATE = "msma evaluate --model {run} --manifest CSV --split test"
PROFILE = "msma profile --model {run} --out {run}/profile.json"
ROBUSTNESS = "msma robustness --model {run} --manifest CSV --suite"


def run_report(run: RunFiles) -> str:
    """The page; the same files give the same bytes."""
    return render(
        "run.html.j2",
        title=f"Run {run.folder.resolve().name}",
        folder=str(run.folder),
        notices=[APPARENT, *([] if run.config is None else [run.config.notice])],
        evaluations=[found for found, _ in run.evaluations],
        sections={
            title: or_missing(blocks(run), what, command.format(run=run.folder))
            for title, (blocks, what, command) in SECTIONS.items()
        },
        can_draw=can_draw(),
        number=number,
        span=span,
    )


def learning(run: RunFiles) -> Iterator[Block]:
    if not run.log:
        return
    best = max(run.log, key=lambda line: (line.mean_accuracy, -line.step))  # whose weights are the run's
    yield (
        f"{len(run.log)} validations. The weights are those of step {best.step}, whose validation mean accuracy "
        f"{best.mean_accuracy:.4f} is the best (a constant has {best.constant_mean_accuracy:.4f}); "
        f"its CCC is {best.ccc:.3f}."
    )
    panels = {
        "training loss": {"loss": "train_loss"},
        "validation CCC and skill": {"CCC": "ccc", "skill": "skill"},
        "validation mean accuracy": {"network": "mean_accuracy", "constant": "constant_mean_accuracy"},
    }
    steps, images = [line.step for line in run.log], []
    for title, measures in panels.items():
        lines = {name: (steps, [getattr(line, key) for line in run.log]) for name, key in measures.items()}
        about = f"{title} over {steps[-1]} steps: {from_to(lines)}"
        images.append(image(about, line_chart, lines, title, "step (dotted: that of the weights)", best.step))
    yield plots(images)


def evaluated(run: RunFiles) -> Iterator[Block]:
    for found, predictions in run.evaluations:
        yield Heading(f"Split {found.split}")
        yield from (f"warning: {warning}" for warning in found.warnings)
        yield from score_blocks(found)
        yield "Prediction over label; the diagonal is perfect, the dashed line is the constant."
        yield plots(scatters(found, predictions))


def scatters(found: Evaluation, predictions: Predictions) -> Iterator[Markup]:
    for column, trait in enumerate(TRAITS):
        predicted, label = predictions.predicted[:, column], predictions.target[:, column]
        known = np.isfinite(predicted) & np.isfinite(label)
        if known.any() and trait in found.metrics["ccc"]:
            constant = float(label[known].mean() + found.baselines["constant"]["bias"][trait])
            ccc = number(found.metrics["ccc"][trait])
            about = f"{trait}: prediction over label of {known.sum()} clips, CCC {ccc}"
            yield image(about, scatter, predicted[known], label[known], f"{trait} (CCC {ccc})", constant)


def intervals(run: RunFiles) -> Iterator[Block]:
    reports = [(found.prediction_intervals, found.split) for found, _ in run.evaluations]
    held = [coverage_table(report, split) for report, split in reports if report is not None]
    yield from held
    if run.calibration is None:
        yield Missing("No prediction intervals:", f"msma calibrate --model {run.folder} --manifest CSV")
        return
    yield half_widths_table(run.calibration)
    yield plots(half_widths(run.calibration))
    if not held:
        yield Missing("How well they hold is not known:", EVALUATE.format(run=run.folder))


def half_widths(calibration: Calibration) -> Iterator[Markup]:
    for available, bins in calibration.bins.items():
        lines = {}
        for quality, one in zip(QUALITIES, bins, strict=True):
            by_trait = np.array(list(one.half_widths.values()), dtype=np.float64)  # NaN, which is not drawn, for None
            lines[quality] = COVERAGES, by_trait.mean(axis=0).tolist()
        about = f"half-width of intervals over nominal coverage, by quality: {USED[available]}"
        title = f"half-width, mean over traits: {USED[available]}"
        yield image(about, line_chart, lines, title, "nominal coverage", None, 0)


def by_group(run: RunFiles) -> Iterator[Block]:
    for found, _ in run.evaluations:
        if not found.slices.columns:
            what = f"Split {found.split}: the manifest has no column that groups clips; with one:"
            yield Missing(what, EVALUATE.format(run=run.folder) + " --slices COLUMN")
        for column in found.slices.columns:
            yield from group_blocks(found, column)
            if found.disparities[column].groups:
                yield disparities_table(column, found.disparities[column])


def corrupted(run: RunFiles) -> Iterator[Block]:
    for found in run.suites:
        title = suite_title(found)
        yield Heading(title)
        if found.scenarios:
            about = f"by severity, {title}; the numbers are in the table"
            yield image(f"Skill {about}", curves, title, found.clean.skill, found.scenarios, large=True)
            yield image(f"Retention {about}", heat_map, title, found.scenarios, large=True)
        yield from robustness_blocks(found)
    for folder in run.cells_only:
        suite = folder.name if folder.name in ("six", "full", "joint") else "SUITE"
        what = f"{folder.name}: cells of a suite without its summary; to have one:"
        yield Missing(what, f"{ROBUSTNESS.format(run=run.folder)} {suite} --out {folder}")


def ablations(run: RunFiles) -> Iterator[Block]:
    if run.ablation is not None:
        yield from ablation_blocks(run.ablation)


def complexity(run: RunFiles) -> Iterator[Block]:
    if run.profile is not None:
        yield from costs(run.profile.rows)


def provenance(run: RunFiles) -> Iterator[Block]:
    """Commands, versions, seed, data and recipe."""
    if run.sessions:
        yield Heading("Command" if len(run.sessions) == 1 else "Commands, in the order of time")
    else:
        yield Missing("No command and no versions on record (trained elsewhere):", TRAIN)
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
    "Learning": (learning, "No learning curve:", TRAIN),
    "Scores": (evaluated, "Not evaluated:", EVALUATE),
    "Intervals": (intervals, "", ""),
    "Groups": (by_group, "No groups looked at:", EVALUATE + " --slices gender"),
    "Robustness": (corrupted, "Not tried on corrupted clips:", ROBUSTNESS + " six --out {run}/six"),
    "Ablations": (ablations, "Not part of an ablation study:", "msma ablate RECIPE --manifest CSV --out STUDY"),
    "Complexity": (complexity, "No parameters, operations, latency or memory:", PROFILE),
    "How it was made": (provenance, "", ""),
}
"""By title, the blocks of a section, and where there are none, what is missing and the command that makes it."""
