"""The kinds of result files: one schema each, which writers and readers share (`msma schema NAME` prints it)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import Field, TypeAdapter, model_validator

from msma.config import ClipConfig, ModelConfig
from msma.evaluation.comparison import Comparison
from msma.evaluation.disparities import Difference
from msma.evaluation.evaluation import Evaluation
from msma.evaluation.result_file import Result
from msma.evaluation.robustness.cell_result import CellResult
from msma.evaluation.robustness.summary import SuiteSummary
from msma.metrics import Keys, Measured
from msma.prediction.predictions_json import PREDICTIONS
from msma.types import MODALITIES
from msma.weights.calibration import Calibration

MAX_SEEDS = 1000
"""Limit of the networks of one ablation, for each of which a report has lines."""


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


@dataclass(frozen=True)
class Spread:
    """A statistic of each seed's network; mean and range are of the seeds where it is defined, or NaN."""

    mean: Measured
    low: Measured
    high: Measured
    by_seed: tuple[Measured, ...]


class AblationRow(Result):
    """One ablation, all seeds; its statistics are those of `Statistics`, and differences are from the recipe."""

    name: str
    changes: dict[str, Any]
    """Values that differ from the recipe, with dotted keys."""
    parameters: int
    statistics: dict[str, Spread]
    """`mean_accuracy`, `ccc` and `skill` on clean clips, the skill in each scenario by its name, `scenarios` (the mean
    of those) and `retention` (`scenarios` over `skill`); means over traits."""
    differences: dict[str, Difference]
    """The differences from the recipe, with 95 % intervals, paired by seed and source; empty for the recipe itself."""


class AblationTable(Result):
    """The ablations beside the recipe: clean and non-ideal scores over several seeds."""

    scenarios: tuple[str, ...]
    seeds: Annotated[int, Field(ge=1, le=MAX_SEEDS)]
    clips: int
    """Clips with a prediction of every network in every scenario."""
    unpredicted: int
    """Clips that are left out, because some network has no prediction for them in some scenario."""
    sources: int
    constant_mean_accuracy: float
    """The mean training label on the same clips; its CCC and skill are 0."""
    rows: dict[str, AblationRow]
    """The recipe first."""

    @model_validator(mode="after")
    def rows_are_whole(self) -> AblationTable:
        names = {"mean_accuracy", "ccc", "skill", *self.scenarios, "scenarios", "retention"}
        for row in self.rows.values():
            if row.statistics.keys() != names or (row.differences and row.differences.keys() != names):
                raise ValueError(f"{row.name}: not the statistics of these scenarios")
        return self


class Graded(Result):
    """How a measure goes with the severity of noise."""

    by_severity: list[Measured]
    """Means over clips and seeds, from severity 0 to 5."""
    spearman: Spread
    """Correlation with severity over clips."""


class NoiseCheck(Result):
    """The effects of noise in a modality inside the networks; null for what they have no part for."""

    corruption: str
    weight: Graded | None = None
    quality: Graded | None = None
    evenness: Graded | None = None
    """Entropy of the attention to the modality over that of even attention."""


class SeverityCheck(Result):
    """How skill falls with the severity of noise."""

    skill: list[Measured]
    """Mean over seeds, from severity 0 to 5."""
    slope: Difference
    """Change with one step of severity, over seeds and sources."""


class ScaleCheck(Result):
    """How alike the outputs of the scales are: 1 says that they add nothing to each other."""

    cka: list[list[Measured]]
    between_scales: Spread


class TraitCheck(Result):
    """How far each trait moves when a modality is taken away."""

    attention: str
    """Why attention cannot depend on the trait."""
    without_audio: dict[str, Spread]
    without_visual: dict[str, Spread]
    audio_share: dict[str, Spread]


class AttentionCheck(Result):
    """The attention mass on the half of a modality that is noise."""

    attention: str
    share_of_tokens: Spread
    clean: Spread
    noisy: Spread
    change: Spread


class WorstCheck(Result):
    """Both modalities at severity 5."""

    corruptions: list[str]
    skill: Spread
    clean_skill: Spread
    spread_to_clean: Spread
    """Spread of the predictions over that for clean clips."""
    quality: Annotated[dict[str, Spread], Keys(MODALITIES)]


class NetworkChecks(Result):
    """The quick checks on the networks of one ablation, those on noise by modality, that on severity by corruption.

    Null for what the networks have no part for.
    """

    clips: int
    noise: dict[str, NoiseCheck]
    severity: dict[str, SeverityCheck]
    scales: dict[str, ScaleCheck]
    traits: TraitCheck | None = None
    both_worst: WorstCheck | None = None
    attention_on_noise: dict[str, AttentionCheck] | None = None


class QuickChecks(Result):
    """The checks that the paper's summary proposes, by ablation."""

    networks: dict[str, NetworkChecks]
    scales: dict[str, dict[str, Difference]]
    """For the ablations of the scales, the difference of `skill` and `scenarios` from the recipe."""


class AblationStudy(AblationTable):
    """The output of `msma ablate`."""

    recipe: str
    corpus: str
    split: str
    severity: int
    """Severity of the noise in the six scenarios."""
    left_out: dict[str, str]
    """Files that are no ablations of this recipe, and why."""
    checks: QuickChecks


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
