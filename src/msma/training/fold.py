"""One fold of a cross-validation: networks trained without some sources, and their predictions for these.

The prediction is the mean of `train.members` networks after their last step: no checkpoint is chosen. With a linear
path, the sources of a fold are split once more: each network leaves one of those inner folds out, and its predictions
there decide how much of the residuals to the linear prediction is taken.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Annotated

import numpy as np
from jaxtyping import Float
from pydantic import Field

from msma.config import Recipe
from msma.data.corpora.manifest import mean_target, targets
from msma.evaluation.result_file import Result, write_result
from msma.metrics import labelled_traits
from msma.model.head import LinearPath
from msma.model.msma_net import MsMANet
from msma.training.learner import Learner, with_seed
from msma.training.loop import (
    LabelledClips,
    NetworkPredictions,
    fresh_network,
    new_accelerator,
    new_network,
    predict,
    start,
    steps,
)
from msma.training.ridge import Fold, Shrinkage, choose_shrinkage, ridge_baseline, shrunk, source_folds
from msma.types import TRAITS

INNER_FOLDS = 5
"""The sources of a fold are split into so many, or more where there are more members."""
Scores = Annotated[list[float], Field(min_length=len(TRAITS), max_length=len(TRAITS))]


class FoldResult(Result):
    """Predictions for the clips that a fold held out, five scores a clip."""

    predicted: list[Scores]
    ridge: list[Scores] | None
    shrinkage: dict[str, float] | None
    """How the networks' mean was shrunk, where they have a linear path."""


@dataclass(frozen=True)
class FoldJob:
    """The learner's clips of `fold[0]` to train on, those of `fold[1]` to predict, and the file of the result."""

    learner: Learner
    fold: Fold
    ridge: bool
    cpu: bool
    path: Path


def run_fold(job: FoldJob) -> None:
    """Train the members, predict the clips that are held out, and write a FoldResult to `job.path`."""
    learner, (fit, held) = job.learner, job.fold
    recipe, pooled = learner.recipe, learner.pooled
    training, testing = [learner.rows[i] for i in fit], [learner.rows[i] for i in held]
    sources, target, mean = [row.source for row in training], targets(training), mean_target(training)
    labelled = labelled_traits(target)
    # Every member starts from the same linear path, fitted to all training clips of the fold.
    path, linear = learner.linear_path(fit, mean)
    predictions: list[NetworkPredictions] = []
    checked: list[tuple[np.ndarray, NetworkPredictions]] = []
    inner = source_folds(sources, max(INNER_FOLDS, recipe.train.members), recipe.train.seed)
    for member in range(recipe.train.members):
        own, left_out = (range(len(training)), ()) if path is None else inner[member % len(inner)]
        seeded = replace(learner, recipe=with_seed(recipe, recipe.train.seed + member))
        clips = seeded.dataset([training[i] for i in own], linear, augmented=True)
        network = train_member(seeded.recipe, mean, path, clips, job.cpu)
        predictions.append(predict(network, seeded.dataset(testing), recipe.train))
        if len(left_out):
            inner_clips = seeded.dataset([training[i] for i in left_out], linear)
            checked.append((target[left_out], predict(network, inner_clips, recipe.train)))
    by = Shrinkage(step=1.0, spread=1.0)
    if path is not None:
        parts = ((found.linear, found.residual, labels) for labels, found in checked)
        first, residual, labels = (np.concatenate(part)[:, labelled] for part in zip(*parts, strict=True))
        by = choose_shrinkage(first, residual, labels, mean[labelled])
    predicted = shrunk(predictions[0].linear, np.mean([one.residual for one in predictions], axis=0), mean, by)
    baseline = None
    if job.ridge and pooled is not None:
        features = pooled.of((0, 1))
        baseline = np.tile(mean, (len(testing), 1))
        baseline[:, labelled] = ridge_baseline(features[fit], target[:, labelled], sources, features[held])
    result = FoldResult(
        predicted=predicted.tolist(),
        ridge=None if baseline is None else baseline.tolist(),
        shrinkage=None if path is None else asdict(by),
    )
    write_result(job.path, result)


def train_member(
    recipe: Recipe, mean: Float[np.ndarray, " 5"], path: LinearPath | None, clips: LabelledClips, cpu: bool
) -> MsMANet:
    """Train a network on `clips` to the last step, from a linear path where there is one; its average is returned."""
    if recipe.train.cache_features:
        network = fresh_network(recipe, mean)
        network.take_backbones()
    else:
        network, _ = new_network(recipe, mean)
    if network.linear_path is not None and path is not None:
        network.linear_path.load_state_dict(path.state_dict())
    state = start(network, recipe, new_accelerator(recipe.train, cpu))
    for _ in steps(state, clips, recipe.train):
        pass
    return state.averaged
