"""The cells of a suite: the predictions for every clip under one corruption, and their scores."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64

from msma.corruptions.scenarios import Cell, Step
from msma.corruptions.table import find_corruption
from msma.evaluation.comparison import Paired
from msma.evaluation.coverage import Coverage
from msma.evaluation.score import ClipScores
from msma.metrics import Metrics
from msma.prediction.pooling import ByModality, ClipOutput
from msma.types import MODALITIES


@dataclass(frozen=True)
class LevelledStep(Step):
    """A corruption at a severity, with what that was when the cell was run."""

    parameter: str
    level: float


@dataclass(frozen=True)
class LevelledCell(Cell):
    """A cell down to the levels of its corruptions: when these change, it is another one."""

    steps: tuple[LevelledStep, ...]


@dataclass(frozen=True)
class ClipPrediction(ClipOutput):
    """The prediction for one corrupted clip."""

    distortion: ByModality
    """How far the media is from the clean one."""
    face_lost: bool
    """Was a face found when clean, and is not any more?"""


class FromClean(Paired):
    """The paired difference from the clean predictions for the same clips, and the scores of these."""

    clean: Metrics
    clean_late_fusion: Metrics | None


class CellResult(ClipScores):
    """What `msma robustness` writes for each cell of a suite."""

    cell: LevelledCell
    late_fusion: Metrics | None
    """The scores of the static late fusion; null for a network of one modality."""
    from_clean: FromClean | None
    """Null in the clean cell."""
    quality: ByModality
    """Mean over the clips, as are the next three."""
    weights: ByModality
    used: ByModality
    distortion: ByModality
    face_lost: float
    """Share of the clips."""
    failed: dict[str, str]
    """Clips without a prediction, and why."""
    predictions: dict[str, ClipPrediction]
    """By clip."""

    @property
    def skill(self) -> float:
        return self.metrics["skill"]["mean"]

    @property
    def clean_skill(self) -> float:
        """The skill on the same clips when clean."""
        return self.skill if self.from_clean is None else self.from_clean.clean["skill"]["mean"]

    @property
    def late_skill(self) -> float:
        """The skill of the static late fusion; NaN for a network of one modality."""
        return math.nan if self.late_fusion is None else self.late_fusion["skill"]["mean"]

    @property
    def clean_late_skill(self) -> float:
        late = self.late_fusion if self.from_clean is None else self.from_clean.clean_late_fusion
        return math.nan if late is None else late["skill"]["mean"]

    def traits_by_clip(self) -> Float64[np.ndarray, "clips k"]:
        return np.array([list(one.traits.values()) for one in self.predictions.values()], dtype=np.float64)

    def by_clip(self, share: str) -> Float64[np.ndarray, "clips 2"]:
        """`quality`, `weights`, `used` or `distortion`; audio, visual."""
        shares = [getattr(one, share) for one in self.predictions.values()]
        return np.array([[one[modality] for modality in MODALITIES] for one in shares], dtype=np.float64)


@dataclass(frozen=True)
class NotRun:
    """A cell that could not be run."""

    cell: Cell
    reason: str


@dataclass(frozen=True)
class SuiteResult:
    """The cells of a suite that were run, and those that could not be."""

    clean: CellResult
    cells: list[CellResult]
    """Without the clean one, in the order of the suite."""
    not_run: list[NotRun]
    constant: dict[str, float]
    """By trait, the mean-label baseline of the model: its prediction where nothing is known."""
    reads: tuple[str, ...]
    """The modalities that the network reads."""
    coverage: dict[str, Coverage]
    """Of the prediction intervals, by name of the cell; empty without a calibration."""


def levelled(cell: Cell) -> LevelledCell:
    rows = [(step, find_corruption(step.corruption)) for step in cell.steps]
    steps = [LevelledStep(**vars(step), parameter=row.parameter, level=row.level(step.severity)) for step, row in rows]
    return LevelledCell(cell.scenario, cell.family, tuple(steps), cell.severity, cell.held_out)


def with_modality(clean: CellResult, modalities: Iterable[str]) -> frozenset[str]:
    """The clips that have one of these modalities when clean: others do not show that it is corrupted."""
    found = clean.predictions.items()
    return frozenset(clip for clip, one in found if any(one.used[modality] for modality in modalities))
