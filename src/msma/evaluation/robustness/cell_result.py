"""The cells of a suite: what a model predicted for every clip under one corruption, and how good that was."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from jaxtyping import Float64

from msma.corruptions.scenarios import Cell, Step
from msma.corruptions.table import find_corruption
from msma.evaluation.comparison import Paired
from msma.evaluation.coverage import Coverage
from msma.evaluation.score import ClipScores
from msma.metrics import Keys, Metrics
from msma.types import MODALITIES, TRAITS

ByModality = Annotated[dict[str, float], Keys(MODALITIES)]
Traits = Annotated[dict[str, float], Keys((), TRAITS)]


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
class ClipPrediction:
    """What was predicted for one corrupted clip."""

    traits: Traits
    late_fusion: Traits | None
    """By a static late fusion of the same encoders; null for a network of one modality."""
    quality: ByModality
    """As predicted."""
    weights: ByModality
    """Share of each modality in the fused summary."""
    used: ByModality
    """Share of the time that could be used."""
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
    """Of the static late fusion; null for a network of one modality."""
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
    def late_skill(self) -> float | None:
        """The skill of the static late fusion; None for a network of one modality."""
        return None if self.late_fusion is None else self.late_fusion["skill"]["mean"]

    @property
    def clean_late_skill(self) -> float | None:
        late = self.late_fusion if self.from_clean is None else self.from_clean.clean_late_fusion
        return None if late is None else late["skill"]["mean"]

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
    prior: dict[str, float]
    """What the model predicts where nothing is known, by trait."""
    reads: tuple[str, ...]
    """The modalities that the network reads."""
    coverage: dict[str, Coverage]
    """Of the prediction intervals, by name of the cell; empty without a calibration."""


def levelled(cell: Cell) -> LevelledCell:
    rows = [(step, find_corruption(step.corruption)) for step in cell.steps]
    steps = [LevelledStep(**vars(step), parameter=row.parameter, level=row.level(step.severity)) for step, row in rows]
    return LevelledCell(cell.scenario, cell.family, tuple(steps), cell.severity, cell.held_out)


def with_modality(clean: CellResult, modalities: Iterable[str]) -> frozenset[str]:
    """The clips that have one of these modalities when clean: in others nothing shows that corrupts it."""
    found = clean.predictions.items()
    return frozenset(clip for clip, one in found if any(one.used[modality] for modality in modalities))
