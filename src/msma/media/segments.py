"""Segments: the consecutive stretches of a window, of SEGMENT_S each, whose quality is judged one by one.

Audio and frames that end early have fewer segments than the window. Each counts them from the start of the window, so
that a segment is the same stretch of time in both. A rest of less than half a segment belongs to the one before.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float32, Int

from msma.types import SEGMENT_S


def segments_in(seconds: float) -> int:
    """The number of segments in so many seconds, at least 1."""
    return max(1, int(seconds / SEGMENT_S + 0.5))


def segment_cuts(count: int, step_s: float, segments: int) -> Int[np.ndarray, " r1"]:
    """Where `np.split` cuts `count` steps of `step_s` into so many segments: each step is where its middle is."""
    return np.searchsorted((np.arange(count) + 0.5) * step_s, SEGMENT_S * np.arange(1, segments))


def lengthened(found: Sequence[np.ndarray] | np.ndarray, segments: int, numbers: int) -> Float32[np.ndarray, "r k"]:
    """The numbers of the first segments, and zeros for the others."""
    values = np.zeros((segments, numbers), np.float32)
    values[: len(found)] = found
    return values
