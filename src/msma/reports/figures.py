"""Pictures of a robustness suite: skill by severity, and a map of retention. They need matplotlib (extra `plots`).

The same results give the same bytes.
"""

from __future__ import annotations

import importlib.util
import io
import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from msma.corruptions.corruption import SEVERITIES
from msma.files import written_whole
from msma.types import MsmaError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from msma.evaluation.robustness.summary import Group

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
"""Okabe and Ito's, which colour-blind readers tell apart."""
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
"""So that lines are told apart in black and white too."""
ACROSS = 4
"""Panels side by side."""
FONT: dict[Any, Any] = {"font.size": 9, "font.family": "DejaVu Sans", "svg.hashsalt": "msma"}
LIGHT = 0.55
"""Retention above which the colour of a cell is so light that its number is written in black."""


def draw_figures(folder: Path, title: str, clean_skill: float, scenarios: Mapping[str, Group]) -> list[Path]:
    """Write `curves.svg` and `heatmap.svg`.

    Args:
        scenarios: by name, in the order of the suite.

    Raises:
        MsmaError: matplotlib is not installed.
    """
    with own_style():
        paths = []
        for name, figure in (
            ("curves.svg", curves(title, clean_skill, scenarios)),
            ("heatmap.svg", heat_map(title, scenarios)),
        ):
            paths.append(folder / name)
            with written_whole(paths[-1]) as unfinished:
                unfinished.write_bytes(as_svg(figure))
    return paths


@contextmanager
def own_style() -> Iterator[None]:
    """Figures are made and written inside; the settings of the caller stay as they are.

    Raises:
        MsmaError: matplotlib is not installed.
    """
    if importlib.util.find_spec("matplotlib") is None:
        raise MsmaError("the figures need matplotlib; pip install 'msma[plots]' and run again")
    import matplotlib as mpl

    with mpl.rc_context(FONT):
        yield


def as_svg(figure: Figure) -> bytes:
    content = io.BytesIO()
    figure.savefig(content, format="svg", metadata={"Date": None})
    return content.getvalue()


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
            style: dict[str, Any] = {"color": COLOURS[place % len(COLOURS)], "marker": MARKERS[place % len(MARKERS)]}
            width = 1.4 if graded else 0.0
            panel.plot(list(points), list(points.values()), label=name, markersize=4, linewidth=width, **style)
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
    import numpy as np
    from matplotlib.figure import Figure

    values = np.array([[group.retention.get(s, math.nan) for s in SEVERITIES] for group in scenarios.values()])
    figure = Figure(figsize=(6.6, 0.24 * len(scenarios) + 1.5), layout="constrained")
    panel = figure.subplots()
    colours = mpl.colormaps["cividis"].with_extremes(bad="0.93")
    image = panel.imshow(np.ma.masked_invalid(values), cmap=colours, vmin=0, vmax=1, aspect="auto")
    for row, column in zip(*np.nonzero(np.isfinite(values)), strict=True):
        value = values[row, column]
        dark = value < LIGHT
        panel.text(column, row, f"{value:.2f}", ha="center", va="center", fontsize=7, color="w" if dark else "k")
    labels = [f"{name}{' *' if group.held_out else ''}" for name, group in scenarios.items()]
    panel.set_yticks(range(len(labels)), labels, fontsize=7)
    panel.set_xticks(range(len(SEVERITIES)), [str(severity) for severity in SEVERITIES])
    panel.set_xlabel("severity (* held-out family; grey: not in the suite)")
    families = [group.family for group in scenarios.values()]
    for row in range(1, len(families)):
        if families[row] != families[row - 1]:
            panel.axhline(row - 0.5, color="w", linewidth=1.5)
    figure.colorbar(image, label="retention (skill / clean skill)", extend="both", shrink=min(1.0, 12 / len(labels)))
    figure.suptitle(f"{title}: retention")
    return figure
