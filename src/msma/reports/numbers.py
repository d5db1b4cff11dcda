"""Numbers as people read them."""

from __future__ import annotations

import math

from msma.evaluation.disparities import Difference
from msma.evaluation.results import Spread
from msma.metrics import Interval


def number(value: float | None, digits: int = 3, sign: bool = False) -> str:
    """A dash for what is not defined; never -0."""
    if value is None or math.isnan(value):
        return "\u2013"
    return f"{round(value, digits) + 0.0:{'+' if sign else ''}.{digits}f}"


def signed(value: float) -> str:
    return number(value, sign=True)


def span(ends: Interval | Difference | Spread, digits: int = 3, sign: bool = False) -> str:
    """An interval or a range; empty where it is not defined."""
    low, high = ends.low, ends.high
    return "" if math.isnan(low) else f"[{number(low, digits, sign)}, {number(high, digits, sign)}]"


def with_interval(value: float, ends: Interval | Difference | Spread, digits: int = 3, sign: bool = False) -> str:
    """A cell with a value, and its interval as a detail where it has one."""
    return f"{number(value, digits, sign)}\n{span(ends, digits, sign)}".rstrip("\n")


def difference(value: Difference) -> str:
    """A cell with a difference and its interval."""
    return with_interval(value.difference, value, sign=True)
