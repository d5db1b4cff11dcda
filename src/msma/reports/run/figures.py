"""Figures of a run for its page, as SVG in the page itself. They need matplotlib (extra `plots`)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float
from markupsafe import Markup

from msma.reports.figures import COLOURS, MARKERS, as_svg
from msma.reports.page import data_uri, text

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from msma.evaluation.results import AblationStudy

MAX_DRAWN = 500
"""More points than this are drawn as one picture: as shapes they would fill the page's file."""


def plots(images: Sequence[str]) -> Markup:
    return Markup(f'<div class="plots">\n{"".join(images)}</div>\n')


def large(figure: Figure, about: str) -> Markup:
    """One figure that scrolls by itself where the page is narrower than it can be read."""
    width = figure.get_size_inches()[0] * 96
    shown = f'style="min-width: {0.75 * width:.0f}px; max-width: {width:.0f}px"'
    drawn = image(figure, about, shown)
    return Markup(f'<div class="large" tabindex="0" role="region" aria-label="{text(about)}">{drawn}</div>\n')


def image(figure: Figure, about: str, more: str = "") -> Markup:
    width, height = (round(side * 96) for side in figure.get_size_inches())
    source = data_uri("image/svg+xml", as_svg(figure))
    return Markup(f'<img src="{source}" alt="{text(about)}" width="{width}" height="{height}" {more}>\n')


def learning_curve(
    lines: Mapping[str, tuple[Sequence[int], Sequence[float]]], title: str, best_step: int | None = None
) -> Figure:
    """Steps and values by name as lines; the step whose weights were kept has a dotted line."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(3.4, 2.6), layout="constrained")
    panel = figure.subplots()
    for place, (name, (steps, values)) in enumerate(lines.items()):
        panel.plot(steps, values, label=name, color=COLOURS[place], marker=MARKERS[place], markersize=4, linewidth=1.4)
    if best_step is not None:
        panel.axvline(best_step, color="0.4", linewidth=1, linestyle=":")
    panel.set_title(title, fontsize=9)
    panel.set_xlabel("step (dotted: the weights that are kept)" if best_step is not None else "step", fontsize=8)
    if len(lines) > 1:
        panel.legend(fontsize=7, frameon=False)
    panel.spines[["top", "right"]].set_visible(False)
    return figure


def scatter(
    predicted: Float[np.ndarray, " clips"], label: Float[np.ndarray, " clips"], trait: str, constant: float | None
) -> Figure:
    """Prediction over label: the diagonal is perfect, the dashed line is the mean label, the constant's answer."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(2.7, 2.8), layout="constrained", dpi=150)
    panel = figure.subplots()
    panel.plot([0, 1], [0, 1], color="0.3", linewidth=0.8)
    if constant is not None:
        panel.axhline(constant, color=COLOURS[1], linewidth=1, linestyle="--")
    panel.plot(
        label,
        predicted,
        linestyle="none",
        marker="o",
        markersize=2.5,
        alpha=0.5,
        color=COLOURS[0],
        markeredgewidth=0,
        rasterized=len(label) > MAX_DRAWN,
    )
    panel.set(xlim=(0, 1), ylim=(0, 1), aspect="equal")
    panel.set_title(trait, fontsize=9)
    panel.set_xlabel("label", fontsize=8)
    panel.set_ylabel("prediction", fontsize=8)
    panel.spines[["top", "right"]].set_visible(False)
    return figure


def half_width_curves(coverages: Sequence[float], curves: Mapping[str, Sequence[float]], title: str) -> Figure:
    """Half-width of intervals over their nominal coverage."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(3.4, 2.6), layout="constrained")
    panel = figure.subplots()
    style: dict[str, Any] = {"markersize": 4, "linewidth": 1.4, "markevery": 7}
    for place, (name, values) in enumerate(curves.items()):
        panel.plot(coverages, values, label=name, color=COLOURS[place], marker=MARKERS[place], **style)
    panel.set_title(title, fontsize=9)
    panel.set_xlabel("nominal coverage", fontsize=8)
    panel.set_ylabel("half-width", fontsize=8)
    panel.set_ylim(bottom=0)
    panel.legend(fontsize=7, frameon=False)
    panel.spines[["top", "right"]].set_visible(False)
    return figure


def scenario_chart(study: AblationStudy) -> Figure:
    """Skill of each ablation, clean and in each scenario: a mark for the mean over seeds, a line for their range."""
    from matplotlib.figure import Figure

    rows = {"skill": "clean"} | {name: name.replace("_", " ") for name in study.scenarios}
    figure = Figure(figsize=(7.5, 0.9 + 0.5 * len(rows)), layout="constrained")
    panel = figure.subplots()
    step = 0.7 / max(1, len(study.rows))
    for place, (name, row) in enumerate(study.rows.items()):
        spreads = [row.statistics[key] for key in rows]
        heights = [line + step * (place - (len(study.rows) - 1) / 2) for line in range(len(rows))]
        style: dict[str, Any] = {"color": COLOURS[place % len(COLOURS)], "marker": MARKERS[place % len(MARKERS)]}
        panel.hlines(heights, [s.low for s in spreads], [s.high for s in spreads], color=style["color"], linewidth=1.4)
        panel.plot([s.mean for s in spreads], heights, label=name, linestyle="none", markersize=5, **style)
    panel.axvline(0, color="0.3", linewidth=0.8)
    panel.set_yticks(range(len(rows)), list(rows.values()))
    panel.invert_yaxis()
    panel.locator_params(axis="x", nbins=6)
    panel.set_xlabel("skill (line at 0: the constant prediction)", fontsize=8)
    panel.legend(fontsize=7, frameon=False, loc="upper left", bbox_to_anchor=(1, 1))
    panel.grid(axis="y", color="0.92")
    panel.spines[["top", "right"]].set_visible(False)
    return figure
