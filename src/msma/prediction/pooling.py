"""From the answers for the windows of a video to the answer for the video."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

import numpy as np

from msma.types import MODALITIES, Window


def durations(windows: Sequence[Window]) -> np.ndarray:
    """Seconds of each window; a single picture counts as a moment."""
    return np.array([max(window.end_s - window.start_s, 1e-3) for window in windows])


def pooled(values: dict[str, list[float]], weights: np.ndarray) -> dict[str, float]:
    return {name: float(np.average(column, weights=weights)) for name, column in values.items()}


def pooled_traits(windows: Sequence[Window]) -> dict[str, float]:
    """Mean over windows weighted by duration and by the better quality of the two; by duration where all is lost."""
    weights = durations(windows) * np.array([max(window.quality.values()) for window in windows])
    if not weights.any():
        weights = durations(windows)
    return pooled({trait: [w.traits[trait] for w in windows] for trait in windows[0].traits}, weights)


def pooled_quality(windows: Sequence[Window]) -> dict[str, float]:
    """Mean over windows weighted by duration, by modality."""
    return pooled({m: [w.quality[m] for w in windows] for m in MODALITIES}, durations(windows))


def pooled_reasons(windows: Sequence[Window]) -> list[str]:
    """Every reason once. Where only its numbers change from window to window, the last one is told."""
    last: dict[str, str] = {}
    times: Counter[str] = Counter()
    for window in windows:
        for reason in window.reasons:
            topic = re.sub(r"[0-9.]+", "#", reason)
            last[topic] = reason
            times[topic] += 1
    everywhere = len(windows)
    return [
        reason if times[topic] == everywhere else f"{reason} (in {times[topic]} of {everywhere} windows)"
        for topic, reason in last.items()
    ]
