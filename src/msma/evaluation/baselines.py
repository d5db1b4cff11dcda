"""Media-free baselines: the mean training label, and that of the same source."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Float

from msma.data.corpora.manifest import Manifest, Row, targets
from msma.types import MsmaError


@dataclass(frozen=True)
class Baselines:
    """The media-free baselines of the clips that are scored, NaN for traits without labels."""

    constant: Float[np.ndarray, "clips 5"]
    """The mean of the training labels."""
    same_source: Float[np.ndarray, "clips 5"]
    """The mean training label of the clip's source; the constant where the source is not in training."""
    seen: Bool[np.ndarray, " clips"]
    """Is the clip's source in training?"""

    def at(self, places: Sequence[int]) -> Baselines:
        """The baselines of some of the clips."""
        return Baselines(self.constant[places], self.same_source[places], self.seen[places])


def baselines(training: Sequence[Row], rows: Sequence[Row]) -> Baselines:
    """Baselines for `rows` from the labels of `training`. A clip that is in training itself is left out of the mean of
    its source, or the probe would know its label."""
    labels, own = targets(training), {row.clip: index for index, row in enumerate(training)}
    sums: dict[str, tuple[Any, int]] = defaultdict(lambda: (0.0, 0))
    for row, label in zip(training, labels, strict=True):
        sums[row.source] = sums[row.source][0] + label, sums[row.source][1] + 1
    constant = np.tile(labels.mean(axis=0), (len(rows), 1))
    same_source, seen = constant.copy(), np.zeros(len(rows), dtype=bool)
    for place, row in enumerate(rows):
        total, count = sums[row.source]
        if row.clip in own and training[own[row.clip]].source == row.source:
            total, count = total - labels[own[row.clip]], count - 1
        if count:
            same_source[place], seen[place] = total / count, True
    return Baselines(constant, same_source, seen)


def split_baselines(manifest: Manifest, rows: Sequence[Row]) -> Baselines:
    """Baselines for `rows` from the manifest's training split; MsmaError where that has no clips."""
    training = [row for row in manifest.rows if row.split == "train"]
    if not training:
        raise MsmaError(
            f"{manifest.corpus}: the manifest has no training clips, whose labels the baselines are made of; "
            "keep their rows in it (their media is not needed)"
        )
    return baselines(training, rows)
