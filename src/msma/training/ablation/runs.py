"""The networks of an ablation study: each trained into a run folder, then tested in every scenario.

A finished run is not trained again, an interrupted one resumes, and predictions that are there are read.
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
from msma.evaluation.robustness.suite import run_suite, summarize_suite
from msma.files.folders import locked
from msma.media.processes import each_done
from msma.prediction.model import load
from msma.training.ablation.plan import FULL, Ablation
from msma.training.ablation.probes import probe, read_probed, write_probed
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
    severity: int
    probes: bool
    cpu: bool


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
    features_progress: Callable[[int, int], None] = lambda *_: None,
) -> dict[str, list[StudiedNetwork]]:
    """Train every ablation with seeds 0 to `seeds` - 1, choose each network's weights on `val`, test it on `test`.

    Returns the networks of every ablation, seed by seed; each is in `out`/name/seed_n. With `workers`, networks are
    trained side by side in so many processes of one thread each; without, in this one. MsmaError as `train`, or where
    no test clip can be read, or a run folder is of another recipe or corpus or damaged.
    """
    jobs = [
        RunJob(
            one.name,
            with_seed(one.recipe, seed),
            corpus,
            out / one.name / f"seed_{seed}",
            severity,
            probes and one.name in PROBED,
            cpu,
        )
        for seed in range(seeds)  # all with one seed, then all with the next: interrupted, it is of use
        for one in ablations
    ]
    found: dict[Path, StudiedNetwork] = {}
    with locked(out):
        for one in ablations:
            cache_features(one.recipe, corpus, cpu, workers, features_progress)
        progress(0, len(jobs))
        for one in each_done(run_job, jobs, workers):
            found[one.path] = one
            progress(len(found), len(jobs))
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


def run_job(job: RunJob) -> StudiedNetwork:
    """Train the network unless it is there, test it in the six scenarios and probe it; its MsmaError names it."""
    out = job.path / "six"
    path, probed = out / "probes.safetensors", None
    try:
        begun = (job.path / "state.pt").exists()
        # Of a run that is finished, this only checks that it is of the same recipe and corpus.
        train(job.recipe, job.corpus, job.path, name=job.name, resume=begun, cpu=job.cpu)
        model = load(job.path, device="cpu" if job.cpu or not torch.cuda.is_available() else "cuda")
        suite = run_suite(model, job.corpus, "test", six((job.severity,)), out)
        for one in suite.not_run:
            raise MsmaError(f"{out}: {one.cell.name}: {one.reason}")
        write_result(out / "summary.json", summarize_suite(model, job.corpus, "test", "six", suite))
        if job.probes:
            if not path.exists():
                write_probed(path, probe(model, job.corpus, "test"))
            probed = read_probed(path)
    except MsmaError as error:
        raise MsmaError(f"{job.name}, seed {job.recipe.train.seed}: {error}") from error
    tested, cells = job.corpus.split("test"), (suite.clean, *suite.cells)
    predictions = {cell.cell.scenario: predictions_of(model, tested, cell.predictions) for cell in cells}
    parameters = sum(parameter.numel() for parameter in model.weights.network.parameters())
    config = job.recipe.train
    per_step = config.readings * min(config.batch_size, len(job.corpus.split("train")))
    gained = gained_at_the_end(job.path / LOG)
    return StudiedNetwork(job.path, predictions, parameters, per_step, config.steps, gained, probed)


def gained_at_the_end(log: Path) -> float:
    """Validation CCC that the last quarter of a training gained; MsmaError where its log is damaged."""
    lines = read_lines(log, Validation, "train again into another --out")
    return last_quarter([(one.step, one.ccc) for one in lines])
