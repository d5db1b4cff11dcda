"""Fit the operating points of a network: one affine map a trait, on held-out clips, for accuracy and for CCC.

With few clips a fitted map is mostly noise. So it is shrunk towards the identity by the share that serves best on
sources which it was not fitted to, and taken at all only where it gains more there than its standard error.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from jaxtyping import Float

from msma.metrics import ccc, labelled_traits, mae
from msma.training.ridge import source_folds
from msma.types import TRAITS
from msma.weights.operating_points import MAX_SCALE, AffineMap, OperatingPoint, OperatingPoints

FOLDS = 10
"""Parts of the sources; each is left out once."""
MIN_SOURCES = 4
"""With fewer there is no map but the identity."""
SHARES = (0.0, 0.25, 0.5, 0.75, 1.0)
"""Shares of the way from the identity to the fitted map."""
ROUNDS = 50
"""Rounds of reweighting, after which the least absolute error is known to more digits than a score has."""
FLAT = 1e-4
"""Least error that a clip is weighted by: its inverse is the weight."""

Scores = Float[np.ndarray, "clips traits"]
Maps = Float[np.ndarray, "2 traits"]
"""Shift and scale of each trait."""
Fit = Callable[[Scores, Scores], Maps]


def fit_operating_points(
    predicted: Float[np.ndarray, "clips 5"], target: Float[np.ndarray, "clips 5"], sources: Sequence[str]
) -> OperatingPoints:
    """The maps for held-out clips; a trait without labels has none."""
    labelled = labelled_traits(target)
    maps = {point: shrunk_fit(predicted[:, labelled], target[:, labelled], sources, point) for point in FITS}
    names = [trait for trait, has in zip(TRAITS, labelled, strict=True) if has]
    by_point = {
        point: {
            trait: AffineMap(shift=round(float(shift), 6), scale=round(float(scale), 6))
            for trait, (shift, scale) in zip(names, found.T, strict=True)
        }
        for point, found in maps.items()
    }
    return OperatingPoints(**by_point)


def shrunk_fit(predicted: Scores, target: Scores, sources: Sequence[str], point: OperatingPoint) -> Maps:
    """The map of a point, shrunk towards the identity as its gain on left-out sources demands."""
    fit, identity = FITS[point], identity_map(predicted.shape[1])
    if len(set(sources)) < MIN_SOURCES:
        return identity
    folds = source_folds(list(sources), FOLDS, 0)
    held_out = np.empty((len(SHARES), *predicted.shape))
    for kept, left in folds:
        own = fit(predicted[kept], target[kept])
        for place, share in enumerate(SHARES):
            held_out[place][left] = apply_map(predicted[left], identity + share * (own - identity))
    # Jackknife over the folds: what the gain would be without each of them.
    gains = gains_over_identity(held_out, target, point)
    parts = [np.delete(np.arange(len(target)), left) for _, left in folds]
    without = np.array([gains_over_identity(held_out[:, part], target[part], point) for part in parts])
    error = np.sqrt((len(folds) - 1) * without.var(axis=0))
    sure = np.where(gains > error, gains, 0.0)
    return identity + SHARES[int(np.argmax(sure))] * (fit(predicted, target) - identity)


def gains_over_identity(
    held_out: Float[np.ndarray, "shares clips traits"], target: Scores, point: OperatingPoint
) -> Float[np.ndarray, " shares"]:
    """What each share gains in the measure of the point, mean over traits."""
    values = np.array([(ccc(scores, target) if point == "ccc" else -mae(scores, target)).mean() for scores in held_out])
    return values - values[0]


def identity_map(traits: int) -> Maps:
    return np.array([np.zeros(traits), np.ones(traits)])


def apply_map(scores: Scores, maps: Maps) -> Scores:
    shift, scale = maps
    return np.clip(shift + scale * scores, 0, 1)


def least_error(predicted: Scores, target: Scores) -> Maps:
    """The map of the least mean absolute error, by iteratively reweighted least squares (Schlossmacher 1973)."""
    maps = identity_map(predicted.shape[1])
    centre = predicted.mean(axis=0)
    x = predicted - centre
    for _ in range(ROUNDS):
        weights = 1 / np.maximum(np.abs(target - apply_map(predicted, maps)), FLAT)
        total = weights.sum(axis=0)
        x_mean, y_mean = (weights * x).sum(axis=0) / total, (weights * target).sum(axis=0) / total
        spread = (weights * (x - x_mean) ** 2).sum(axis=0)
        together = (weights * (x - x_mean) * (target - y_mean)).sum(axis=0)
        scale = np.where(spread > 1e-9, together / np.maximum(spread, 1e-9), 1.0).clip(0, MAX_SCALE)
        maps = np.array([y_mean - scale * (x_mean + centre), scale])
    return maps


def largest_ccc(predicted: Scores, target: Scores) -> Maps:
    """The map of the largest CCC: predictions with the mean and the spread of the labels. Where the two do not rise
    together, or a prediction is constant, it only has their mean."""
    centre, level = predicted.mean(axis=0), target.mean(axis=0)
    together = ((predicted - centre) * (target - level)).mean(axis=0)
    spread = predicted.std(axis=0)
    useful = (together > 0) & (spread > 1e-6)
    scale = np.where(useful, target.std(axis=0) / np.where(useful, spread, 1.0), 1.0).clip(0, MAX_SCALE)
    return np.array([level - scale * centre, scale])


FITS: dict[OperatingPoint, Fit] = {"accuracy": least_error, "ccc": largest_ccc}
