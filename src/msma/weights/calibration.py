"""Prediction intervals: how far a label may be from a prediction, judging by errors on held-out clips.

Clips of one source resemble each other, so sources are exchangeable and clips are not. Hierarchical conformal
prediction (Lee, Barber and Willett 2023; the pooled distribution of Dunn, Wasserman and Ramdas 2022): each of K sources
weighs 1 / (K + 1), shared evenly by its predictions, and as much lies beyond every error. With one prediction per
source it is split conformal prediction. Errors are pooled by what could be used and by predicted quality (Mondrian).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import compress
from typing import Annotated, Literal

import numpy as np
from jaxtyping import Float, Float64
from pydantic import Field, model_validator

from msma.config import Frozen, Share
from msma.metrics import Keys
from msma.types import MODALITIES, TRAITS, MsmaError
from msma.weights.operating_points import OperatingPoint

COVERAGES = tuple(hundredths / 100 for hundredths in range(50, 100))
"""The coverages that a calibration knows."""
QUALITY_EDGES = (0.5, 0.8)
"""Between bins of predicted quality, the mean of the modalities that are there."""
BINS = len(QUALITY_EDGES) + 1

LABEL_SHARES = tuple(twentieths / 20 for twentieths in range(21))
"""The shares of the clips at which quantiles of their labels are stored."""

Availability = Literal["both", "audio", "visual"]
AVAILABILITIES: tuple[Availability, ...] = ("both", "audio", "visual")
HalfWidths = Annotated[
    tuple[Annotated[float, Field(ge=0)] | None, ...], Field(min_length=len(COVERAGES), max_length=len(COVERAGES))
]
"""One for each of COVERAGES; None: too few sources to tell, the interval is the whole range."""
Labels = Annotated[tuple[Share, ...], Field(min_length=len(LABEL_SHARES), max_length=len(LABEL_SHARES))]
"""Quantiles of one trait's labels at LABEL_SHARES."""


class Bin(Frozen):
    """Errors of similar predictions."""

    answers: Annotated[int, Field(ge=0)]
    sources: Annotated[int, Field(ge=0)]
    half_widths: Annotated[dict[str, HalfWidths], Keys((), TRAITS)]


class CalibratedOn(Frozen):
    weights_sha256: str
    """Digest of the weights whose errors these are."""
    operating_point: OperatingPoint
    """Of the predictions whose errors these are; others have no intervals."""
    corpus: str
    split: str
    clips: Annotated[int, Field(ge=1)]
    sources: Annotated[int, Field(ge=1)]


class Calibration(Frozen):
    """The content of `calibration.json` beside the weights."""

    about: CalibratedOn
    bins: dict[Availability, Annotated[tuple[Bin, ...], Field(min_length=BINS, max_length=BINS)]]
    """Bins by what could be used, the worst quality first."""
    labels: Annotated[dict[str, Labels], Keys((), TRAITS)]
    """Quantiles of the clips' labels, to set a prediction beside; no interval depends on them."""

    @model_validator(mode="after")
    def labels_rise(self) -> Calibration:
        if falling := [trait for trait, values in self.labels.items() if list(values) != sorted(values)]:
            raise ValueError(f"labels: {falling[0]}: quantiles that fall")
        return self

    def half_widths(self, quality: Mapping[str, float], coverage: float) -> dict[str, float]:
        """Half-widths by trait, infinite where too little is known; `quality` by modality is 0 where it is missing."""
        level = level_of(coverage)
        available, mean = used_quality(quality)
        if available is None or available not in self.bins:
            return dict.fromkeys(TRAITS, math.inf)
        widths = self.bins[available][bin_of(mean)].half_widths
        return {trait: math.inf if (width := by_level[level]) is None else width for trait, by_level in widths.items()}

    def intervals(
        self, traits: Mapping[str, float], quality: Mapping[str, float], coverage: float
    ) -> dict[str, list[float]]:
        """Low and high end by trait, within [0, 1]; the whole range where too little is known. See `half_widths`."""
        widths = dict.fromkeys(traits, math.inf) | self.half_widths(quality, coverage)
        return {t: [max(score - widths[t], 0.0), min(score + widths[t], 1.0)] for t, score in traits.items()}


