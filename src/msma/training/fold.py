"""One fold of a cross-validation: networks that saw no clip of some sources, and what they answer for those.

The answer is the mean of `train.members` networks, each what it is after the last step: no checkpoint is chosen. With a
linear path, the sources that a fold may see are parted once more: each network leaves one of those inner folds out, and
its answers there say how far all may step away from the linear answer.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float
from torch import Tensor

from msma.config import Recipe
from msma.data.corpora.manifest import Row, mean_target, targets
from msma.data.dataset import ClipDataset
from msma.data.features import FeatureDataset
from msma.files import written_whole
from msma.metrics import labelled_traits
from msma.model.linear_path import LinearPath
from msma.training.linear_fit import Pooled, fit_linear_path
from msma.training.loop import Answers, LabelledClips, answer, fresh_network, new_accelerator, new_network, start, steps
from msma.training.ridge import Fold, Shrinkage, choose_shrinkage, ridge_baseline, shrunk, source_folds

INNER_FOLDS = 5
"""Into which the sources of a fold are parted, or more where there are more members."""


@dataclass(frozen=True)
class FoldResult:
    """Answers for the clips that a fold held out, one list of five scores a clip."""

    predicted: list[list[float]]
    ridge: list[list[float]] | None
    shrinkage: dict[str, float] | None
    """How the networks' mean was shrunk, where they have a linear path."""


@dataclass(frozen=True)
class FoldJob:
    recipe: Recipe
    rows: list[Row]
    """All clips; `fold` says which to train on and which to answer."""
    fold: Fold
    files: dict[str, Path]
    """By clip: features where the recipe keeps them, else entries of the clip cache."""
    pooled: Pooled | None
    """Of all rows, where features are kept."""
    ridge: bool
    cpu: bool
    path: Path
    """Where the result goes."""


def run_fold(job: FoldJob) -> None:
    """Train the members, answer the clips that are held out, and write a FoldResult to `job.path`."""
    recipe, (fit, held), pooled = job.recipe, job.fold, job.pooled
    training, testing = [job.rows[i] for i in fit], [job.rows[i] for i in held]
    sources, target, prior = [row.source for row in training], targets(training), mean_target(training)
    labelled = labelled_traits(target)
    path, linear = None, None
    if pooled is not None and recipe.model.linear_path:
        # Every member starts from the same linear path, fitted to all that the fold may see.
        path = LinearPath(sum(pooled.groups[0]), sum(pooled.groups[1][:1]))
        linear = fit_linear_path(path, training, pooled.rows(fit), prior, recipe.train.seed)
    answers: list[Answers] = []
    checked_rows, checked = [], []
    inner = source_folds(sources, max(INNER_FOLDS, recipe.train.members), recipe.train.seed)
    everything, nothing = np.arange(len(training)), np.arange(0)
    for member in range(recipe.train.members):
        own, left_out = (everything, nothing) if path is None else inner[member % len(inner)]
        asked = [(testing, None), ([training[i] for i in left_out], linear)]
        of_test, *of_left_out = train_member(job, member, prior, path, [training[i] for i in own], linear, asked)
        answers.append(of_test)
        checked_rows.append(left_out)
        checked += of_left_out
    by = Shrinkage(step=1.0, spread=1.0)
    if path is not None:
        chosen = np.concatenate(checked_rows)
        first, taken = (np.concatenate(parts) for parts in zip(*((c.first, c.steps) for c in checked), strict=True))
        by = choose_shrinkage(first[:, labelled], taken[:, labelled], target[chosen][:, labelled], prior[labelled])
    predicted = shrunk(answers[0].first, np.mean([one.steps for one in answers], axis=0), prior, by)
    baseline = None
    if job.ridge and pooled is not None:
        features = pooled.of((0, 1))
        baseline = np.tile(prior, (len(testing), 1))
        baseline[:, labelled] = ridge_baseline(features[fit], target[:, labelled], sources, features[held])
    result = FoldResult(
        predicted.tolist(), None if baseline is None else baseline.tolist(), None if path is None else asdict(by)
    )
    with written_whole(job.path) as unfinished:
        unfinished.write_text(json.dumps(asdict(result)) + "\n", encoding="utf-8")


def train_member(
    job: FoldJob,
    member: int,
    prior: Float[np.ndarray, " 5"],
    path: LinearPath | None,
    rows: list[Row],
    linear: dict[str, Float[Tensor, "3 5"]] | None,
    asked: list[tuple[list[Row], dict[str, Float[Tensor, "3 5"]] | None]],
) -> list[Answers]:
    """Train a network on `rows` and ask it for others, with the linear answers where those were fitted to them."""
    config = job.recipe.train.model_copy(update={"seed": job.recipe.train.seed + member})
    recipe = job.recipe.model_copy(update={"train": config})
    if config.cache_features:
        network = fresh_network(recipe, prior)
        network.take_backbones()
    else:
        network, _ = new_network(recipe, prior)
    if network.linear_path is not None and path is not None:
        network.linear_path.load_state_dict(path.state_dict())
    state = start(network, recipe, new_accelerator(config, job.cpu))
    for _ in steps(state, dataset(recipe, rows, job.files, linear, training=True), config):
        pass
    return [
        answer(
            state.averaged,
            dataset(recipe, others, job.files, held_out, training=False),
            config,
            state.accelerator.device,
        )
        for others, held_out in asked
        if others
    ]


def dataset(
    recipe: Recipe,
    rows: list[Row],
    files: dict[str, Path],
    linear: dict[str, Float[Tensor, "3 5"]] | None,
    training: bool,
) -> LabelledClips:
    augmentation = recipe.train if training else None
    if recipe.train.cache_features:
        return FeatureDataset(rows, files, augmentation, linear)
    return ClipDataset(rows, files, recipe.clip, augmentation)
