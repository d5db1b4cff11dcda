"""Predictions beside the labels, clip by clip."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from msma.types import TRAITS
from msma.weights.operating_points import OperatingPoint


@dataclass(frozen=True)
class Bounds:
    """Prediction intervals, clip by clip."""

    nominal: float
    """The coverage that they are made for."""
    low: Float[np.ndarray, "clips 5"]
    high: Float[np.ndarray, "clips 5"]
    available: list[str]
    """What could be used of each clip: both, audio, visual or nothing."""


@dataclass(frozen=True)
class Predictions:
    """Predictions and labels, clip by clip, in the order of the manifest."""

    clips: list[str]
    sources: list[str]
    predicted: Float[np.ndarray, "clips 5"]
    target: Float[np.ndarray, "clips 5"]
    """NaN for the traits that the corpus does not label; `predicted` may be NaN there too."""
    bounds: Bounds | None = None
    """Where the predictions have intervals."""
    abstained: Bool[np.ndarray, " clips"] | None = None
    """Where the model abstains, and `predicted` is the network's output all the same; None for another tool."""
    by_point: dict[OperatingPoint, Float[np.ndarray, "clips 5"]] | None = None
    """What the same network predicts at each operating point; None where it has none."""

    def at(self, places: Sequence[int]) -> Predictions:
        """The predictions for some of the clips, without intervals."""
        clips, sources = ([names[place] for place in places] for names in (self.clips, self.sources))
        return Predictions(clips, sources, self.predicted[places], self.target[places])


def trait_array(by_clip: Sequence[Mapping[str, float]]) -> Float[np.ndarray, "clips 5"]:
    """Scores in OCEAN order; NaN for traits that are not there."""
    return np.array([[traits.get(trait, math.nan) for trait in TRAITS] for traits in by_clip])
