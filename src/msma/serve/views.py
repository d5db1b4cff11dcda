"""What the page shows, as HTML inside gradio's, from the macros of `templates/views.html.j2`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msma.config import Limits
from msma.corruptions.scenarios import Cell
from msma.corruptions.table import find_corruption
from msma.reports.explanation import explanation_page
from msma.reports.media import player
from msma.reports.page import environment
from msma.types import Clip, Prediction


def view(macro: str, *values: Any) -> str:
    """A macro of the template, filled in with its values."""
    helpers = (applied, change, explanation_page, extent, megabytes, player, widths)
    charts = environment().get_template("charts.html.j2").module
    template = environment("msma.serve").get_template("views.html.j2")
    module = template.make_module({"charts": charts, **{helper.__name__: helper for helper in helpers}})
    return str(getattr(module, macro)(*values))


def megabytes(limits: Limits) -> str:
    return f"{limits.max_bytes / 1e6:.0f} MB"


def extent(clip: Clip) -> str:
    """The part of a file that a window is; many files do not say how long they are."""
    whole_s = clip.media.duration_s
    return "The clip" if whole_s is not None and whole_s < clip.end_s + 1 else f"The first {clip.end_s:.0f} s"


def applied(cell: Cell) -> str:
    """The corruptions of a cell, each with its level where it has several."""
    names = []
    for step in cell.steps:
        row = find_corruption(step.corruption)
        names.append(row.name + (f" ({row.parameter} {row.level(step.severity):g})" if len(row.levels) > 1 else ""))
    return ", ".join(names) or "nothing wrong"


def change(clean: Mapping[str, float] | None, corrupted: Mapping[str, float] | None, trait: str) -> str:
    """A trait before and after, `0.51 → 0.48 (-0.03)`."""
    before, after = (clean or {}).get(trait), (corrupted or {}).get(trait)
    scores = " → ".join("none" if score is None else f"{score:.2f}" for score in (before, after))
    return scores if before is None or after is None else f"{scores} ({after - before:+.2f})"


def widths(trait: str, *predictions: Prediction) -> str:
    """Widths of the intervals that are there."""
    ends = [found.intervals[trait] for found in predictions if found.intervals]
    return " → ".join(f"{high - low:.2f}" for low, high in ends)
