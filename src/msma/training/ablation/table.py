"""The ablations as one table: clean and non-ideal scores over several seeds, and how far each is from the recipe."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from msma.data.corpora.manifest import Row, targets
from msma.evaluation.gaps import Difference
from msma.evaluation.predictions import Predictions
from msma.metrics import Draws, all_metrics, draw_sources, resampled_metrics, retained
from msma.training.ablation.intervals import Spread, estimate, spread
from msma.training.ablation.plan import FULL, Ablation
from msma.types import MsmaError

CLEAN = "clean"
OF_CLEAN = ("mean_accuracy", "ccc", "skill")
Answers = Mapping[str, Predictions]
"""Of one network: by cell, `clean` and the scenarios."""


@dataclass(frozen=True)
class AblationRow:
    """One ablation, all seeds. Statistics are means over traits: `mean_accuracy`, `ccc` and `skill` on clean clips, the
    skill in each scenario by its name, `scenarios` (the mean of those) and `retention` (`scenarios` over `skill`)."""

    name: str
    changes: dict[str, Any]
    parameters: int
    statistics: dict[str, Spread]
    differences: dict[str, Difference]
    """From the recipe, with 95 % intervals, paired by seed and source; of the recipe itself none."""


@dataclass(frozen=True)
class AblationTable:
    rows: tuple[AblationRow, ...]
    scenarios: tuple[str, ...]
    seeds: int
    clips: int
    """That every network has answered in every scenario."""
    unanswered: int
    """Clips that are left out of the table, because some network could not be asked for them in some scenario."""
    sources: int
    constant_mean_accuracy: float
    """On the same clips, of always answering the training mean; its CCC and skill are 0."""


@dataclass(frozen=True)
class Sampled:
    """A statistic of one network, and in samples of the sources."""

    value: float
    drawn: Float[np.ndarray, " draws"]


def ablation_table(
    ablations: Sequence[Ablation],
    parameters: Mapping[str, int],
    answers: Mapping[str, Sequence[Answers]],
    rows: Sequence[Row],
    constant: Float[np.ndarray, "clips 5"],
) -> AblationTable:
    """`answers` has, by ablation, what the network of each seed answered for clips of `rows`; the same seeds in all.

    Raises:
        MsmaError: no clip was answered by all.
    """
    asked = [cell for runs in answers.values() for run in runs for cell in run.values()]
    common = set[str].intersection(*(set(cell.clips) for cell in asked))
    places = [place for place, row in enumerate(rows) if row.clip in common]
    if not places:
        raise MsmaError("no clip was answered by every network in every scenario; prepare all media and run again")
    some = [rows[place] for place in places]
    base, target, draws = constant[places], targets(some), draw_sources([row.source for row in some])
    sampled = {
        name: [statistics({cell: answered(one, common) for cell, one in run.items()}, base, draws) for run in runs]
        for name, runs in answers.items()
    }
    found = []
    for ablation in ablations:
        own, full = sampled[ablation.name], sampled[FULL]
        found.append(
            AblationRow(
                ablation.name,
                ablation.changes,
                parameters[ablation.name],
                {key: spread([run[key].value for run in own]) for key in own[0]},
                {} if ablation.name == FULL else {key: paired(own, full, key) for key in own[0]},
            )
        )
    return AblationTable(
        rows=tuple(found),
        scenarios=tuple(name for name in answers[FULL][0] if name != CLEAN),
        seeds=len(answers[FULL]),
        clips=len(places),
        unanswered=len(rows) - len(places),
        sources=draws.sources,
        constant_mean_accuracy=all_metrics(base, target, base)["mean_accuracy"]["mean"],
    )


def answered(predictions: Predictions, clips: set[str]) -> Predictions:
    """Those for `clips`."""
    kept = [place for place, clip in enumerate(predictions.clips) if clip in clips]
    return Predictions(
        [predictions.clips[place] for place in kept],
        [predictions.sources[place] for place in kept],
        predictions.predicted[kept],
        predictions.target[kept],
    )


def statistics(run: Answers, constant: Float[np.ndarray, "clips 5"], draws: Draws) -> dict[str, Sampled]:
    """Of one network: everything that has a column."""
    of_cell = {cell: cell_statistics(predictions, constant, draws) for cell, predictions in run.items()}
    found = {name: of_cell[CLEAN][name] for name in OF_CLEAN}
    scenarios = [cell for cell in run if cell != CLEAN]
    found |= {cell: of_cell[cell]["skill"] for cell in scenarios}
    mean = Sampled(
        float(np.mean([found[cell].value for cell in scenarios])),
        np.mean([found[cell].drawn for cell in scenarios], axis=0),
    )
    skill = found["skill"]
    retention = Sampled(float(retained(mean.value, skill.value)), retained(mean.drawn, skill.drawn))
    return found | {"scenarios": mean, "retention": retention}


def cell_statistics(
    predictions: Predictions, constant: Float[np.ndarray, "clips 5"], draws: Draws
) -> dict[str, Sampled]:
    values = all_metrics(predictions.predicted, predictions.target, constant)
    everything = np.ones(len(predictions.clips), dtype=bool)
    drawn = resampled_metrics(predictions.predicted, predictions.target, constant, draws, everything)
    unknown = 0.0 if draws.sources > 1 else math.nan
    return {name: Sampled(values[name]["mean"], drawn[name].mean(axis=1) + unknown) for name in OF_CLEAN}


def paired(own: Sequence[Mapping[str, Sampled]], full: Sequence[Mapping[str, Sampled]], key: str) -> Difference:
    """This minus the recipe, seed by seed, on the same samples of sources."""
    pairs = list(zip(own, full, strict=True))
    values = [one[key].value - other[key].value for one, other in pairs]
    return estimate(values, np.stack([one[key].drawn - other[key].drawn for one, other in pairs]))
