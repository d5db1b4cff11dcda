"""The ablations as one table: clean and non-ideal scores over several seeds, and how far each is from the recipe."""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from msma.data.corpora.manifest import Row, targets
from msma.evaluation.gaps import Difference
from msma.evaluation.predictions import Predictions
from msma.evaluation.results import AblationRow, AblationTable
from msma.metrics import Draws, all_metrics, draw_sources, resampled_metrics, retained
from msma.training.ablation.intervals import estimate, spread
from msma.training.ablation.plan import FULL, Ablation
from msma.types import MsmaError

CLEAN = "clean"
OF_CLEAN = ("mean_accuracy", "ccc", "skill")
ByCell = Mapping[str, Predictions]
"""The predictions of one network: `clean` and each scenario."""


@dataclass(frozen=True)
class Sampled:
    """A statistic of one network, and in samples of the sources."""

    value: float
    drawn: Float[np.ndarray, " draws"]


def ablation_table(
    ablations: Sequence[Ablation],
    parameters: Mapping[str, int],
    predictions: Mapping[str, Sequence[ByCell]],
    rows: Sequence[Row],
    constant: Float[np.ndarray, "clips 5"],
) -> AblationTable:
    """The table of `predictions`, by ablation those of each seed's network for clips of `rows`; the same seeds in all.

    Raises:
        MsmaError: there is no clip that all have predictions for.
    """
    asked = [cell for runs in predictions.values() for run in runs for cell in run.values()]
    common = set[str].intersection(*(set(cell.clips) for cell in asked))
    places = [place for place, row in enumerate(rows) if row.clip in common]
    if not places:
        raise MsmaError("no clip has predictions of every network in every scenario; prepare all media and run again")
    some = [rows[place] for place in places]
    base, target, draws = constant[places], targets(some), draw_sources([row.source for row in some])
    sampled = {
        name: [statistics({cell: limited_to(one, common) for cell, one in run.items()}, base, draws) for run in runs]
        for name, runs in predictions.items()
    }
    found = {}
    for ablation in ablations:
        own, full = sampled[ablation.name], sampled[FULL]
        found[ablation.name] = AblationRow(
            name=ablation.name,
            changes=ablation.changes,
            parameters=parameters[ablation.name],
            statistics={key: spread([run[key].value for run in own]) for key in own[0]},
            differences={} if ablation.name == FULL else {key: paired(own, full, key) for key in own[0]},
        )
    return AblationTable(
        rows=found,
        scenarios=tuple(name for name in predictions[FULL][0] if name != CLEAN),
        seeds=len(predictions[FULL]),
        clips=len(places),
        unanswered=len(rows) - len(places),
        sources=draws.sources,
        constant_mean_accuracy=all_metrics(base, target, base)["mean_accuracy"]["mean"],
    )


def limited_to(predictions: Predictions, clips: set[str]) -> Predictions:
    """The predictions for `clips`."""
    kept = [place for place, clip in enumerate(predictions.clips) if clip in clips]
    return Predictions(
        [predictions.clips[place] for place in kept],
        [predictions.sources[place] for place in kept],
        predictions.predicted[kept],
        predictions.target[kept],
    )


def statistics(run: ByCell, constant: Float[np.ndarray, "clips 5"], draws: Draws) -> dict[str, Sampled]:
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


def write_csv(file: Any, table: AblationTable) -> None:
    """A line for each ablation and statistic; what is not defined is empty."""
    writer = csv.writer(file)
    writer.writerow(["ablation", "parameters", "statistic", "mean", "min", "max", "difference", "low", "high"])
    for row in table.rows.values():
        for name, value in row.statistics.items():
            gap = row.differences.get(name)
            numbers = [value.mean, value.low, value.high, *([gap.difference, gap.low, gap.high] if gap else [])]
            cells = ["" if math.isnan(number) else f"{number:.6f}" for number in numbers]
            writer.writerow([row.name, row.parameters, name, *cells, *[""] * (6 - len(cells))])


def paired(own: Sequence[Mapping[str, Sampled]], full: Sequence[Mapping[str, Sampled]], key: str) -> Difference:
    """This minus the recipe, seed by seed, on the same samples of sources."""
    pairs = list(zip(own, full, strict=True))
    values = [one[key].value - other[key].value for one, other in pairs]
    return estimate(values, np.stack([one[key].drawn - other[key].drawn for one, other in pairs]))
