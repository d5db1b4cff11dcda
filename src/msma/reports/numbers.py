"""Numbers as people read them."""

from __future__ import annotations

import math
from collections.abc import Sequence

from msma.evaluation.ablation import Offered, Spread
from msma.evaluation.disparities import Difference
from msma.evaluation.score import ClipScores
from msma.metrics import Interval

Ends = Interval | Difference | Spread | Offered
METRIC_NAMES = {"ccc": "CCC", "pcc": "PCC", "mae": "MAE", "r2": "R²"}
"""Names that differ from those in the results by more than spaces."""
DASH = "\u2013"
"""For what is not defined."""


def number(value: float | None, digits: int = 3, sign: bool = False) -> str:
    """A dash for what is not defined; never -0."""
    if value is None or math.isnan(value):
        return DASH
    return f"{round(value, digits) + 0.0:{'+' if sign else ''}.{digits}f}"


def signed(value: float) -> str:
    return number(value, sign=True)


def span(ends: Ends, digits: int = 3, sign: bool = False) -> str:
    """An interval or a range; empty where it is not defined."""
    low, high = ends.low, ends.high
    return "" if math.isnan(low) else f"[{number(low, digits, sign)}, {number(high, digits, sign)}]"


def with_interval(value: float, ends: Ends | None, digits: int = 3, sign: bool = False) -> str:
    """A cell with a value, and its interval as a detail where it has one."""
    return f"{number(value, digits, sign)}\n{span(ends, digits, sign) if ends else ''}".rstrip("\n")


def one_line(value: float, ends: Ends | None, digits: int = 3, sign: bool = False) -> str:
    """A value with its interval behind it, where it has one."""
    return with_interval(value, ends, digits, sign).replace("\n", " ")


def difference(value: Difference) -> str:
    """A cell with a difference and its interval."""
    return with_interval(value.difference, value, sign=True)


def metric_name(metric: str) -> str:
    return METRIC_NAMES.get(metric, metric.replace("_", " "))


def metric_cells(found: ClipScores, trait: str, metrics: Sequence[str]) -> list[str]:
    """The metrics of a trait, or of their mean, each with its interval where it has one."""
    return [
        with_interval(found.metrics[metric][trait], found.intervals.get(metric, {}).get(trait), sign=metric == "bias")
        for metric in metrics
    ]
