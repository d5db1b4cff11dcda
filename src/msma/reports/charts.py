"""What the drawings of `templates/charts.html.j2`, where this module is called `drawn`, are computed from.

They place things by per cent of their width, so that lines and letters stay as they are on a telephone and on paper.
Nothing is shown by colour alone: what has a colour has a place, a shape or a word of its own too.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from msma.types import Window

BLUE, ORANGE = "#0072B2", "#D55E00"
WAVE_HEIGHT = 48
"""Units up and down together of a drawn waveform."""
TICKS = (0.0, 0.25, 0.5, 0.75, 1.0)
MAX_EDGES = 60
"""More windows than this stand too close, and their edges are not drawn."""
MARKS = {"ok": "\u2713", "degraded": "\u25b3", "abstained": "\u25cb", "failed": "\u2715"}


def wave_path(
    low: Float[np.ndarray, " steps"] | Sequence[float], high: Float[np.ndarray, " steps"] | Sequence[float], peak: float
) -> str:
    """The outline of a waveform, from the lowest to the highest sample of each step, as the path of a drawing.

    `peak` is the loudest sample; one a little louder reaches the edge.
    """
    half, full_scale = WAVE_HEIGHT / 2, min(1.0, 1.25 * peak) or 1.0
    top, bottom = (half - half * np.clip(np.asarray(edge) / full_scale, -1, 1) for edge in (high, low))
    there = [f"{x} {y:.1f}" for x, y in enumerate(top)]
    # A silent step still has a line.
    back = [f"{x} {max(y, top[x] + 0.6):.1f}" for x, y in reversed(list(enumerate(bottom)))]
    return f"M{' L'.join(there + back)}Z"


def box_ends(labels: Sequence[float]) -> list[float]:
    """The labels that 5, 25, 50, 75 and 95 % are below, from evenly spaced quantiles."""
    return np.quantile(labels, [0.05, 0.25, 0.5, 0.75, 0.95]).tolist()


def share_below(score: float, labels: Sequence[float]) -> float:
    """Share of labels below a score, between evenly spaced quantiles by a straight line."""
    above = np.interp(-score, -np.asarray(labels)[::-1], np.linspace(0, 1, len(labels)))  # equal labels are above
    return 1 - float(above)


def trait_range(windows: Sequence[Window], trait: str) -> str:
    """The lowest and the highest score of a trait."""
    scores = [window.traits[trait] for window in windows if trait in window.traits]
    return f"{min(scores):.2f} to {max(scores):.2f}" if scores else "not predicted"


def clock(seconds: float) -> str:
    """`7.5 s`, `2:05` or `1:02:05`."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
