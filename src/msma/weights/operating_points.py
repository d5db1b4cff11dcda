"""Operating points: what one network's scores are mapped to, for the least error or for the largest CCC.

An error is least where scores keep near the mean, a CCC is largest where they have the mean and the spread of the
labels: no single score is best for both. Each point is one affine map a trait, fitted on validation clips after
training and kept in `config.json`. No torch here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal, get_args

from pydantic import Field

from msma.config import Frozen
from msma.metrics import Keys
from msma.types import TRAITS

OperatingPoint = Literal["accuracy", "ccc"]
OPERATING_POINTS: tuple[OperatingPoint, ...] = get_args(OperatingPoint)
DEFAULT_POINT: OperatingPoint = "accuracy"
MAX_SCALE = 4.0
"""A map that spreads scores more than this would make the most of noise."""


class AffineMap(Frozen):
    """`shift + scale * score`."""

    scale: Annotated[float, Field(ge=0, le=MAX_SCALE)] = 1.0
    shift: Annotated[float, Field(ge=-MAX_SCALE, le=MAX_SCALE)] = 0.0


AffineMaps = Annotated[dict[str, AffineMap], Keys((), TRAITS)]
"""By trait; the scores of a trait that is not there stay as they are."""


class OperatingPoints(Frozen):
    """The maps of each operating point."""

    accuracy: AffineMaps
    """For the least absolute error; the default."""
    ccc: AffineMaps
    """For the largest CCC: the mean and the spread of the labels."""

    def maps(self, point: OperatingPoint) -> AffineMaps:
        return self.accuracy if point == "accuracy" else self.ccc


def mapped(traits: Mapping[str, float], maps: Mapping[str, AffineMap]) -> dict[str, float]:
    """The scores by trait, mapped and within [0, 1]."""
    known = {trait: maps.get(trait, AffineMap()) for trait in traits}
    return {trait: min(max(one.shift + one.scale * traits[trait], 0.0), 1.0) for trait, one in known.items()}
