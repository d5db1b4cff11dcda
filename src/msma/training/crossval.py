"""Cross-validation by source: networks predict the clips of sources that they were not trained on (`fold`).

A fold is written when it is done, so an interrupted run resumes with the next one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from msma.config import Recipe
from msma.data.corpora.manifest import Row, mean_target, targets
from msma.data.corpus import Corpus
from msma.data.identity import record_identity, training_identity
from msma.evaluation.baselines import Baselines, baselines
from msma.evaluation.comparison import Comparison, compare
from msma.evaluation.evaluation import evaluation_of
from msma.evaluation.predictions import Predictions
from msma.evaluation.result_file import read_result
from msma.evaluation.results import CrossValidation, FoldScores, FoldSpread
from msma.files.folders import locked
from msma.media.processes import each_done
from msma.metrics import all_metrics
from msma.training.fold import FoldJob, FoldResult, run_fold
from msma.training.learner import new_learner, with_architectures
from msma.training.loop import new_accelerator, new_network
from msma.training.ridge import Fold, source_folds
from msma.types import MsmaError

CCC_CLIPS = 10
"""A fold of fewer clips has no CCC of its own."""


@dataclass(frozen=True)
class OutOfFold:
    """Predictions for every clip from networks that were trained without its source."""

    folds: list[Fold]
    """Indices into the clips of `msma`."""
    shrinkage: list[dict[str, float] | None]
    msma: Predictions
    ridge: Predictions | None
    baselines: Baselines
    """Baselines from the labels that each clip's fold was trained on."""


def cross_validate(
    recipe: Recipe,
    corpus: Corpus,
    folds: int | None,
    out: Path,
    *,
    ridge: bool = False,
    cpu: bool = False,
    workers: int = 0,
    progress: Callable[[int, int], None] = lambda *_: None,
    features_progress: Callable[[int, int], None] = lambda *_: None,
) -> OutOfFold:
    """Cross-validate a recipe over all clips of a corpus, whatever their split; `folds` None leaves one source out.

    `out` gets `crossval.yaml`, which says what it is of, and one JSON a fold; what is there is not done again. With
    `workers`, folds are trained side by side in so many processes of one thread each; without, in this one. MsmaError
    for too few sources, a folder of another cross-validation or with a damaged fold, a ridge without frozen backbones,
    or where training diverged.
    """
    recipe = with_architectures(recipe)
    rows = list(corpus.rows)
    sources = [row.source for row in rows]
    count = len(set(sources))
    if count < 4 or (folds is not None and not 2 <= folds <= count):
        raise MsmaError(f"{out}: {count} sources; cross-validation needs 4 at least, and no more folds than sources")
    if ridge and not recipe.train.cache_features:
        raise MsmaError("--baseline ridge reads features of frozen backbones; set train.cache_features")
    parted = source_folds(sources, folds or count, recipe.train.seed)
    network, pretrained = new_network(recipe, mean_target(rows))
    fixed = recipe.model_copy(update={"train": recipe.train.model_copy(update={"workers": 0})})  # change no result
    about = {"folds": len(parted), "ridge": ridge, **training_identity(corpus, pretrained)}
    other = "a cross-validation of another recipe, corpus, weights, number of folds or baseline"
    with locked(out):
        record_identity(out / "crossval.yaml", about | {"recipe": fixed.model_dump(mode="json")}, other)

        accelerator = new_accelerator(recipe.train, cpu)
        learner = new_learner(
            recipe, network, pretrained, corpus, rows, accelerator=accelerator, ridge=ridge, progress=features_progress
        )
        jobs = [
            FoldJob(learner, fold, ridge, cpu, out / f"fold_{number:03d}.json") for number, fold in enumerate(parted)
        ]
        waiting = [job for job in jobs if not job.path.exists()]
        progress(len(jobs) - len(waiting), len(jobs))
        for done, _ in enumerate(each_done(run_fold, waiting, workers), start=len(jobs) - len(waiting) + 1):
            progress(done, len(jobs))
        results = [read_fold(job.path, len(job.fold[1])) for job in jobs]
        return gathered(rows, parted, results)


