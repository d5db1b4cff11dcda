"""The order of reasons why a clip is less than perfect: what matters most to a prediction stands first."""

from __future__ import annotations

import re
from collections.abc import Iterable

MISSING = re.compile(
    r"no (audio|video) track|no face|audio track (is silent|has an impossible)|\w+ track holds nothing"
)
POOR = re.compile(r"\w+ is poor")
CHOICE = re.compile(r"several |frame size changes")


def by_weight(reasons: Iterable[str]) -> list[str]:
    """A modality or a face that is missing, then poor quality, what is used in part, and choices among several."""
    return sorted(reasons, key=weight)


def weight(reason: str) -> int:
    """Place of the kind of a reason, 0 to 3; one that is not known is of use in part."""
    ranked = ((MISSING, 0), (POOR, 1), (CHOICE, 3))
    return next((place for kind, place in ranked if kind.match(reason)), 2)
