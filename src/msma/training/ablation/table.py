"""The ablations as one table: clean and non-ideal scores over several seeds, and how far each is from the recipe."""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from msma.data.corpora.manifest import Row, targets
from msma.evaluation.ablation import AblationRow, AblationTable, FromFull
from msma.evaluation.predictions import Predictions
from msma.metrics import (
    Draws,
    Interval,
    all_metrics,
    draw_sources,
    labelled_traits,
    names_of,
    resampled_metrics,
    retained,
)
from msma.training.ablation.plan import FULL, Ablation
from msma.training.ablation.probes import Probed
from msma.training.ablation.statistics import estimate, from_full, spread
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
    clips_per_step: int
    steps: int
    last_quarter: float
    """Validation CCC gained over the last quarter of the steps."""
    probed: Probed | None = None


Sampled = Float[np.ndarray, " samples"]
"""A statistic of one network: on the clips, then in every bootstrap sample of their sources."""


def ablation_table(
    ablations: Sequence[Ablation],
    networks: Mapping[str, Sequence[StudiedNetwork]],
    rows: Sequence[Row],
    constant: Float[np.ndarray, "clips 5"],
    corrupted: Sequence[Row],
) -> AblationTable:
    """The table of `networks`, by ablation those of each seed, tested on clips of `rows`, of which those of `corrupted`
    in the scenarios, too; the same seeds in all. MsmaError where there is no clip that all have predictions for."""
    clean = common_clips(networks, rows, constant, corrupted)
    common = clean.among(corrupted)
    sampled = {
        name: [statistics(one.predictions, clean, common) for one in of_seeds] for name, of_seeds in networks.items()
    }
    by_seed = {
        name: {key: np.stack([one[key] for one in of_seeds]) for key in of_seeds[0]}
        for name, of_seeds in sampled.items()
    }
    # Paired: seed by seed, on the same samples of sources.
    apart = {
        key: from_full(
            {name: own[key] - full for name, own in by_seed.items() if name != FULL},
            (clean if key in OF_CLEAN else common).draws.sources,
        )
        for key, full in by_seed[FULL].items()
    }
    found = {}
    for ablation in ablations:
        name, one = ablation.name, networks[ablation.name][0]
        found[name] = AblationRow(
            name=name,
            changes=ablation.changes,
            parameters=one.parameters,
            clips_per_step=one.clips_per_step,
            clips_read=one.clips_per_step * one.steps,
            statistics={key: spread(values[:, 0].tolist()) for key, values in by_seed[name].items()},
            intervals={key: interval_of(values) for key, values in by_seed[name].items()},
            last_quarter=spread([each.last_quarter for each in networks[name]]),
            differences={} if name == FULL else {key: of_rows[name] for key, of_rows in apart.items()},
        )
    target = targets(clean.rows)
    return AblationTable(
        rows=found,
        scenarios=tuple(name for name in networks[FULL][0].predictions if name != CLEAN),
        seeds=len(networks[FULL]),
        clips=len(clean.rows),
        scenario_clips=len(common.rows),
        unpredicted=len(rows) - len(clean.rows),
        sources=clean.draws.sources,
        constant_mean_accuracy=all_metrics(clean.constant, target, clean.constant)["mean_accuracy"]["mean"],
    )


def interval_of(sampled: Float[np.ndarray, "seeds samples"]) -> Interval:
    known = estimate(sampled)
    return Interval(known.low, known.high)


@dataclass(frozen=True)
class CommonClips:
    """Some of the clips that all networks have predictions for."""

    rows: tuple[Row, ...]
    constant: Float[np.ndarray, "clips 5"]

    @cached_property
    def draws(self) -> Draws:
        return draw_sources([row.source for row in self.rows])

    def among(self, some: Sequence[Row]) -> CommonClips:
        """Those that are among some rows. MsmaError where there is none."""
        names = {row.clip for row in some}
        kept = [place for place, row in enumerate(self.rows) if row.clip in names]
        if not kept:
            raise MsmaError(
                "no clip has predictions of every network in every scenario; prepare all media and run again"
            )
        return CommonClips(tuple(self.rows[place] for place in kept), self.constant[kept])

    def of(self, given: Predictions) -> Predictions:
        """The predictions for these clips."""
        clips = {row.clip for row in self.rows}
        return given.at([place for place, clip in enumerate(given.clips) if clip in clips])

    def statistics(self, given: Predictions) -> dict[str, Sampled]:
        """Those of `cell_statistics`, on these clips."""
        return cell_statistics(self.of(given), self.constant, self.draws)


