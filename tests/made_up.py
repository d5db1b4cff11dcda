"""Results of cells without any clip or network behind them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from msma.corruptions.scenarios import CLEAN, Cell, cells_of
from msma.evaluation.robustness.cell_result import CellResult
from msma.evaluation.robustness.suite import SuiteResult
from msma.types import TRAITS

CLIPS = tuple("abcdefgh")
SPREAD = np.linspace(0.3, 0.7, len(CLIPS))[:, None] * np.ones(5)
"""Answers for the clean clips."""


def made_up(
    cell: Cell,
    skill: float,
    clean_skill: float = 0.4,
    late: tuple[float, float] | None = (0.2, 0.3),
    quality: tuple[float, float] = (0.9, 0.9),
    distortion: tuple[float, float] = (0.0, 0.0),
    moved: float = 0.05,
) -> CellResult:
    """`late` is the skill of the late fusion here and clean; answers are `moved` from the clean ones."""
    shape = len(CLIPS), 2
    return CellResult(
        cell=cell,
        clips=CLIPS,
        skill=skill,
        mean_accuracy=0.9,
        ccc=0.5,
        mae=0.1,
        clean_skill=clean_skill,
        late_skill=None if late is None else late[0],
        clean_late_skill=None if late is None else late[1],
        traits=SPREAD + moved,
        quality=np.broadcast_to(quality, shape).astype(np.float64),
        distortion=np.broadcast_to(distortion, shape).astype(np.float64),
        used=np.ones(shape),
        face_lost=0.0,
    )


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
    return SuiteResult(made_up(CLEAN, 0.4, moved=0.0, **clean), list(results), [], prior, reads)
