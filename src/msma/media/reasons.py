"""The order of reasons why a clip is less than perfect: what matters most to a prediction stands first."""

from __future__ import annotations

import re
from collections.abc import Iterable

KINDS = (
    re.compile(r"no (audio|video) track|no face|audio track (is silent|has an impossible)|\w+ track holds nothing"),
    re.compile(r"\w+ is poor"),
    re.compile(r"(?!several |frame size changes)"),
    re.compile(""),
)


def by_weight(reasons: Iterable[str]) -> list[str]:
    """Sort reasons: a missing modality or face, poor quality, streams used in part, choices among several."""
    return sorted(reasons, key=lambda reason: next(place for place, kind in enumerate(KINDS) if kind.match(reason)))
