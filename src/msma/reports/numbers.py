"""Numbers as people read them."""

from __future__ import annotations

import math


def number(value: float | None, digits: int = 3) -> str:
    """A dash for what is not defined; never -0."""
    if value is None or math.isnan(value):
        return "\u2013"
    return f"{round(value, digits) + 0.0:.{digits}f}"


def signed(value: float | None) -> str:
    return "\u2013" if value is None or math.isnan(value) else f"{round(value, 3) + 0.0:+.3f}"


def span(low: float | None, high: float | None) -> str:
    """An interval."""
    return "" if low is None or high is None else f"[{number(low)}, {number(high)}]"
