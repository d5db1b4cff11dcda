"""Metrics on whole splits, in float64; each is defined here once (formulas in docs/metrics.md).

Arrays are (clips, traits): `predicted` and `target` in [0, 1], in OCEAN order.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from msma.traits import TRAITS

Scores = Float[np.ndarray, "clips traits"]
PerTrait = Float[np.ndarray, " traits"]

METRICS = ("mean_accuracy", "mae", "skill", "ccc", "pcc", "r2", "spread_ratio")


def mae(predicted: Scores, target: Scores) -> PerTrait:
    return np.abs(predicted - target).mean(axis=0)


def ccc(predicted: Scores, target: Scores) -> PerTrait:
    """Concordance correlation coefficient (Lin 1989), population moments; 0 for a constant prediction."""
    gap = predicted.mean(axis=0) - target.mean(axis=0)
    values = _ratio(2 * _covariance(predicted, target), predicted.var(axis=0) + target.var(axis=0) + gap**2)
    return np.where(pcc(predicted, target) == 0, 0.0, values)  # exactly, where rounding leaves a trace of covariance


def pcc(predicted: Scores, target: Scores) -> PerTrait:
    """Pearson correlation; 0 for a constant prediction."""
    return _ratio(_covariance(predicted, target), predicted.std(axis=0) * target.std(axis=0))


def r2(predicted: Scores, target: Scores) -> PerTrait:
    """Coefficient of determination against the mean of this very split; 0 where the target is constant."""
    error = ((predicted - target) ** 2).mean(axis=0)
    return np.where(target.var(axis=0) > 0, 1 - _ratio(error, target.var(axis=0)), 0.0)


def spread_ratio(predicted: Scores, target: Scores) -> PerTrait:
    """Standard deviation of the predictions over that of the targets: under 1 is shrunk to the mean."""
    return _ratio(predicted.std(axis=0), target.std(axis=0))


def skill(predicted: Scores, target: Scores, constant: PerTrait) -> PerTrait:
    """1 - MAE / MAE of the constant prediction (the mean of the training labels)."""
    return 1 - _ratio(mae(predicted, target), mae(np.broadcast_to(constant, target.shape), target))


def all_metrics(predicted: Scores, target: Scores, constant: PerTrait) -> dict[str, dict[str, float]]:
    """Every metric of METRICS by trait and `mean`.

    Raises:
        ValueError: shapes differ, no clip, or a value that is not finite.
    """
    if predicted.shape != target.shape or target.ndim != 2 or not len(target):
        raise ValueError(f"predicted {predicted.shape} and target {target.shape} must be equal and (clips, traits)")
    if not (np.isfinite(predicted).all() and np.isfinite(target).all()):
        raise ValueError("predictions and targets must be finite")
    predicted, target = predicted.astype(np.float64), target.astype(np.float64)
    error = mae(predicted, target)
    values = {
        "mean_accuracy": 1 - error,
        "mae": error,
        "skill": skill(predicted, target, constant),
        "ccc": ccc(predicted, target),
        "pcc": pcc(predicted, target),
        "r2": r2(predicted, target),
        "spread_ratio": spread_ratio(predicted, target),
    }
    return {name: by_trait(per_trait) for name, per_trait in values.items()}


def by_trait(values: PerTrait) -> dict[str, float]:
    named = {trait: float(value) for trait, value in zip(TRAITS, values, strict=True)}
    return {**named, "mean": float(np.mean(values))}


@dataclass(frozen=True)
class Interval:
    """Percentile interval of a statistic."""

    low: float
    high: float


def bootstrap_by_source(
    statistic: Callable[[np.ndarray], float],
    sources: list[str],
    *,
    draws: int = 2000,
    seed: int = 0,
    level: float = 0.95,
) -> Interval:
    """Percentile bootstrap that draws whole sources with replacement: clips of one source are not independent.

    `statistic` maps row indices (with repeats) to a number. Seeded: the same call gives the same interval.
    """
    names, source_of = np.unique(np.asarray(sources), return_inverse=True)
    rows = [np.flatnonzero(source_of == group) for group in range(len(names))]
    rng = np.random.default_rng(seed)
    values = np.empty(draws)
    for draw in range(draws):
        chosen = rng.integers(len(rows), size=len(rows))
        values[draw] = statistic(np.concatenate([rows[group] for group in chosen]))
    low, high = np.quantile(values, [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(low), float(high))


def _covariance(a: Scores, b: Scores) -> PerTrait:
    return ((a - a.mean(axis=0)) * (b - b.mean(axis=0))).mean(axis=0)


def _ratio(above: PerTrait, below: PerTrait) -> PerTrait:
    """above / below, 0 where below is (numerically) 0: a constant has no correlation."""
    safe = below > 1e-12
    return np.where(safe, above / np.where(safe, below, 1.0), 0.0)
