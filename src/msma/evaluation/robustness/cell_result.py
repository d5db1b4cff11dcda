"""The cells of a suite: the predictions for every clip under one corruption, their scores, and measures of these."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float64
from scipy.integrate import trapezoid
from scipy.stats import spearmanr

from msma.corruptions.corruption import SEVERITIES
from msma.corruptions.scenarios import Cell, Step
from msma.corruptions.table import find_corruption
from msma.evaluation.comparison import Paired
from msma.evaluation.coverage import Coverage
from msma.evaluation.score import ClipScores
from msma.metrics import Metrics, mean_of_known, retained
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


def mean_skill(metrics: Metrics | None) -> float:
    return math.nan if metrics is None else metrics["skill"]["mean"]


class FromClean(Paired):
    """The paired difference from the clean predictions for the same clips, and the scores of these."""

    clean: Metrics
    clean_late_fusion: Metrics | None


class CellResult(ClipScores):
    """The output of `msma robustness` for each cell of a suite."""

    cell: LevelledCell
    late_fusion: Metrics | None
    """The scores of the static late fusion; null for a network of one modality."""
    from_clean: FromClean | None
    """The differences from the clean cell; null in itself."""
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

    @property
    def skill(self) -> float:
        return mean_skill(self.metrics)

    @property
    def clean_skill(self) -> float:
        """The skill on the same clips when clean."""
        return mean_skill(self.metrics if self.from_clean is None else self.from_clean.clean)

    @property
    def late_skill(self) -> float:
        """The skill of the static late fusion; NaN for a network of one modality."""
        return mean_skill(self.late_fusion)

    @property
    def retention(self) -> float:
        """Skill over clean skill; NaN where that is not above 0."""
        return float(retained(self.skill, self.clean_skill))

    @property
    def effective_robustness(self) -> float:
        """How much higher the skill is than that of the static late fusion would be, were it as good on clean clips;
        NaN for a network of one modality, and where late fusion has no clean skill (Taori et al. 2020).

        Late fusion's line from clean to corrupted skill goes through its own point and that of the constant prediction,
        whose skill is 0 in both.
        """
        late = self.late_fusion if self.from_clean is None else self.from_clean.clean_late_fusion
        return self.skill - self.clean_skill * float(retained(self.late_skill, mean_skill(late)))

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
    """The cells without the clean one, in the order of the suite."""
    not_run: list[NotRun]
    constant: dict[str, float]
    """The mean-label baseline of the model by trait: its prediction where nothing is known."""
    reads: tuple[str, ...]
    coverage: dict[str, Coverage]
    """Coverage of the prediction intervals in each cell; empty without a calibration."""


def levelled(cell: Cell) -> LevelledCell:
    rows = [(step, find_corruption(step.corruption)) for step in cell.steps]
    steps = [LevelledStep(**vars(step), parameter=row.parameter, level=row.level(step.severity)) for step, row in rows]
    return LevelledCell(cell.scenario, cell.family, tuple(steps), cell.severity, cell.held_out)


def with_modality(clean: CellResult, modalities: Iterable[str]) -> frozenset[str]:
    """The clips that have one of these modalities when clean: others do not show that it is corrupted."""
    found = clean.predictions.items()
    return frozenset(clip for clip, one in found if any(one.used[modality] for modality in modalities))


def area(kept: Mapping[int, float]) -> float:
    """The area under the skill curve of one corruption, by trapezoids, as a share of that without any loss; NaN unless
    `kept`, the retention by severity, has all severities."""
    if set(kept) != set(SEVERITIES):
        return math.nan
    return float(trapezoid([1.0, *(kept[severity] for severity in SEVERITIES)])) / SEVERITIES[-1]


def quality_spearman(clean: CellResult, results: Sequence[CellResult], reads: Sequence[str] = MODALITIES) -> float:
    """Rank correlation of predicted quality and rising severity, negated, of one graded corruption.

    Over all clips clean and at all its severities; mean over the modalities that it corrupts. 1 where predicted quality
    falls whenever severity rises, 0 for a quality that never changes. NaN for what is all or nothing, corrupts nothing
    that the network reads, is one of several at once, or where no clip has what it corrupts.
    """
    cell, found = results[0].cell, []
    if len(results) < 2 or len(cell.steps) != 1:
        return math.nan
    for modality in find_corruption(cell.steps[0].corruption).modalities:
        if modality not in reads:
            continue
        there = with_modality(clean, [modality])
        pairs = [
            (-result.cell.severity, one.quality[modality])
            for result in (clean, *results)
            for clip, one in result.predictions.items()
            if clip in there
        ]
        if pairs:
            ranked = spearman(*np.array(pairs).T)
            found.append(0.0 if math.isnan(ranked) else ranked)
    return mean_of_known(found)


def spearman(x: np.ndarray, y: np.ndarray) -> float:
    """Rank correlation of the pairs that are known; NaN where one side is constant."""
    known = np.isfinite(x) & np.isfinite(y)
    x, y = x[known], y[known]
    if len(x) < 2 or np.ptp(x) == 0 or np.ptp(y) == 0:
        return math.nan
    found: Any = spearmanr(x, y)
    return float(found.statistic)
