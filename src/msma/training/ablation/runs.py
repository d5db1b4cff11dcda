"""The networks of an ablation study: each trained into a run folder, then asked for the test split in every scenario.

A run that is there is not trained again, one that was broken off goes on, and what a network has answered is read.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from msma.config import Recipe
from msma.corruptions.scenarios import CLEAN, six
from msma.data.corpora.manifest import Manifest, Row, targets
from msma.data.processes import each_done
from msma.evaluation.predictions import Predictions
from msma.evaluation.result_file import without_nan
from msma.evaluation.robustness.cell_result import CellResult, NotRun, read_result
from msma.evaluation.robustness.suite import cell_path, run_suite
from msma.evaluation.robustness.summary import summarize, summary_json
from msma.files import write_json
from msma.prediction.model import load
from msma.training.ablation.plan import FULL, Ablation
from msma.training.ablation.probes import Probed, probe, read_probed, write_probed
from msma.training.ablation.table import Answers
from msma.training.run import train
from msma.types import TRAITS, MsmaError

WITHOUT_STRATEGY = "no_modal_enhancement"
PROBED = (FULL, WITHOUT_STRATEGY)
"""The ablations whose networks are looked into."""


@dataclass(frozen=True)
class RunJob:
    """One network: an ablation with one seed."""

    name: str
    recipe: Recipe
    manifest: Manifest
    entries: dict[str, Path]
    path: Path
    """Its run folder."""
    severity: int
    cpu: bool

    @property
    def suite(self) -> Path:
        """Where what it answers in the scenarios goes, and what was seen inside it."""
        return self.path / "six"

    @property
    def probes(self) -> Path:
        return self.suite / "probes.safetensors"

    @property
    def tested(self) -> list[Row]:
        return [row for row in self.manifest.split("test") if row.clip in self.entries]


@dataclass(frozen=True)
class Studied:
    """Of every ablation, seed by seed: what its networks answered; of some, what was seen inside."""

    answers: dict[str, list[Answers]]
    probed: dict[str, list[Probed]]
    parameters: dict[str, int]


def study(
    ablations: Sequence[Ablation],
    seeds: int,
    manifest: Manifest,
    entries: dict[str, Path],
    out: Path,
    *,
    severity: int = 3,
    cpu: bool = False,
    workers: int = 0,
    progress: Callable[[int, int], None] = lambda *_: None,
) -> Studied:
    """Train every ablation with seeds 0 to `seeds` - 1, choose each network's weights on `val`, ask it for `test`.

    A network is in `out`/name/seed_n. With `workers`, networks are trained side by side in so many processes of one
    thread each; without, in this one.

    Raises:
        MsmaError: see `msma.training.run.train`; no test clip can be read; a run folder of another recipe or corpus; a
            damaged file in one.
    """
    jobs = [
        RunJob(
            ablation.name,
            with_seed(ablation.recipe, seed),
            manifest,
            entries,
            out / ablation.name / f"seed_{seed}",
            severity,
            cpu,
        )
        for seed in range(seeds)  # all with one seed, then all with the next: broken off, it is of use
        for ablation in ablations
    ]
    parameters = {}
    progress(0, len(jobs))
    for done, (name, count) in enumerate(each_done(run_job, jobs, workers), start=1):
        parameters[name] = count
        progress(done, len(jobs))
    answers: dict[str, list[Answers]] = {}
    probed: dict[str, list[Probed]] = {}
    for job in jobs:
        cells = [read_result(cell_path(job.suite, cell)) for cell in (CLEAN, *six((job.severity,)))]
        answers.setdefault(job.name, []).append(answers_of(job, cells))
        if job.name in PROBED:
            probed.setdefault(job.name, []).append(read_probed(job.probes))
    return Studied(answers, probed, parameters)


def answers_of(job: RunJob, cells: Sequence[CellResult | NotRun]) -> Answers:
    """By scenario, what a network answered, in the order of the test split.

    Raises:
        MsmaError: a scenario in which no clip could be read.
    """
    answers = {}
    row_of = {row.clip: row for row in job.tested}
    for result in cells:
        if isinstance(result, NotRun):
            raise MsmaError(f"{job.suite}: {result.cell.name}: {result.reason}")
        rows = [row_of[clip] for clip in result.clips]
        predicted = np.full((len(rows), len(TRAITS)), math.nan)
        predicted[:, [trait in job.manifest.traits for trait in TRAITS]] = result.traits
        answers[result.cell.scenario] = Predictions(
            [row.clip for row in rows], [row.source for row in rows], predicted, targets(rows)
        )
    return answers


def with_seed(recipe: Recipe, seed: int) -> Recipe:
    return recipe.model_copy(update={"train": recipe.train.model_copy(update={"seed": seed})})


def run_job(job: RunJob) -> tuple[str, int]:
    """Train the network unless it is there, ask it and look into it; gives the ablation and its parameters.

    Raises:
        MsmaError: the line names the ablation and the seed.
    """
    try:
        begun = (job.path / "state.pt").exists()
        # Of a run that is finished, this only checks that it is of the same recipe and corpus.
        train(job.recipe, job.manifest, job.entries, job.path, resume=begun, cpu=job.cpu)
        model = load(job.path, device="cpu" if job.cpu or not torch.cuda.is_available() else "cuda")
        result = run_suite(model, job.path, job.manifest, "test", job.entries, six((job.severity,)), job.suite)
        about = {"model": job.name, "corpus": job.manifest.corpus, "split": "test", "suite": "six"}
        write_json(job.suite / "summary.json", without_nan(summary_json(result, summarize(result), about)))
        if job.name in PROBED and not job.probes.exists():
            write_probed(job.probes, probe(model, job.tested, job.entries))
    except MsmaError as error:
        raise MsmaError(f"{job.name}, seed {job.recipe.train.seed}: {error}") from error
    return job.name, sum(parameter.numel() for parameter in model.weights.network.parameters())
