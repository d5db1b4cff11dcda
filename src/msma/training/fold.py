"""One fold of a cross-validation: networks that saw no clip of some sources, and their predictions for those.

The prediction is the mean of `train.members` networks, each what it is after the last step: no checkpoint is chosen.
With a linear path, the sources that a fold may see are parted once more: each network leaves one of those inner folds
out, and its predictions there say how far all may step away from the linear prediction.
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
from msma.model.linear_path import LinearPath
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
"""Into which the sources of a fold are parted, or more where there are more members."""
Scores = Annotated[list[float], Field(min_length=len(TRAITS), max_length=len(TRAITS))]


class FoldResult(Result):
    """Predictions for the clips that a fold held out, five scores a clip."""

    predicted: list[Scores]
    ridge: list[Scores] | None
    shrinkage: dict[str, float] | None
    """How the networks' mean was shrunk, where they have a linear path."""


@dataclass(frozen=True)
class FoldJob:
    learner: Learner
    fold: Fold
    """Which of the learner's clips to train on, and which to predict."""
    ridge: bool
    cpu: bool
    path: Path
    """Where the result goes."""


def run_fold(job: FoldJob) -> None:
    """Train the members, predict the clips that are held out, and write a FoldResult to `job.path`."""
    learner, (fit, held) = job.learner, job.fold
    recipe, pooled = learner.recipe, learner.pooled
    training, testing = [learner.rows[i] for i in fit], [learner.rows[i] for i in held]
    sources, target, prior = [row.source for row in training], targets(training), mean_target(training)
    labelled = labelled_traits(target)
    # Every member starts from the same linear path, fitted to all that the fold may see.
    path, linear = learner.linear_path(fit, prior)
    predictions: list[NetworkPredictions] = []
    checked_rows, checked = [], []
    inner = source_folds(sources, max(INNER_FOLDS, recipe.train.members), recipe.train.seed)
    everything, nothing = np.arange(len(training)), np.arange(0)
    for member in range(recipe.train.members):
        own, left_out = (everything, nothing) if path is None else inner[member % len(inner)]
        seeded = replace(learner, recipe=with_seed(recipe, recipe.train.seed + member))
        clips = seeded.dataset([training[i] for i in own], linear, augmented=True)
        network = train_member(seeded.recipe, prior, path, clips, job.cpu)
        predictions.append(predict(network, seeded.dataset(testing), recipe.train))
        if len(left_out):
            checked_rows.append(left_out)
            checked.append(predict(network, seeded.dataset([training[i] for i in left_out], linear), recipe.train))
    by = Shrinkage(step=1.0, spread=1.0)
    if path is not None:
        chosen = np.concatenate(checked_rows)
        first, taken = (np.concatenate(parts) for parts in zip(*((c.linear, c.residual) for c in checked), strict=True))
        by = choose_shrinkage(first[:, labelled], taken[:, labelled], target[chosen][:, labelled], prior[labelled])
    predicted = shrunk(predictions[0].linear, np.mean([one.residual for one in predictions], axis=0), prior, by)
    baseline = None
    if job.ridge and pooled is not None:
        features = pooled.of((0, 1))
        baseline = np.tile(prior, (len(testing), 1))
        baseline[:, labelled] = ridge_baseline(features[fit], target[:, labelled], sources, features[held])
    result = FoldResult(
        predicted=predicted.tolist(),
        ridge=None if baseline is None else baseline.tolist(),
        shrinkage=None if path is None else asdict(by),
    )
    write_result(job.path, result)


def train_member(
    recipe: Recipe, prior: Float[np.ndarray, " 5"], path: LinearPath | None, clips: LabelledClips, cpu: bool
) -> MsMANet:
    """Train a network on `clips` to the last step, from a linear path where there is one; its average is returned."""
    if recipe.train.cache_features:
        network = fresh_network(recipe, prior)
        network.take_backbones()
    else:
        network, _ = new_network(recipe, prior)
    if network.linear_path is not None and path is not None:
        network.linear_path.load_state_dict(path.state_dict())
    state = start(network, recipe, new_accelerator(recipe.train, cpu))
    for _ in steps(state, clips, recipe.train):
        pass
    return state.averaged
