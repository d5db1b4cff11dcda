"""What files are called where people read it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import PurePath


def distinct_names(paths: Sequence[str]) -> list[str]:
    """Each path by its shortest end that no other path has: the name of the file where that is unique."""
    parts = [PurePath(path).parts or (path,) for path in paths]
    ends = [[part[-length:] for length in range(1, len(part) + 1)] for part in parts]
    times = Counter(end for whole in {tuple(of) for of in ends} for end in whole)
    return [str(PurePath(*next((end for end in of if times[end] == 1), of[-1]))) for of in ends]
