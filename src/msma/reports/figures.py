"""Figures, drawn with matplotlib (extra `plots`): the same results give the same bytes."""

from __future__ import annotations

import importlib.util
import io
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float
from markupsafe import Markup

from msma.corruptions.corruption import SEVERITIES
from msma.files.writing import written_whole
from msma.reports.charts import BLUE, ORANGE
from msma.reports.page import data_uri, text
from msma.types import MsmaError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from msma.evaluation.ablation import AblationStudy
    from msma.evaluation.robustness.summary import Group

COLOURS = (BLUE, ORANGE, "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
"""Okabe and Ito's, which colour-blind readers can distinguish."""
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
"""So that lines differ in black and white too."""
ACROSS = 4
"""Panels side by side."""
FONT: dict[Any, Any] = {"font.size": 9, "font.family": "DejaVu Sans", "svg.hashsalt": "msma"}
LIGHT = 0.55
"""Retention above which the colour of a cell is so light that its number is written in black."""
MAX_DRAWN = 500
"""More points than this are drawn as one bitmap: as shapes they would fill the page's file."""


def can_draw() -> bool:
    return importlib.util.find_spec("matplotlib") is not None


def draw_figures(folder: Path, title: str, clean_skill: float, scenarios: Mapping[str, Group]) -> list[Path]:
    """Write `curves.svg` and `heatmap.svg` of the scenarios of a suite, by name; MsmaError without matplotlib."""
    if not can_draw():
        raise MsmaError("the figures need matplotlib; pip install 'msma[plots]' and run again")
    with own_style():
        drawn = {"curves.svg": curves(title, clean_skill, scenarios), "heatmap.svg": heat_map(title, scenarios)}
        for name, figure in drawn.items():
            with written_whole(folder / name) as unfinished:
                unfinished.write_bytes(as_svg(figure))
    return [folder / name for name in drawn]


def plots(images: Iterable[Markup]) -> Markup:
    return Markup(f'<div class="plots">\n{"".join(images)}</div>\n')


def image(about: str, draw: Callable[..., Figure], *values: Any, large: bool = False) -> Markup:
    """A figure that `draw` makes of the values, for a page; `about` says it in words. Nothing without matplotlib.

    A large one scrolls by itself where the page is narrower than it can be read.
    """
    if not can_draw():
        return Markup()
    with own_style():
        figure = draw(*values)
        source = data_uri("image/svg+xml", as_svg(figure))
    width, height = (round(side * 96) for side in figure.get_size_inches())
    style = f' style="min-width: {round(0.75 * width)}px; max-width: {width}px"' if large else ""
    shown = f'<img src="{source}" alt="{text(about)}" width="{width}" height="{height}"{style}>\n'
    region = f'<div class="large" tabindex="0" role="region" aria-label="{text(about)}">{shown}</div>\n'
    return Markup(region if large else shown)


@contextmanager
def own_style() -> Iterator[None]:
    """Figures are made and written inside; the settings of the caller stay as they are."""
    import matplotlib as mpl

    with mpl.rc_context(FONT):
        yield


def as_svg(figure: Figure) -> bytes:
    content = io.BytesIO()
    figure.savefig(content, format="svg", metadata={"Date": None})
    return content.getvalue()


def one_panel(width: float, height: float, x_label: str, title: str = "", **options: Any) -> tuple[Figure, Axes]:
    """A figure in inches with a single panel."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained", **options)
    panel = figure.subplots()
    panel.set_title(title, fontsize=9)
    panel.set_xlabel(x_label, fontsize=8)
    panel.spines[["top", "right"]].set_visible(False)
    return figure, panel


def marked(place: int) -> dict[str, Any]:
    """Colour and marker of one of several lines."""
    return {"color": COLOURS[place % len(COLOURS)], "marker": MARKERS[place % len(MARKERS)]}


Lines = Mapping[str, tuple[Sequence[float | int], Sequence[float]]]
"""By name, where the points of a line are along x and along y."""


def line_chart(lines: Lines, title: str, x: str, dotted_at: int | None = None, lowest: int | None = None) -> Figure:
    """Lines over `x`, from the lowest value on, and a dotted one across them."""
    figure, panel = one_panel(3.4, 2.6, x, title)
    for place, (name, (places, values)) in enumerate(lines.items()):
        every = math.ceil(len(places) / 10)
        panel.plot(places, values, label=name, markersize=4, linewidth=1.4, markevery=every, **marked(place))
    if dotted_at is not None:
        panel.axvline(dotted_at, color="0.4", linewidth=1, linestyle=":")
    if len(lines) > 1:
        panel.legend(fontsize=7, frameon=False)
    panel.set_ylim(bottom=lowest)
    return figure


@dataclass(frozen=True)
class Band:
    """A line along x with the range about it."""

    places: Sequence[float | int]
    mean: Float[np.ndarray, " places"]
    low: Float[np.ndarray, " places"]
    high: Float[np.ndarray, " places"]


def band_chart(bands: Mapping[str, Band], title: str, x: str) -> Figure:
    """Lines over `x`, by name, each with its range."""
    lines = {name: (band.places, list(map(float, band.mean))) for name, band in bands.items()}
    figure = line_chart(lines, title, x)
    panel = figure.axes[0]
    for place, band in enumerate(bands.values()):
        panel.fill_between(band.places, band.low, band.high, color=marked(place)["color"], alpha=0.15, linewidth=0)
    return figure


def to_the_end(bands: Mapping[str, Band]) -> str:
    """The ends of bands in words."""
    return from_to({name: (band.places, list(map(float, band.mean))) for name, band in bands.items()})


def from_to(lines: Lines) -> str:
    """The ends of lines in words."""
    return ", ".join(f"{name} from {values[0]:.3f} to {values[-1]:.3f}" for name, (_, values) in lines.items())


def scatter(
    predicted: Float[np.ndarray, " clips"], label: Float[np.ndarray, " clips"], trait: str, constant: float
) -> Figure:
    """Prediction over label: the diagonal is perfect, the dashed line is the mean label, the constant."""
    figure, panel = one_panel(2.7, 2.8, "label", trait, dpi=150)
    panel.plot([0, 1], [0, 1], color="0.3", linewidth=0.8)
    panel.axhline(constant, color=ORANGE, linewidth=1, linestyle="--")
    dots: dict[str, Any] = {"linestyle": "none", "marker": "o", "markersize": 2.5, "markeredgewidth": 0, "alpha": 0.5}
    panel.plot(label, predicted, color=BLUE, rasterized=len(label) > MAX_DRAWN, **dots)
    panel.set(xlim=(0, 1), ylim=(0, 1), aspect="equal")
    panel.set_ylabel("prediction", fontsize=8)
    return figure


def scenario_chart(study: AblationStudy) -> Figure:
    """Skill of each ablation, clean and in each scenario: a mark for the mean over seeds, a line for their range."""
    rows = {"skill": "clean"} | {name: name.replace("_", " ") for name in study.scenarios}
    figure, panel = one_panel(7.5, 0.9 + 0.5 * len(rows), "skill (line at 0: the constant prediction)")
    step = 0.7 / max(1, len(study.rows))
    for place, (name, row) in enumerate(study.rows.items()):
        spreads, style = [row.statistics[key] for key in rows], marked(place)
        heights = [line + step * (place - (len(study.rows) - 1) / 2) for line in range(len(rows))]
        panel.hlines(heights, [s.low for s in spreads], [s.high for s in spreads], color=style["color"], linewidth=1.4)
        panel.plot([s.mean for s in spreads], heights, label=name, linestyle="none", markersize=5, **style)
    panel.axvline(0, color="0.3", linewidth=0.8)
    panel.set_yticks(range(len(rows)), list(rows.values()))
    panel.invert_yaxis()
    panel.locator_params(axis="x", nbins=6)
    panel.legend(fontsize=7, frameon=False, loc="upper left", bbox_to_anchor=(1, 1))
    panel.grid(axis="y", color="0.92")
    return figure


def curves(title: str, clean_skill: float, scenarios: Mapping[str, Group]) -> Figure:
    """Skill by severity, a panel for each family, a line for each scenario; what has one severity is a single mark."""
    from matplotlib.figure import Figure

    families: dict[str, dict[str, Group]] = {}
    for name, group in scenarios.items():
        families.setdefault(group.family, {})[name] = group
    across = min(ACROSS, max(1, len(families)))
    down = max(1, math.ceil(len(families) / across))
    figure = Figure(figsize=(2.9 * across + 0.4, 2.5 * down + 0.7), layout="constrained")
    figure.suptitle(f"{title}: skill by severity")
    panels = figure.subplots(down, across, sharex=True, sharey=True, squeeze=False).flatten()
    for panel, (family, groups) in zip(panels, families.items(), strict=False):
        held_out = any(group.held_out for group in groups.values())
        panel.set_title(f"{family} (held out)" if held_out else family, fontsize=9)
        panel.axhline(clean_skill, color="0.55", linewidth=0.8, linestyle=":")
        panel.axhline(0, color="0.3", linewidth=0.8)
        for place, (name, group) in enumerate(groups.items()):
            graded = len(group.skill) > 1
            points = ({0: clean_skill} if graded else {}) | group.skill
            style = {"label": name, "markersize": 4, "linewidth": 1.4 if graded else 0.0, **marked(place)}
            panel.plot(list(points), list(points.values()), **style)
        above_zero = {"bbox_to_anchor": (0, 0), "bbox_transform": panel.get_yaxis_transform()}
        panel.legend(fontsize=6.5, frameon=False, loc="lower left", **above_zero)
        panel.spines[["top", "right"]].set_visible(False)
        panel.set_xticks([0, *SEVERITIES])
    for panel in panels[len(families) :]:
        panel.set_visible(False)
    for panel in panels[max(0, len(families) - across) : len(families)]:  # the lowest ones that are seen
        panel.tick_params(labelbottom=True)
    figure.supxlabel("severity (0: clean; dotted line: clean skill; line at 0: the constant prediction)", fontsize=8)
    figure.supylabel("skill", fontsize=9)
    return figure


def heat_map(title: str, scenarios: Mapping[str, Group]) -> Figure:
    """Retention, scenarios down and severities across; held-out families have a star."""
    import matplotlib as mpl

    values = np.array([[group.retention.get(s, math.nan) for s in SEVERITIES] for group in scenarios.values()])
    figure, panel = one_panel(6.6, 0.24 * len(scenarios) + 1.5, "severity (* held-out family; grey: not in the suite)")
    colours = mpl.colormaps["cividis"].with_extremes(bad="0.93")
    shown = panel.imshow(np.ma.masked_invalid(values), cmap=colours, vmin=0, vmax=1, aspect="auto")
    for row, column in zip(*np.nonzero(np.isfinite(values)), strict=True):
        value = values[row, column]
        colour = "w" if value < LIGHT else "k"
        panel.text(column, row, f"{value:.2f}", ha="center", va="center", fontsize=7, color=colour)
    labels = [f"{name}{' *' if group.held_out else ''}" for name, group in scenarios.items()]
    panel.set_yticks(range(len(labels)), labels, fontsize=7)
    panel.set_xticks(range(len(SEVERITIES)), [str(severity) for severity in SEVERITIES])
    families = [group.family for group in scenarios.values()]
    for row in range(1, len(families)):
        if families[row] != families[row - 1]:
            panel.axhline(row - 0.5, color="w", linewidth=1.5)
    figure.colorbar(shown, label="retention (skill / clean skill)", extend="both", shrink=min(1.0, 12 / len(labels)))
    figure.suptitle(f"{title}: retention")
    return figure
