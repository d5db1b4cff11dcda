"""The schema of an ablation study: its table, and the quick checks inside its networks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from msma.evaluation.disparities import Difference
from msma.evaluation.result_file import Result
from msma.metrics import Interval, Keys, Measured
from msma.types import MODALITIES

Verdict = Literal["loses", "gains", "not told apart"] | None
PLATEAU_CCC = 0.005
"""Training has come to a plateau where the last quarter of its steps gains no more CCC on validation than this."""
MAX_SEEDS = 1000
"""Limit of the networks of one ablation, for each of which a report has lines."""


@dataclass(frozen=True)
class Spread:
    """A statistic of each seed's network; mean and range are of the seeds where it is defined, or NaN."""

    mean: Measured
    low: Measured
    high: Measured
    by_seed: tuple[Measured, ...]


@dataclass(frozen=True)
class FromFull(Difference):
    """A difference from the recipe with its own 95 % interval, and with one that holds for all rows together."""

    all_low: Measured
    all_high: Measured
    verdict: Verdict
    """By the interval that holds for all rows together; null where that is not defined."""


class AblationRow(Result):
    """One ablation, all seeds, and its differences from the recipe."""

    name: str
    changes: dict[str, Any]
    """Values that differ from the recipe, with dotted keys."""
    parameters: int
    clips_per_step: int
    """Clips that a training step reads: twice its batch where each is read as it is and degraded."""
    clips_read: int
    """Clips that the whole training of one network reads."""
    statistics: dict[str, Spread]
    """`mean_accuracy`, `ccc` and `skill` on clean clips, the skill in each scenario by its name, `scenarios` (the mean
    of those) and `retention` (`scenarios` over `skill`); means over traits."""
    intervals: dict[str, Interval]
    """95 % intervals of the means of `statistics`, over seeds and sources."""
    last_quarter: Spread
    """Validation CCC gained over the last quarter of the steps; up to PLATEAU_CCC, training has come to a plateau."""
    differences: dict[str, FromFull]
    """The differences from the recipe, paired by seed and source; empty for the recipe itself."""


@dataclass(frozen=True)
class Offered:
    """The CCC that a corpus with structure offers to a part of the network, and the share of it that is lost."""

    part: str
    traits: tuple[str, ...]
    """Those that hang on the part, to which all of this refers."""
    ccc: Measured
    """Ceiling minus that without the structures that need the part, mean over these traits."""
    share: Measured
    """Share of it that is lost without the part; its interval is the one for all rows together."""
    low: Measured
    high: Measured


class AblationTable(Result):
    """The ablations beside the recipe: clean and non-ideal scores over several seeds."""

    scenarios: tuple[str, ...]
    seeds: Annotated[int, Field(ge=1, le=MAX_SEEDS)]
    clips: int
    """Clips with a prediction of every network, and in every scenario in which they were tested."""
    scenario_clips: int
    """Those among them that were tested in the scenarios."""
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
            if not row.statistics.keys() == row.intervals.keys() == names or (
                row.differences and row.differences.keys() != names
            ):
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
    offered: dict[str, Offered]
    """For ablations of a part for which the corpus has structures, what it offers; empty where none is known."""
    left_out: dict[str, str]
    """Files that are no ablations of this recipe, and why."""
    checks: QuickChecks
