"""Where in a clip something happens: random stretches that together are a given share of it."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool


def in_stretches(rng: np.random.Generator, count: int, share: float, most: int = 3) -> Bool[np.ndarray, " count"]:
    """True in `share` of `count` places (rounded, at least one), which lie together in 1 to `most` stretches.

    Stretches do not touch each other; how long each is and where it lies is random.
    """
    covered = min(count, max(1, round(share * count)))
    free = count - covered
    if not free:
        return np.ones(count, bool)
    number = int(rng.integers(1, min(most, covered, free + 1), endpoint=True))
    cuts = 1 + np.sort(rng.choice(covered - 1, number - 1, replace=False)) if number > 1 else np.zeros(0, int)
    lengths = np.diff([0, *cuts, covered])
    starts = np.sort(rng.choice(free + 1, number, replace=False))
    return np.insert(np.zeros(free, bool), np.repeat(starts, lengths), True)