def common_clips(
    networks: Mapping[str, Sequence[StudiedNetwork]],
    rows: Sequence[Row],
    constant: Float[np.ndarray, "clips 5"],
    corrupted: Sequence[Row],
) -> CommonClips:
    """The clips with a prediction of every network, and in every scenario that it should have been tested in."""
    lost = unpredicted(networks, rows, corrupted)
    return CommonClips(tuple(rows), constant).among([row for row in rows if row.clip not in lost])


def unpredicted(
    networks: Mapping[str, Sequence[StudiedNetwork]], rows: Sequence[Row], corrupted: Sequence[Row]
) -> set[str]:
    """The clips that some network has no prediction for, clean or in a scenario that it should have been tested in."""
    wanted = {CLEAN: {row.clip for row in rows}}
    return {
        clip
        for of_seeds in networks.values()
        for one in of_seeds
        for cell, given in one.predictions.items()
        for clip in wanted.setdefault(cell, {row.clip for row in corrupted}) - set(given.clips)
    }


def statistics(run: ByCell, clean: CommonClips, common: CommonClips) -> dict[str, Sampled]:
    """Everything of one network that has a column: clean, and on the clips of the scenarios."""
    of_cell = {cell: common.statistics(given) for cell, given in run.items()}
    skills = {cell: of["skill"] for cell, of in of_cell.items() if cell != CLEAN}
    scenarios = np.mean(list(skills.values()), axis=0)
    retention = retained(scenarios, of_cell[CLEAN]["skill"])
    return {**clean.statistics(run[CLEAN]), **skills, "scenarios": scenarios, "retention": retention}


def cell_statistics(
    predictions: Predictions, constant: Float[np.ndarray, "clips 5"], draws: Draws
) -> dict[str, Sampled]:
    """Those of `statistics_by_trait`, means over traits."""
    return {name: values.mean(axis=1) for name, values in statistics_by_trait(predictions, constant, draws).items()}


def statistics_by_trait(
    predictions: Predictions, constant: Float[np.ndarray, "clips 5"], draws: Draws
) -> dict[str, Float[np.ndarray, "samples labelled"]]:
    """The statistics of OF_CLEAN, of each labelled trait; NaN in all samples where there is one source."""
    values = all_metrics(predictions.predicted, predictions.target, constant)
    drawn = resampled_metrics(predictions.predicted, predictions.target, constant, draws)
    unknown = 0.0 if draws.sources > 1 else math.nan
    traits = names_of(labelled_traits(predictions.target))
    return {name: np.vstack([[values[name][trait] for trait in traits], drawn[name] + unknown]) for name in OF_CLEAN}


def write_csv(file: Any, table: AblationTable) -> None:
    """A line for each ablation and statistic; what is not defined is empty."""
    writer = csv.writer(file)
    compared = ["difference", "low", "high", "all_low", "all_high", "verdict"]
    writer.writerow(["ablation", "parameters", "clips_read", "statistic", "mean", "min", "max", *compared])
    nothing = FromFull(*[math.nan] * 5, verdict=None)
    for row in table.rows.values():
        for name, value in row.statistics.items():
            apart = row.differences.get(name, nothing)
            numbers = (value.mean, value.low, value.high, *(getattr(apart, key) for key in compared[:-1]))
            cells = ("" if math.isnan(number) else f"{number:.6f}" for number in numbers)
            writer.writerow([row.name, row.parameters, row.clips_read, name, *cells, apart.verdict or ""])
