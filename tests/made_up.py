"""Results of cells without any clip or network behind them."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from msma.corruptions.scenarios import CLEAN, Cell, cells_of
from msma.evaluation.disparities import Difference
from msma.evaluation.robustness.cell_result import CellResult, ClipPrediction, FromClean, SuiteResult, levelled
from msma.metrics import METRICS, RESAMPLED, Interval, Metrics
from msma.types import MODALITIES, TRAITS

CLIPS = tuple("abcdefgh")
SPREAD = np.linspace(0.3, 0.7, len(CLIPS))[:, None] * np.ones(5)
"""Predictions for the clean clips."""


def metrics_of(skill: float) -> Metrics:
    scores = dict.fromkeys(METRICS, 0.5) | {"skill": skill, "mean_accuracy": 0.9, "mae": 0.1}
    return {name: dict.fromkeys((*TRAITS, "mean"), value) for name, value in scores.items()}


def made_up(
    cell: Cell,
    skill: float,
    clean_skill: float = 0.4,
    late: tuple[float, float] | None = (0.2, 0.3),
    moved: float = 0.05,
    clips: Sequence[str] = CLIPS,
    **arrays,
) -> CellResult:
    """`late` is the skill of the late fusion here and clean; traits are `moved` from the clean ones. For `arrays`, see
    `with_arrays`."""
    intervals = {name: dict.fromkeys((*TRAITS, "mean"), Interval(math.nan, math.nan)) for name in RESAMPLED}
    clean_late = None if late is None else metrics_of(late[1])
    traits = SPREAD + moved if len(clips) == len(CLIPS) else np.full((len(clips), 5), 0.5)
    whole = {"traits": traits, "quality": (0.9, 0.9), "weights": (0.5, 0.5), "used": (1, 1), "distortion": (0, 0)}
    differences = {name: {"mean": Difference(0.0, 0.0, 0.0)} for name in RESAMPLED}
    before = FromClean(
        clips=len(clips),
        sources=1,
        differences=differences,
        clean=metrics_of(clean_skill),
        clean_late_fusion=clean_late,
    )
    return CellResult(
        clips=len(clips),
        sources=1,
        metrics=metrics_of(skill),
        intervals=intervals,
        baselines=dict.fromkeys(("constant", "same_source"), metrics_of(0.0)),
        cell=levelled(cell),
        late_fusion=None if late is None else metrics_of(late[0]),
        from_clean=None if cell == CLEAN else before,
        **dict.fromkeys(("quality", "weights", "used", "distortion"), dict.fromkeys(MODALITIES, 0.5)),
        face_lost=0.0,
        failed={},
        predictions=clip_predictions(clips, **whole | arrays),
    )


def clip_predictions(clips: Sequence[str], traits: np.ndarray, **pairs) -> dict[str, ClipPrediction]:
    floats = {name: np.asarray(pair, dtype=np.float64) for name, pair in pairs.items()}
    of_clips = {name: np.broadcast_to(pair, (len(clips), 2)).tolist() for name, pair in floats.items()}
    return {
        clip: ClipPrediction(
            traits=dict(zip(TRAITS, traits[place].tolist(), strict=True)),
            late_fusion=None,
            face_lost=False,
            **{name: dict(zip(MODALITIES, pair[place], strict=True)) for name, pair in of_clips.items()},
        )
        for place, clip in enumerate(clips)
    }


def with_arrays(result: CellResult, **arrays) -> CellResult:
    """The same with other values clip by clip: `traits` (clips, 5), and `quality`, `used`, `weights` or `distortion`
    (clips, 2) or one pair for all."""
    before = {name: result.by_clip(name) for name in ("quality", "weights", "used", "distortion")}
    values = {"traits": result.traits_by_clip(), **before, **arrays}
    return result.model_copy(update={"predictions": clip_predictions(tuple(result.predictions), **values)})


def graded(name: str, skills: Sequence[float], **more) -> list[CellResult]:
    """One corruption at all severities, louder and louder."""
    cells = cells_of(name, [(name, None)], (1, 2, 3, 4, 5))
    return [
        made_up(cell, skill, **{"distortion": (0.02 * cell.severity, 0.0), **more})
        for cell, skill in zip(cells, skills, strict=True)
    ]


def one(name: str, skill: float, **more) -> CellResult:
    """What is all or nothing."""
    return made_up(cells_of(name, [(name, None)], ())[0], skill, **more)


def suite(*results: CellResult, reads: tuple[str, ...] = ("audio", "visual"), **clean) -> SuiteResult:
    prior = dict.fromkeys(TRAITS, 0.5)
    return SuiteResult(made_up(CLEAN, 0.4, moved=0.0, **clean), list(results), [], prior, reads, {})
