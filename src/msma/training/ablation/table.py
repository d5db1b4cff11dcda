"""The ablations as one table: clean and non-ideal scores over several seeds, and how far each is from the recipe."""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from msma.data.corpora.manifest import Row
from msma.evaluation.disparities import Difference
from msma.evaluation.predictions import Predictions
from msma.evaluation.results import AblationRow, AblationTable
from msma.metrics import Draws, all_metrics, draw_sources, resampled_metrics, retained
from msma.training.ablation.plan import FULL, Ablation
from msma.training.ablation.probes import Probed
from msma.training.ablation.statistics import estimate, spread
from msma.types import MsmaError

CLEAN = "clean"
OF_CLEAN = ("mean_accuracy", "ccc", "skill")
ByCell = Mapping[str, Predictions]
"""The predictions of one network: `clean` and each scenario."""


@dataclass(frozen=True)
class StudiedNetwork:
    """One network of a study: trained, tested, and probed where that was wanted."""

    path: Path
    """Its run folder."""
    predictions: ByCell
    parameters: int
    probed: Probed | None = None


Sampled = Float[np.ndarray, " samples"]
"""A statistic of one network: on the clips, then in every bootstrap sample of their sources."""


def ablation_table(
    ablations: Sequence[Ablation],
    networks: Mapping[str, Sequence[StudiedNetwork]],
    rows: Sequence[Row],
    constant: Float[np.ndarray, "clips 5"],
) -> AblationTable:
    """The table of `networks`, by ablation those of each seed, tested on clips of `rows`; the same seeds in all.
    MsmaError where there is no clip that all have predictions for."""
    cells = [cell for of_seeds in networks.values() for one in of_seeds for cell in one.predictions.values()]
    common = set[str].intersection(*(set(cell.clips) for cell in cells))
    places = [place for place, row in enumerate(rows) if row.clip in common]
    if not places:
        raise MsmaError("no clip has predictions of every network in every scenario; prepare all media and run again")
    base, draws = constant[places], draw_sources([rows[place].source for place in places])

    def on_common_clips(one: Predictions) -> Predictions:
        return one.at([place for place, clip in enumerate(one.clips) if clip in common])

    sampled = {
        name: [
            statistics({cell: on_common_clips(given) for cell, given in one.predictions.items()}, base, draws)
            for one in of_seeds
        ]
        for name, of_seeds in networks.items()
    }
    found = {}
    for ablation in ablations:
        own, full = (
            {key: np.stack([one[key] for one in sampled[of]]) for key in sampled[of][0]} for of in (ablation.name, FULL)
        )
        found[ablation.name] = AblationRow(
            name=ablation.name,
            changes=ablation.changes,
            parameters=networks[ablation.name][0].parameters,
            statistics={key: spread(values[:, 0].tolist()) for key, values in own.items()},
            # Paired: seed by seed, on the same samples of sources.
            differences={} if ablation.name == FULL else {key: estimate(own[key] - full[key]) for key in own},
        )
    target = np.array([rows[place].target for place in places])
    return AblationTable(
        rows=found,
        scenarios=tuple(name for name in networks[FULL][0].predictions if name != CLEAN),
        seeds=len(networks[FULL]),
        clips=len(places),
        unpredicted=len(rows) - len(places),
        sources=draws.sources,
        constant_mean_accuracy=all_metrics(base, target, base)["mean_accuracy"]["mean"],
    )


def statistics(run: ByCell, constant: Float[np.ndarray, "clips 5"], draws: Draws) -> dict[str, Sampled]:
    """Everything of one network that has a column."""
    of_cell = {cell: cell_statistics(predictions, constant, draws) for cell, predictions in run.items()}
    clean, skills = of_cell[CLEAN], {cell: of["skill"] for cell, of in of_cell.items() if cell != CLEAN}
    scenarios = np.mean(list(skills.values()), axis=0)
    return {**clean, **skills, "scenarios": scenarios, "retention": retained(scenarios, clean["skill"])}


def cell_statistics(
    predictions: Predictions, constant: Float[np.ndarray, "clips 5"], draws: Draws
) -> dict[str, Sampled]:
    """The statistics of OF_CLEAN; NaN in all samples where there is one source."""
    values = all_metrics(predictions.predicted, predictions.target, constant)
    drawn = resampled_metrics(predictions.predicted, predictions.target, constant, draws)
    unknown = 0.0 if draws.sources > 1 else math.nan
    return {name: np.append(values[name]["mean"], drawn[name].mean(axis=1) + unknown) for name in OF_CLEAN}


def write_csv(file: Any, table: AblationTable) -> None:
    """A line for each ablation and statistic; what is not defined is empty."""
    writer = csv.writer(file)
    writer.writerow(["ablation", "parameters", "statistic", "mean", "min", "max", "difference", "low", "high"])
    nothing = Difference(math.nan, math.nan, math.nan)
    for row in table.rows.values():
        for name, value in row.statistics.items():
            apart = row.differences.get(name, nothing)
            numbers = (value.mean, value.low, value.high, apart.difference, apart.low, apart.high)
            cells = ("" if math.isnan(number) else f"{number:.6f}" for number in numbers)
            writer.writerow([row.name, row.parameters, name, *cells])
