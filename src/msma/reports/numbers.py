"""Numbers as people read them."""

from __future__ import annotations

import math


def number(value: float | None, digits: int = 3, sign: bool = False) -> str:
    """A dash for what is not defined; never -0."""
    if value is None or math.isnan(value):
        return "\u2013"
    return f"{round(value, digits) + 0.0:{'+' if sign else ''}.{digits}f}"


def signed(value: float) -> str:
    return number(value, sign=True)


def span(low: float, high: float) -> str:
    """An interval; empty where it is not defined."""
    return "" if math.isnan(low) or math.isnan(high) else f"[{number(low)}, {number(high)}]"
