"""The networks of an ablation study: each trained into a run folder, then asked for the test split in every scenario.

A run that is there is not trained again, one that was broken off goes on, and what a network has answered is read.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from msma.config import Recipe
from msma.corruptions.scenarios import six
from msma.data.corpus import Corpus
from msma.data.processes import each_done
from msma.evaluation.evaluate import predictions_of
from msma.evaluation.result_file import write_result
from msma.evaluation.robustness.suite import run_suite, summarize_suite
from msma.prediction.model import load
from msma.training.ablation.plan import FULL, Ablation
from msma.training.ablation.probes import Probed, probe, read_probed, write_probed
from msma.training.ablation.table import ByCell
from msma.training.learner import with_seed
from msma.training.run import train
from msma.types import MsmaError

WITHOUT_STRATEGY = "no_modal_enhancement"
PROBED = (FULL, WITHOUT_STRATEGY)
"""The ablations whose networks are looked into."""


@dataclass(frozen=True)
class RunJob:
    """One network: an ablation with one seed."""

    name: str
    recipe: Recipe
    corpus: Corpus
    path: Path
    """Its run folder."""
    severity: int
    probed: bool
    """Whether the network is looked into."""
    cpu: bool

    @property
    def suite(self) -> Path:
        """Where what it answers in the scenarios goes, and what was seen inside it."""
        return self.path / "six"

    @property
    def probes(self) -> Path:
        return self.suite / "probes.safetensors"


@dataclass(frozen=True)
class Ran:
    """One network that was trained and tested."""

    path: Path
    predictions: ByCell
    parameters: int


@dataclass(frozen=True)
class Studied:
    """The networks of every ablation, seed by seed."""

    predictions: dict[str, list[ByCell]]
    probed: dict[str, list[Probed]]
    """What was seen inside; of some ablations."""
    parameters: dict[str, int]


def study(
    ablations: Sequence[Ablation],
    seeds: int,
    corpus: Corpus,
    out: Path,
    *,
    severity: int = 3,
    probes: bool = True,
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
            corpus,
            out / ablation.name / f"seed_{seed}",
            severity,
            probes and ablation.name in PROBED,
            cpu,
        )
        for seed in range(seeds)  # all with one seed, then all with the next: broken off, it is of use
        for ablation in ablations
    ]
    found: dict[Path, Ran] = {}
    progress(0, len(jobs))
    for one in each_done(run_job, jobs, workers):
        found[one.path] = one
        progress(len(found), len(jobs))
    by_name = {ablation.name: [job for job in jobs if job.name == ablation.name] for ablation in ablations}
    return Studied(
        {name: [found[job.path].predictions for job in own] for name, own in by_name.items()},
        {name: [read_probed(job.probes) for job in own] for name, own in by_name.items() if own[0].probed},
        {name: found[own[0].path].parameters for name, own in by_name.items()},
    )


def run_job(job: RunJob) -> Ran:
    """Train the network unless it is there, test it in the six scenarios and look into it.

    Raises:
        MsmaError: the line names the ablation and the seed.
    """
    try:
        begun = (job.path / "state.pt").exists()
        # Of a run that is finished, this only checks that it is of the same recipe and corpus.
        train(job.recipe, job.corpus, job.path, name=job.name, resume=begun, cpu=job.cpu)
        model = load(job.path, device="cpu" if job.cpu or not torch.cuda.is_available() else "cuda")
        suite = run_suite(model, job.path, job.corpus, "test", six((job.severity,)), job.suite)
        for one in suite.not_run:
            raise MsmaError(f"{job.suite}: {one.cell.name}: {one.reason}")
        write_result(job.suite / "summary.json", summarize_suite(model, job.corpus, "test", "six", suite))
        if job.probed and not job.probes.exists():
            write_probed(job.probes, probe(model, job.corpus, "test"))
    except MsmaError as error:
        raise MsmaError(f"{job.name}, seed {job.recipe.train.seed}: {error}") from error
    tested = job.corpus.split("test")
    predictions = {
        cell.cell.scenario: predictions_of(
            model, [row for row in tested if row.clip in cell.predictions], cell.predictions
        )
        for cell in (suite.clean, *suite.cells)
    }
    return Ran(job.path, predictions, sum(parameter.numel() for parameter in model.weights.network.parameters()))