def read_fold(path: Path, clips: int) -> FoldResult:
    """The result of a fold that is done; MsmaError where it is damaged."""
    remedy = "delete it, the fold will be done again"
    result = read_result(path, FoldResult, remedy)
    if {len(scores) for scores in (result.predicted, result.ridge) if scores is not None} != {clips}:
        raise MsmaError(f"{path}: damaged (not five scores for {clips} clips); {remedy}")
    return result


def gathered(rows: list[Row], parted: list[Fold], results: list[FoldResult]) -> OutOfFold:
    """The folds put together, in the order of `rows`."""
    target, seen = targets(rows), np.zeros(len(rows), dtype=bool)
    msma, ridge, constant, same_source = (np.full_like(target, np.nan) for _ in range(4))
    for (fit, held), result in zip(parted, results, strict=True):
        msma[held] = result.predicted
        if result.ridge is not None:
            ridge[held] = result.ridge
        base = baselines([rows[i] for i in fit], [rows[i] for i in held])
        constant[held], same_source[held], seen[held] = base.constant, base.same_source, base.seen

    def predictions(scores: np.ndarray) -> Predictions:
        labelled = np.where(np.isnan(target), np.nan, scores)
        return Predictions([row.clip for row in rows], [row.source for row in rows], labelled, target)

    return OutOfFold(
        parted,
        [result.shrinkage for result in results],
        predictions(msma),
        None if results[0].ridge is None else predictions(ridge),
        Baselines(constant, same_source, seen),
    )


def cross_validation(
    predictions: Predictions, result: OutOfFold, corpus: Corpus, model: str, recipe: Recipe
) -> CrossValidation:
    """The pooled out-of-fold predictions of the networks or of the ridge, scored as one split. A ridge is among the
    baselines, and the networks have the paired difference from it."""
    folds, base, ridge, against = fold_scores(result), result.baselines, result.ridge, None
    if ridge is not None and predictions is not ridge:
        against = Comparison(**dict(compare(predictions, ridge, base.constant)), file="ridge")
    pooled = evaluation_of(
        corpus.manifest,
        "all",
        predictions,
        model=model,
        fusion=recipe.model.fusion,
        baselines=base,
        degraded=len(corpus.cache.degraded),
        failed=corpus.cache.failed,
        against=against,
    )
    known = {} if ridge is None else {"ridge": all_metrics(ridge.predicted, ridge.target, base.constant)}
    own = {"split": f"{len(result.folds)} folds by source", "baselines": pooled.baselines | known}
    return CrossValidation(**dict(pooled) | own, folds=folds, spread=fold_spread(folds))


def fold_scores(result: OutOfFold) -> list[FoldScores]:
    """Each fold by itself: how many clips, and the metrics that so many allow (no correlation below CCC_CLIPS)."""

    def means(predictions: Predictions, held: np.ndarray) -> dict[str, float]:
        metrics = all_metrics(predictions.predicted[held], predictions.target[held], result.baselines.constant[held])
        names = ("mean_accuracy", "ccc") if len(held) >= CCC_CLIPS else ("mean_accuracy",)
        return {name: metrics[name]["mean"] for name in names}

    return [
        FoldScores(
            clips=len(held),
            shrinkage=shrinkage,
            msma=means(result.msma, held),
            ridge=None if result.ridge is None else means(result.ridge, held),
        )
        for (_, held), shrinkage in zip(result.folds, result.shrinkage, strict=True)
    ]


def fold_spread(folds: list[FoldScores]) -> dict[str, dict[str, FoldSpread]]:
    """How much each metric differs from fold to fold, by network and ridge."""
    spread: dict[str, dict[str, FoldSpread]] = {}
    for name in ("msma", "ridge"):
        scores: list[dict[str, float]] = [getattr(fold, name) or {} for fold in folds]
        for metric in ("ccc", "mean_accuracy"):
            values = np.array([one[metric] for one in scores if metric in one])
            if len(values):
                numbers = map(float, (values.mean(), values.std(), values.min(), values.max()))
                spread.setdefault(name, {})[metric] = FoldSpread(*numbers, folds=len(values))
    return spread
