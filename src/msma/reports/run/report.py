"""The report of a run: one page of how it was made, what it learned and how good it is, from its result files."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import fields
from typing import Any

import yaml
from markupsafe import Markup

from msma.evaluation.gaps import Difference
from msma.evaluation.results import Spread, StageCost
from msma.reports.figures import own_style
from msma.reports.numbers import number, signed, span
from msma.reports.page import render, text
from msma.reports.predictions import APPARENT
from msma.reports.run.figures import image, learning_curve, plots
from msma.reports.run.files import RunFiles
from msma.reports.run.robustness import robustness
from msma.reports.run.scores import evaluations, headline, intervals, slices
from msma.reports.tables import facts, missing, notice, table
from msma.training.provenance import Session

SECTIONS = ("Learning", "Scores", "Intervals", "Groups", "Robustness", "Ablations", "Complexity", "How it was made")


def run_report(run: RunFiles) -> str:
    """The page; the same files give the same bytes.

    Raises:
        MsmaError: a file does not hold what it should, or matplotlib is not installed.
    """
    with own_style():
        made = {
            "Learning": learning(run),
            "Scores": evaluations(run),
            "Intervals": intervals(run),
            "Groups": slices(run),
            "Robustness": robustness(run),
            "Ablations": ablations(run),
            "Complexity": complexity(run),
            "How it was made": provenance(run),
        }
    names = {title: title.lower().replace(" ", "-") for title in SECTIONS}
    links = "".join(f'<li><a href="#{name}">{title}</a></li>\n' for title, name in names.items())
    body = "".join(
        f'<section aria-labelledby="{name}">\n<h2 id="{name}">{title}</h2>\n{made[title]}</section>\n'
        for title, name in names.items()
    )
    title = f"Run {run.folder.resolve().name}"
    start = f"<h1>{text(title)}</h1>\n<p>From <bdi>{text(str(run.folder))}</bdi>.</p>\n"
    start += notice([APPARENT, *notices(run)]) + headline(run)
    nav = f'<nav aria-label="Sections"><ul>\n{links}</ul></nav>\n'
    return render("run.html.j2", title=title, body=Markup(start + nav + body))


def notices(run: RunFiles) -> list[str]:
    return [] if run.config is None else [run.config.notice]


def learning(run: RunFiles) -> str:
    log = run.log
    if not log:
        return missing("No learning curve:", "msma train RECIPE --manifest CSV --out RUN")
    steps, ccc = [line.step for line in log], [line.ccc for line in log]
    best = max(range(len(steps)), key=lambda place: (ccc[place], -place))
    accuracy, constant = [line.mean_accuracy for line in log], [line.constant_mean_accuracy for line in log]
    panels = {
        "training loss": {"loss": [line.train_loss for line in log]},
        "validation CCC and skill": {"CCC": ccc, "skill": [line.skill for line in log]},
        "validation mean accuracy": {"network": accuracy, "constant": constant},
    }
    images = []
    for title, lines in panels.items():
        ends = ", ".join(f"{name} from {values[0]:.3f} to {values[-1]:.3f}" for name, values in lines.items())
        about = f"{title} over {steps[-1]} steps: {ends}"
        images.append(image(learning_curve(steps, lines, title, steps[best]), about))
    told = (
        f"<p>{len(log)} validations. The weights of step {steps[best]} are kept, whose validation CCC "
        f"{ccc[best]:.3f} is the best; a constant has 0.</p>\n"
    )
    return told + plots(images)


def ablations(run: RunFiles) -> str:
    study = run.ablation
    if study is None:
        return missing("Not part of an ablation study:", "msma ablate RECIPE --manifest CSV --out STUDY")
    shown = [
        [
            name,
            f"{row.parameters:,}",
            *(ranged(row.statistics[key]) for key in ("mean_accuracy", "ccc", "skill")),
            *(number(row.statistics[scenario].mean) for scenario in study.scenarios),
            ranged(row.statistics["retention"]),
        ]
        for name, row in study.rows.items()
    ]
    clean = ["", "parameters", "mean accuracy", "CCC", "skill"]
    heads = [*clean, *(plain(name) for name in study.scenarios), "retention"]
    about = (
        f"{study.recipe} on {study.corpus}, split {study.split}: mean [range] over {study.seeds} seeds, {study.clips} "
        f"clips of {study.sources} sources; skill in each scenario (noise of severity {study.severity}); a constant "
        f"has mean accuracy {number(study.constant_mean_accuracy, 4)}, CCC and skill 0"
    )
    compared = ("mean_accuracy", "ccc", "skill", "scenarios", "retention")
    minus = [
        [name, *(difference(row.differences[key]) for key in compared)]
        for name, row in study.rows.items()
        if row.differences
    ]
    less = "Minus the recipe [95 %, paired by seed and source]"
    return table(heads, shown, about) + (table(["", *map(plain, compared)], minus, less) if minus else "")


def plain(name: str) -> str:
    return name.replace("_", " ")


def ranged(value: Spread) -> str:
    return f"{number(value.mean)}\n{span(value.low, value.high)}"


def difference(value: Difference) -> str:
    return f"{signed(value.difference)}\n[{signed(value.low)}, {signed(value.high)}]"


def complexity(run: RunFiles) -> str:
    if run.profile is None:
        return missing(
            "No parameters, operations, latency or memory:",
            f"msma profile --model {run.folder} --out {run.folder / 'profile.json'}",
        )
    heads = [plain(field.name) for field in fields(StageCost)]
    shown = [list(map(cell, vars(row).values())) for row in run.profile.rows]
    return table(heads, shown, "As measured by msma profile")


def flat(values: dict[str, Any], before: str = "") -> dict[str, Any]:
    """Nested values by dotted names."""
    found: dict[str, Any] = {}
    for name, value in values.items():
        found |= flat(value, f"{before}{name}.") if isinstance(value, dict) else {f"{before}{name}": value}
    return found


def cell(value: Any) -> str:
    if value is None:
        return "\u2013"
    if isinstance(value, bool | str):
        return str(value)
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:.4g}" if isinstance(value, float) else json.dumps(value)


def provenance(run: RunFiles) -> str:
    """Commands, versions, seed, data and recipe."""
    parts = [sessions(run), seed(run), identity(run.corpus)]
    if run.recipe is not None:
        recipe = yaml.safe_dump(run.recipe, sort_keys=False)
        parts.append(f'<h3>Recipe</h3>\n<pre class="recipe">{text(recipe)}</pre>\n')
    return "".join(parts)


def sessions(run: RunFiles) -> str:
    if not run.sessions:
        return missing(
            "No command and no versions on record (trained before they were kept, or elsewhere):",
            "msma train RECIPE --manifest CSV --out RUN",
        )
    told = "".join(f"<pre>{text(session.command)}</pre>\n{ran_on(session)}" for session in run.sessions)
    return f"<h3>{'Command' if len(run.sessions) == 1 else 'Commands, in the order of time'}</h3>\n{told}"


def ran_on(session: Session) -> str:
    versions = ", ".join(f"{name} {version}" for name, version in session.versions.items())
    return facts({"device": session.device, "platform": session.platform, "versions": versions})


def identity(corpus: dict[str, Any] | None) -> str:
    if corpus is None:
        return ""
    return "<h3>Data</h3>\n" + facts({name: cell(value) for name, value in flat(corpus).items()})


def seed(run: RunFiles) -> str:
    train = (run.recipe or {}).get("train")
    chosen: Iterable[str] = ("seed", "steps", "batch_size", "learning_rate") if isinstance(train, dict) else ()
    told = {plain(name): str(train[name]) for name in chosen if name in train} if train else {}
    return f"<h3>Training</h3>\n{facts(told)}" if told else ""
