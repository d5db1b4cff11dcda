"""The paper's table: base, + MSFEM, + MAS and both, on clean clips and in the six scenarios, with its figure."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from markupsafe import Markup

from msma.evaluation.ablation import AblationStudy
from msma.files.writing import written_whole
from msma.reports.figures import COLOURS, can_draw, image, own_style
from msma.reports.numbers import metric_name, with_interval
from msma.reports.table import Block, Row, Table
from msma.training.ablation.plan import PAPER

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FILE = "paper_table.png"
DPI = 200


def paper_blocks(study: AblationStudy) -> Iterator[Block]:
    """The table; nothing where the study lacks one of its rows."""
    if not has_rows(study):
        return
    names = columns(study)
    rows = [
        Row(
            shown,
            *(with_interval(study.rows[name].statistics[key].mean, study.rows[name].intervals[key]) for key in names),
        )
        for name, shown in PAPER.items()
    ]
    note = (
        "in each scenario: skill; scenarios: their mean. MSFEM is the multi-scale feature enhancement, MAS the modal "
        "enhancement strategy. These are rows of our study, not numbers of the paper"
    )
    yield Table("the paper's ablation [95 %, over seeds and sources]", ["", *names.values()], rows, [note])


def paper_figure(study: AblationStudy) -> Markup:
    """The figure for a page; nothing where the study lacks a row of the table."""
    if not has_rows(study):
        return Markup()
    about = (
        "Mean accuracy, CCC and skill in each scenario of base, + MSFEM, + MAS and both; the numbers are in the tables"
    )
    return image(about, chart, study, large=True)


def has_rows(study: AblationStudy) -> bool:
    return study.rows.keys() >= PAPER.keys()


def columns(study: AblationStudy) -> dict[str, str]:
    """Statistics and their heads."""
    names = ("mean_accuracy", "ccc", *study.scenarios, "scenarios")
    return {name: metric_name(name) for name in names}


def draw_paper_table(folder: Path, study: AblationStudy) -> None:
    """Write the figure as PNG; nothing without matplotlib, or where the study lacks a row of the table."""
    if not can_draw() or not has_rows(study):
        return
    with own_style(), written_whole(folder / FILE) as path:
        chart(study).savefig(path, format="png", dpi=DPI, metadata={"Software": None})


def chart(study: AblationStudy) -> Figure:
    """Bars of mean accuracy and CCC on clean clips and of skill in each scenario, with their 95 % intervals."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 3.2), layout="constrained")
    panels = figure.subplots(1, 3, width_ratios=[1, 1, 3])
    for panel, name in zip(panels, ("mean_accuracy", "ccc"), strict=False):
        bars(panel, study, [name])
        panel.set_title(metric_name(name), fontsize=9)
        panel.set_xticks([])
    bars(panels[2], study, [*study.scenarios, "scenarios"])
    panels[2].set_title("skill in each scenario, and their mean", fontsize=9)
    lowest = min(study.rows[name].intervals["mean_accuracy"].low for name in PAPER)
    panels[0].set_ylim(bottom=max(0.0, min(lowest, study.constant_mean_accuracy) - 0.005))
    panels[0].axhline(study.constant_mean_accuracy, color="0.4", linewidth=1, linestyle=":")
    panels[2].legend(fontsize=7, frameon=False, ncols=len(PAPER), loc="upper center", bbox_to_anchor=(0.5, -0.2))
    return figure


def bars(panel: Axes, study: AblationStudy, names: list[str]) -> None:
    """A group of bars for each statistic, one for each row of the table."""
    step = 0.8 / len(PAPER)
    for place, (row, shown) in enumerate(PAPER.items()):
        means = [study.rows[row].statistics[name].mean for name in names]
        ends = [study.rows[row].intervals[name] for name in names]
        down = [max(0.0, mean - one.low) for mean, one in zip(means, ends, strict=True)]
        up = [max(0.0, one.high - mean) for mean, one in zip(means, ends, strict=True)]
        at = [group + step * (place - (len(PAPER) - 1) / 2) for group in range(len(names))]
        panel.bar(at, means, step, yerr=(down, up), label=shown, color=COLOURS[place], capsize=2)
    labels = [name.replace("missing_", "missing\n").replace("_", " ") for name in names]
    panel.set_xticks(range(len(names)), labels, fontsize=7)
    panel.axhline(0, color="0.3", linewidth=0.8)
    panel.spines[["top", "right"]].set_visible(False)
