"""Metrics on whole splits, in float64; each is defined here once (formulas in docs/metrics.md).

Arrays are (clips, traits): `predicted` and `target` in [0, 1], in OCEAN order.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
from jaxtyping import Bool, Float, Float64, Int
from pydantic import BeforeValidator, GetCoreSchemaHandler, GetJsonSchemaHandler, WithJsonSchema
from pydantic_core import CoreSchema, core_schema

from msma.types import TRAITS

Scores = Float[np.ndarray, "clips traits"]
PerTrait = Float[np.ndarray, " traits"]
Samples = Float[np.ndarray, "*samples traits"]

METRICS = ("mean_accuracy", "mae", "skill", "ccc", "pcc", "r2", "spread_ratio", "bias")
RESAMPLED = ("ccc", "mean_accuracy", "skill")
"""The metrics that have an interval."""
ROUNDING = 1e-6
"""Skill as near to 0 as this is that of the constant, but for rounding."""


@dataclass(frozen=True)
class Keys:
    """In the annotation of a dictionary: the keys that it must have, and those that it may have."""

    required: tuple[str, ...]
    optional: tuple[str, ...] = ()

    def checked(self, values: dict[str, Any]) -> dict[str, Any]:
        if lacking := set(self.required) - set(values):
            raise ValueError(f"lacks {', '.join(sorted(lacking))}")
        if unknown := set(values) - {*self.required, *self.optional}:
            raise ValueError(f"has the unknown {', '.join(sorted(unknown))}")
        return values

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_after_validator_function(self.checked, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        names = {"propertyNames": {"enum": [*self.required, *self.optional]}}
        return handler(schema) | names | ({"required": list(self.required)} if self.required else {})


Measured = Annotated[
    float,
    BeforeValidator(lambda value: math.nan if value is None else value),
    WithJsonSchema({"type": ["number", "null"]}),
]
"""A number in a result; NaN where it is not defined, which is null in JSON."""
OF_TRAITS = Keys(("mean",), TRAITS)
ByTrait = Annotated[dict[str, Measured], OF_TRAITS]
"""For each labelled trait, and their `mean`."""
Metrics = Annotated[dict[str, ByTrait], Keys(METRICS)]
"""Every metric of METRICS."""


def mae(predicted: Scores, target: Scores) -> PerTrait:
    return np.abs(predicted - target).mean(axis=0)


def bias(predicted: Scores, target: Scores) -> PerTrait:
    """Mean prediction - mean target: above 0 where the predictions are too high."""
    return (predicted - target).mean(axis=0)


def ccc(predicted: Scores, target: Scores) -> PerTrait:
    """Concordance correlation coefficient (Lin 1989), population moments; 0 for a constant prediction."""
    gap = predicted.mean(axis=0) - target.mean(axis=0)
    return concordance(gap, predicted.var(axis=0), target.var(axis=0), covariance(predicted, target))


def pcc(predicted: Scores, target: Scores) -> PerTrait:
    """Pearson correlation; 0 for a constant prediction."""
    return correlation(predicted.var(axis=0), target.var(axis=0), covariance(predicted, target))


def covariance(predicted: Scores, target: Scores) -> PerTrait:
    return ((predicted - predicted.mean(axis=0)) * (target - target.mean(axis=0))).mean(axis=0)


def concordance(gap: Samples, predicted_var: Samples, target_var: Samples, covariance: Samples) -> Samples:
    """CCC from population moments; `gap` is that of the means."""
    values = _ratio(2 * covariance, predicted_var + target_var + gap**2)
    constant = correlation(predicted_var, target_var, covariance) == 0
    return np.where(constant, 0.0, values)  # exactly, where rounding leaves a trace of covariance


def correlation(predicted_var: Samples, target_var: Samples, covariance: Samples) -> Samples:
    return _ratio(covariance, np.sqrt(predicted_var) * np.sqrt(target_var))


def r2(predicted: Scores, target: Scores) -> PerTrait:
    """Coefficient of determination against the mean of this very split; 0 where the target is constant."""
    return relative_gain(((predicted - target) ** 2).mean(axis=0), target.var(axis=0))


def spread_ratio(predicted: Scores, target: Scores) -> PerTrait:
    """Standard deviation of the predictions over that of the targets: under 1 is shrunk to the mean."""
    return _ratio(predicted.std(axis=0), target.std(axis=0))


def skill(predicted: Scores, target: Scores, constant: PerTrait | Scores) -> PerTrait:
    """1 - MAE / MAE of the constant (the mean training label; clip by clip in cross-validation); 0 where that is 0."""
    return relative_gain(mae(predicted, target), mae(np.broadcast_to(constant, target.shape), target))


def relative_gain(error: Samples, constant_error: Samples) -> Samples:
    """1 - error / constant_error; 0 where the latter is (numerically) 0."""
    return _ratio(constant_error - error, constant_error)


def retained(skill: float | np.ndarray, clean: float | np.ndarray) -> np.ndarray:
    """Corrupted skill as a share of the clean one; NaN where that is none."""
    there = np.asarray(clean) > ROUNDING
    return np.where(there, skill / np.where(there, clean, 1.0), np.nan)


def all_metrics(predicted: Scores, target: Scores, constant: PerTrait | Scores) -> Metrics:
    """Every metric of METRICS by trait and `mean`. A trait whose targets are all NaN is not labelled and left out.

    ValueError where shapes differ, no clip or trait is labelled, or a value of a labelled trait is not finite.
    """
    if predicted.shape != target.shape or target.ndim != 2 or not len(target):
        raise ValueError(f"predicted {predicted.shape} and target {target.shape} must be equal and (clips, traits)")
    labelled = labelled_traits(target)
    if not labelled.any():
        raise ValueError("no trait is labelled")
    predicted, target = predicted[:, labelled].astype(np.float64), target[:, labelled].astype(np.float64)
    if not (np.isfinite(predicted).all() and np.isfinite(target).all()):
        raise ValueError("predictions and targets must be finite")
    values = {metric.__name__: metric(predicted, target) for metric in (mae, ccc, pcc, r2, spread_ratio, bias)}
    values |= {"mean_accuracy": 1 - values["mae"], "skill": skill(predicted, target, constant[..., labelled])}
    return {name: by_trait(values[name], names_of(labelled)) for name in METRICS}


def labelled_traits(target: Float[np.ndarray, "clips 5"]) -> Bool[np.ndarray, "5"]:
    """True for the traits that have a label on any clip."""
    return np.logical_not(np.isnan(target).all(axis=0))


def names_of(labelled: Bool[np.ndarray, "5"]) -> tuple[str, ...]:
    return tuple(trait for trait, has in zip(TRAITS, labelled, strict=True) if has)


def by_trait(values: PerTrait, traits: Sequence[str] = TRAITS) -> dict[str, float]:
    named = {trait: float(value) for trait, value in zip(traits, values, strict=True)}
    return {**named, "mean": float(np.mean(values))}


@dataclass(frozen=True)
class Interval:
    """Percentile interval of a statistic; NaN where there is too little to draw from."""

    low: Measured
    high: Measured


@dataclass(frozen=True)
class Draws:
    """Bootstrap samples of whole sources with replacement: clips of one source are not independent."""

    source_of: Int[np.ndarray, " clips"]
    counts: Float64[np.ndarray, "draws sources"]
    """Times that each sample takes each source."""

    @property
    def sources(self) -> int:
        """The number of sources; of one, every sample is the same clips."""
        return self.counts.shape[1]


def draw_sources(sources: Sequence[str], *, draws: int = 2000, seed: int = 0) -> Draws:
    """Seeded: the same sources give the same samples."""
    names, source_of = np.unique(np.asarray(sources), return_inverse=True)
    rng = np.random.default_rng(seed)
    counts = np.empty((draws, len(names)))
    for draw in counts:
        draw[:] = np.bincount(rng.integers(len(names), size=len(names)), minlength=len(names))
    return Draws(source_of, counts)


def resampled_means(
    values: Float[np.ndarray, "clips columns"], draws: Draws, rows: Bool[np.ndarray, " clips"]
) -> Float64[np.ndarray, "draws columns"]:
    """Mean over the clips of `rows` in each sample, exact, from sums by source; NaN where a sample has none of them."""
    kept, places = np.unique(draws.source_of[rows], return_inverse=True)
    sums = np.zeros((len(kept), values.shape[1] + 1))
    np.add.at(sums, places, np.column_stack([values[rows], np.ones(len(places))]))
    totals = draws.counts[:, kept] @ sums
    return totals[:, :-1] / np.where(totals[:, -1:] > 0, totals[:, -1:], np.nan)


def resampled_metrics(
    predicted: Scores, target: Scores, constant: Scores, draws: Draws, rows: Bool[np.ndarray, " clips"] | None = None
) -> dict[str, Float64[np.ndarray, "draws labelled"]]:
    """RESAMPLED by name, of labelled traits, on all clips or on `rows`; NaN in a sample that has none of them."""
    labelled, rows = labelled_traits(target), np.ones(len(target), dtype=bool) if rows is None else rows
    predicted, target, constant = predicted[:, labelled], target[:, labelled], constant[:, labelled]
    # Moments about the centre of the rows: exact enough to find a constant again, which raw ones are not.
    predicted_centre, target_centre = predicted[rows].mean(axis=0), target[rows].mean(axis=0)
    p, y = predicted - predicted_centre, target - target_centre
    columns = np.hstack([p, y, p * p, y * y, p * y, np.abs(predicted - target), np.abs(constant - target)])
    means = resampled_means(columns, draws, rows)
    p, y, pp, yy, py, error, constant_error = np.split(means, 7, axis=1)
    gap = p + predicted_centre - (y + target_centre)
    values: dict[str, Any] = {
        "ccc": concordance(gap, np.maximum(pp - p * p, 0), np.maximum(yy - y * y, 0), py - p * y),
        "mean_accuracy": 1 - error,
        "skill": relative_gain(error, constant_error),
    }
    return {name: np.where(np.isnan(error), np.nan, value) for name, value in values.items()}


def interval(values: Float[np.ndarray, " draws"], level: float = 0.95) -> Interval:
    """Percentiles over bootstrap samples but those where the statistic is NaN; ValueError where it is in all."""
    if np.isnan(values).all():
        raise ValueError("no sample has a value")
    low, high = np.nanquantile(values, [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(low), float(high))


def _ratio(above: Samples, below: Samples) -> Samples:
    """above / below, 0 where below is (numerically) 0: a constant has no correlation."""
    safe = below > 1e-12
    return np.where(safe, above / np.where(safe, below, 1.0), 0.0)


def mean_of_known(values: Iterable[float] | np.ndarray) -> float:
    """Mean of what is not NaN; NaN where all is, or where there is nothing."""
    known = np.array([value for value in values if not math.isnan(value)])
    return float(known.mean()) if len(known) else math.nan


def logit(share: np.ndarray) -> np.ndarray:
    clipped = np.clip(share, 1e-4, 1 - 1e-4)
    return np.log(clipped / (1 - clipped))