def level_of(coverage: float) -> int:
    """The place of a coverage among COVERAGES; MsmaError where it is not there."""
    close = [level for level, known in enumerate(COVERAGES) if math.isclose(known, coverage, abs_tol=1e-9)]
    if not close:
        raise MsmaError(
            f"coverage {coverage:g}: intervals are known for hundredths from 0.50 to 0.99 (alpha 0.01 to 0.5)"
        )
    return close[0]


def used_quality(quality: Mapping[str, float]) -> tuple[Availability | None, float]:
    """The modalities that could be used, and their mean quality."""
    here = [modality for modality in MODALITIES if quality[modality] > 0]
    if not here:
        return None, 0.0
    available: Availability = "both" if len(here) == len(MODALITIES) else "audio" if here == ["audio"] else "visual"
    return available, sum(quality[modality] for modality in here) / len(here)


def bin_of(quality: float) -> int:
    return sum(quality >= edge for edge in QUALITY_EDGES)


def conformal_quantiles(
    errors: Float[np.ndarray, " n"], sources: Sequence[str], coverages: Sequence[float]
) -> Float64[np.ndarray, " c"]:
    """The smallest error at which the pooled distribution of all sources, with one more beyond, reaches each coverage.

    Infinite where there are too few sources: (1 - coverage) of K + 1 must be one at least.
    """
    order = np.argsort(errors, kind="stable")
    names, source_of, counts = np.unique(np.asarray(sources), return_inverse=True, return_counts=True)
    weights = 1 / (len(names) + 1) / counts[source_of[order]]
    reached = np.searchsorted(np.cumsum(weights), np.asarray(coverages) - 1e-9)
    return np.append(errors[order], math.inf)[reached].astype(np.float64)


def calibration_of(
    errors: Float[np.ndarray, "n k"],
    quality: Sequence[Mapping[str, float]],
    sources: Sequence[str],
    traits: Sequence[str],
    about: CalibratedOn,
    labels: Float[np.ndarray, "clips k"],
) -> Calibration:
    """A calibration from absolute errors by trait, each with its source and the predicted quality by modality.

    `labels` are of the clips, each once, however many predictions there are for it.
    A bin with too few sources is as wide as the next worse one, and none is narrower than a better one.
    """
    where = [(available, bin_of(mean)) for available, mean in map(used_quality, quality)]
    bins: dict[Availability, tuple[Bin, ...]] = {}
    for available in AVAILABILITIES:
        inside = [[at == (available, place) for at in where] for place in range(BINS)]
        if not np.any(inside):
            continue
        names = [list(compress(sources, chosen)) for chosen in inside]
        of_bins = [(errors[chosen].T, of) for chosen, of in zip(inside, names, strict=True)]
        widths = np.array([[conformal_quantiles(one, of, COVERAGES) for one in columns] for columns, of in of_bins])
        for place in range(1, BINS):
            widths[place] = np.where(np.isinf(widths[place]), widths[place - 1], widths[place])
        widths = np.maximum.accumulate(widths[::-1])[::-1]
        bins[available] = tuple(
            Bin(answers=len(of), sources=len(set(of)), half_widths=by_trait(traits, rows))
            for of, rows in zip(names, widths, strict=True)
        )
    return Calibration(about=about, bins=bins, labels=label_quantiles(labels, traits))


def label_quantiles(labels: Float[np.ndarray, "clips k"], traits: Sequence[str]) -> dict[str, Labels]:
    """Quantiles at LABEL_SHARES, by trait."""
    values = np.quantile(labels, LABEL_SHARES, axis=0).round(5)
    return {trait: tuple(column.tolist()) for trait, column in zip(traits, values.T, strict=True)}


def by_trait(traits: Sequence[str], widths: Float64[np.ndarray, "k c"]) -> dict[str, HalfWidths]:
    """Half-widths by trait, with five digits, never rounded down."""
    rounded = (np.ceil(widths * 1e5) / 1e5).tolist()
    return {
        trait: tuple(None if math.isinf(width) else width for width in row)
        for trait, row in zip(traits, rounded, strict=True)
    }
