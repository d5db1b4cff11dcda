"""The kinds of result files: one schema each, which writers and readers share (`msma schema NAME` prints it)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import Field, TypeAdapter

from msma.config import ClipConfig, ModelConfig
from msma.evaluation.ablation import AblationStudy
from msma.evaluation.comparison import Comparison
from msma.evaluation.evaluation import Evaluation
from msma.evaluation.result_file import Result
from msma.evaluation.robustness.cell_result import CellResult
from msma.evaluation.robustness.summary import SuiteSummary
from msma.metrics import Measured
from msma.prediction.predictions_json import PREDICTIONS
from msma.weights.calibration import Calibration


@dataclass(frozen=True)
class FoldSpread:
    """How much a metric differs from fold to fold."""

    mean: float
    std: float
    min: float
    max: float
    folds: int


class FoldScores(Result):
    """One fold by itself: means over traits of the metrics that so many clips allow."""

    clips: int
    shrinkage: dict[str, float] | None
    """How far the networks step away from their linear path; null without one."""
    msma: dict[str, Measured]
    ridge: dict[str, Measured] | None


class CrossValidation(Evaluation):
    """The output of `msma crossval`: the predictions of all folds, scored as one split."""

    folds: list[FoldScores]
    spread: dict[str, dict[str, FoldSpread]]
    """For network and ridge, each metric."""


@dataclass(frozen=True)
class StageCost:
    """The cost of one stage, for one variant on one device."""

    variant: str
    device: str
    stage: str
    parameters: int
    macs: int
    """Multiply-adds for the whole clip."""
    p50_ms: float
    """Median time for the whole clip."""
    p95_ms: float
    share: float
    """Share of the median time of all stages."""
    real_time_factor: float
    """Median time over the length of the clip; below 1 is faster than it plays."""
    peak_mib: float | None
    """Memory beyond what was there before the stage ran for the first time, on a GPU its own; for `network` and `whole`
    before the network was built. Null where unknown, and for `whole` where two kinds of memory are used."""


class Profile(Result):
    """The output of `msma profile`: the cost of every stage of a network and its variants."""

    model: ModelConfig
    clip: ClipConfig
    rows: Annotated[list[StageCost], Field(max_length=1000)]


SCHEMAS: dict[str, TypeAdapter[Any]] = {
    "evaluation": TypeAdapter(Evaluation),
    "comparison": TypeAdapter(Comparison),
    "cross-validation": TypeAdapter(CrossValidation),
    "robustness": TypeAdapter(SuiteSummary),
    "cell": TypeAdapter(CellResult),
    "ablation": TypeAdapter(AblationStudy),
    "profile": TypeAdapter(Profile),
    "calibration": TypeAdapter(Calibration),
    "predictions": PREDICTIONS,
}
"""The content of each kind of result file; `json_schema()` of it is its JSON Schema."""
