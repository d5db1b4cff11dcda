"""The networks of an ablation study: each trained into a run folder, then all tested together in every scenario.

A finished run is not trained again, an interrupted one resumes, and predictions that are there are read. Testing comes
after all training, so that each clip is corrupted and prepared once for all networks.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from msma.config import Recipe
from msma.corruptions.scenarios import six
from msma.data.corpora.manifest import mean_target
from msma.data.corpus import Corpus
from msma.evaluation.evaluate import predictions_of
from msma.evaluation.result_file import read_lines, write_result
from msma.evaluation.robustness.cell_result import SuiteResult
from msma.evaluation.robustness.shared_window import share_backbones
from msma.evaluation.robustness.suite import run_suites, summarize_suite
from msma.files.folders import locked
from msma.media.processes import each_done
from msma.prediction.model import Model, load
from msma.training.ablation.plan import FULL, Ablation
from msma.training.ablation.probes import Probed, probe, read_probed, write_probed
from msma.training.ablation.statistics import last_quarter
from msma.training.ablation.table import StudiedNetwork
from msma.training.learner import new_learner, with_architectures, with_seed
from msma.training.loop import new_accelerator, new_network
from msma.training.run import LOG, Validation, train
from msma.types import MsmaError

PROBED = (FULL, "no_modal_enhancement")
"""The ablations whose networks are probed."""


@dataclass(frozen=True)
class RunJob:
    """One network: an ablation with one seed."""

    name: str
    recipe: Recipe
    corpus: Corpus
    path: Path
    """Its run folder."""
    cpu: bool

    @property
    def six(self) -> Path:
        """The folder of its predictions in the scenarios."""
        return self.path / "six"

    @property
    def probes(self) -> Path:
        """The file of its probes."""
        return self.six / "probes.safetensors"


@dataclass(frozen=True)
class ProbeJob:
    """Networks that are probed with the same clips."""

    jobs: tuple[RunJob, ...]

    @property
    def path(self) -> Path:
        """Where the first probes go, to name the job by."""
        return self.jobs[0].probes


def study(
    ablations: Sequence[Ablation],
    seeds: int,
    corpus: Corpus,
    out: Path,
    *,
    severity: int = 3,
    scenario_clips: int | None = None,
    probes: bool = True,
    cpu: bool = False,
    workers: int = 0,
    progress: Callable[[int, int], None] = lambda *_: None,
    features_progress: Callable[[int, int], None] = lambda *_: None,
    cells_progress: Callable[[int, int], None] = lambda *_: None,
) -> dict[str, list[StudiedNetwork]]:
    """Train every ablation with seeds 0 to `seeds` - 1, choose each network's weights on `val`, test it on `test`.

    Returns the networks of every ablation, seed by seed; each is in `out`/name/seed_n. With `workers`, networks are
    trained, and cells of all networks run, side by side in so many processes of one thread each; without, in this one.
    In the scenarios it is tested on `scenario_clips` clips at most, evenly spread; None: all.
    `progress` gets the trained networks, `cells_progress` the cells of all of them. MsmaError as `train`, or where no
    test clip can be read, or a run folder is of another recipe or corpus or damaged.
    """
    jobs = [
        RunJob(one.name, with_seed(one.recipe, seed), corpus, out / one.name / f"seed_{seed}", cpu)
        for seed in range(seeds)  # all with one seed, then all with the next: interrupted, it is of use
        for one in ablations
    ]
    with locked(out):
        for one in ablations:
            cache_features(one.recipe, corpus, cpu, workers, features_progress)
        progress(0, len(jobs))
        for done, _ in enumerate(each_done(train_job, jobs, workers), start=1):
            progress(done, len(jobs))
        models = [load_run(job) for job in jobs]
        tested = [(model, job.six) for model, job in zip(models, jobs, strict=True)]
        cells = six((severity,))
        suites = run_suites(
            tested, corpus, "test", cells, most=scenario_clips, workers=workers, progress=cells_progress
        )
        probed = probe_runs([job for job in jobs if probes and job.name in PROBED], workers)
    found = {
        job.path: studied(job, model, suite, probed.get(job.path))
        for job, model, suite in zip(jobs, models, suites, strict=True)
    }
    return {one.name: [found[job.path] for job in jobs if job.name == one.name] for one in ablations}


def cache_features(
    recipe: Recipe, corpus: Corpus, cpu: bool, workers: int, progress: Callable[[int, int], None]
) -> None:
    """Compute the features that a recipe caches, where they are not there yet, before processes side by side would each
    do the same work."""
    if not recipe.train.cache_features:
        return
    recipe = with_architectures(recipe)
    recipe = recipe.model_copy(update={"train": recipe.train.model_copy(update={"workers": workers})})
    rows, held_out = corpus.split("train"), corpus.split("val")
    network, pretrained = new_network(recipe, mean_target(rows))
    accelerator = new_accelerator(recipe.train, cpu)
    new_learner(recipe, network, pretrained, corpus, rows, held_out, accelerator=accelerator, progress=progress)


def train_job(job: RunJob) -> None:
    """Train the network unless it is there; its MsmaError names it."""
    try:
        begun = (job.path / "state.pt").exists()
        # Of a run that is finished, this only checks that it is of the same recipe and corpus.
        train(job.recipe, job.corpus, job.path, name=job.name, resume=begun, cpu=job.cpu)
    except MsmaError as error:
        raise MsmaError(f"{job.name}, seed {job.recipe.train.seed}: {error}") from error


def load_run(job: RunJob) -> Model:
    return load(job.path, device="cpu" if job.cpu or not torch.cuda.is_available() else "cuda")


def probe_runs(jobs: Sequence[RunJob], workers: int) -> dict[Path, Probed]:
    """The probes of networks by run folder; those that are there are read. A process probes its networks together."""
    lacking, groups = [job for job in jobs if not job.probes.exists()], max(workers, 1)
    together = [ProbeJob(tuple(lacking[place::groups])) for place in range(min(groups, len(lacking)))]
    for _ in each_done(probe_job, together, workers):
        pass
    return {job.path: read_probed(job.probes) for job in jobs}


def probe_job(job: ProbeJob) -> None:
    models = [load_run(one) for one in job.jobs]
    share_backbones(models)
    for one, probed in zip(job.jobs, probe(models, job.jobs[0].corpus, "test"), strict=True):
        write_probed(one.probes, probed)


def studied(job: RunJob, model: Model, suite: SuiteResult, probed: Probed | None) -> StudiedNetwork:
    """What the study knows of a network, whose summary is written; MsmaError where a scenario could not be run."""
    for one in suite.not_run:
        raise MsmaError(f"{job.name}, seed {job.recipe.train.seed}: {job.six}: {one.cell.name}: {one.reason}")
    write_result(job.six / "summary.json", summarize_suite(model, job.corpus, "test", "six", suite))
    rows, cells, config = job.corpus.split("test"), (suite.clean, *suite.cells), job.recipe.train
    return StudiedNetwork(
        job.path,
        {cell.cell.scenario: predictions_of(model, rows, cell.predictions) for cell in cells},
        parameters=sum(parameter.numel() for parameter in model.weights.network.parameters()),
        clips_per_step=config.readings * min(config.batch_size, len(job.corpus.split("train"))),
        steps=config.steps,
        last_quarter=gained_at_the_end(job.path / LOG),
        probed=probed,
    )


def gained_at_the_end(log: Path) -> float:
    """Validation CCC that the last quarter of a training gained; MsmaError where its log is damaged."""
    lines = read_lines(log, Validation, "train again into another --out")
    return last_quarter([(one.step, one.ccc) for one in lines])
