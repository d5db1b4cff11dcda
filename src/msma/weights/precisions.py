"""The fitted table of the adaptive weighting, kept in `config.json`. No torch here."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from msma.config import Frozen
from msma.metrics import Keys
from msma.types import MODALITIES, TRAITS

MAX_PRECISION = 10.0
MAX_SLOPE = 4.0
Precision = Annotated[float, Field(ge=0, le=MAX_PRECISION)]
PrecisionByTrait = Annotated[dict[str, Precision], Keys(TRAITS)]
SlopeByModality = Annotated[dict[str, Annotated[float, Field(ge=0, le=MAX_SLOPE)]], Keys(MODALITIES)]


class Precisions(Frozen):
    """Precisions at quality 1, where that of the fused output is 1, and how steeply they fall with quality.

    A precision at quality q is that at 1 times q ** slope; see `msma.model.weighting`.
    """

    baseline: PrecisionByTrait
    """Of the mean-label baseline, whatever the quality."""
    alone: Annotated[dict[str, PrecisionByTrait], Keys(MODALITIES)]
    """Of the output from each modality alone."""
    alone_slopes: SlopeByModality
    fused_slopes: SlopeByModality
    """Of the fused output, for the quality of each modality that is present."""
