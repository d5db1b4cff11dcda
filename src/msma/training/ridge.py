"""Ridge regression from pooled embeddings to traits: the baseline on small corpora, and MsMA-Net's linear path.

Arrays of scores are (clips, traits), whichever traits a corpus labels.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from sklearn.linear_model import RidgeCV
from sklearn.model_selection import GroupKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from msma.metrics import ccc, logit

FOLDS = 5
REPEATS = 4
"""Times that the rows are split into FOLDS to choose penalties; once where there are MANY rows."""
MANY = 1000
PENALTIES = np.logspace(-3, 3, 25)
"""Relative to the mean square of the singular values."""
SHARES = (0.1, 0.6, 0.9)
"""Shares of one block of features beside the others."""
CONSTANT = 1e-4
"""A feature that deviates less over clips is constant but for rounding: it is not scaled up."""
MIN_ROWS = 10
"""Fewer are not fitted."""
MAX_COMPONENTS = 256
"""Principal components that are kept of a block."""
STEPS = (0.0, 0.25, 0.5, 0.75, 1.0)
SPREADS = (0.9, 1.0, 1.1, 1.2)
TOLERANCE = 1.002
"""Error that a wider spread may cost, over the least error."""

Rows = Float[np.ndarray, "clips features"]
Block = Float[np.ndarray, "clips _"]
"""One of several, of different widths."""
Scores = Float[np.ndarray, "clips traits"]
Columns = Int[np.ndarray, " _"]
Fold = tuple[Int[np.ndarray, " _"], Int[np.ndarray, " _"]]
"""Rows to fit, rows that are held out."""


def source_folds(sources: list[str], folds: int, seed: int) -> list[Fold]:
    """The folds of the rows; the clips of one source are never split."""
    count = min(folds, len(set(sources)))
    return list(GroupKFold(count, shuffle=True, random_state=seed).split(np.zeros(len(sources)), groups=sources))


def ridge_baseline(
    train: Rows, target: Scores, sources: list[str], test: Float[np.ndarray, "tested features"]
) -> Float[np.ndarray, "tested traits"]:
    """Standardised features, one ridge for all traits, its penalty chosen over folds by source (scikit-learn)."""
    penalties, folds = np.logspace(0, 6, 25), source_folds(sources, FOLDS, 0)
    model = make_pipeline(StandardScaler(), RidgeCV(penalties, cv=folds, scoring="neg_mean_squared_error"))
    varies = train.std(axis=0) > CONSTANT
    return np.clip(model.fit(train * varies, target).predict(test * varies), 0, 1)


@dataclass(frozen=True)
class LinearFit:
    """`features @ weights + bias`."""

    weights: Float[np.ndarray, "features traits"]
    bias: Float[np.ndarray, " traits"]
    held_out: Scores
    """Its predictions for its own rows, each from weights that were fitted to other sources only."""


def fit_linear(features: Rows, blocks: list[Columns], target: Scores, sources: list[str], seed: int) -> LinearFit:
    """A mean of ridge regressions over penalties and over shares of the blocks (columns of one kind of feature).

    Each setting weighs as its likelihood, exp(-n e / 2 e_least), where e is its mean square error over the n scores of
    held-out sources. A mean over settings wavers less from sample to sample than the best of them.
    """
    mean = target.mean(axis=0)
    centre = features.mean(axis=0)
    rotations = [principal(features[:, columns]) for columns in blocks]
    rotated = [(features - centre)[:, columns] @ turn for columns, turn in zip(blocks, rotations, strict=True)]
    repeats = REPEATS if len(target) < MANY else 1
    folds = [fold for repeat in range(repeats) for fold in source_folds(sources, FOLDS, seed + repeat)]
    shares = shares_of([len(columns) for columns in blocks])
    held_out = np.zeros((len(shares), len(PENALTIES), *target.shape))
    errors = np.zeros((len(shares), len(PENALTIES)))
    for place, share in enumerate(shares):
        x = weighted(rotated, share)
        for fit, held in folds:
            offset, level = x[fit].mean(axis=0), target[fit].mean(axis=0)
            predicted = (x[held] - offset) @ ridge_path(x[fit] - offset, target[fit] - level) + level
            held_out[place][:, held] += predicted / repeats
            errors[place] += ((predicted - target[held]) ** 2).sum(axis=(1, 2)) / (target.size * repeats)
    likelihood = np.exp(target.size / 2 * (errors.min() - errors) / max(errors.min(), 1e-12))
    likelihood /= likelihood.sum()
    weights = np.zeros((features.shape[1], target.shape[1]))
    ends = np.cumsum([turn.shape[1] for turn in rotations])[:-1]
    for share, chance in zip(shares, likelihood, strict=True):
        combined = np.einsum("pft,p->ft", ridge_path(weighted(rotated, share), target - mean), chance)
        for columns, turn, part, own in zip(blocks, rotations, np.split(combined, ends), share, strict=True):
            weights[columns] += np.sqrt(own) * turn @ part
    return LinearFit(weights, mean - centre @ weights, np.einsum("spnt,sp->nt", held_out, likelihood))


def shares_of(widths: list[int]) -> list[tuple[float, ...]]:
    """Shares of the blocks in the variance of all features: every feature the same, every block the same, or one block
    less or more than the others."""
    blocks = len(widths)
    if blocks == 1:
        return [(1.0,)]
    uneven = [
        tuple(share if other == block else (1 - share) / (blocks - 1) for other in range(blocks))
        for block in range(blocks)
        for share in SHARES
    ]
    return [tuple(width / sum(widths) for width in widths), (1 / blocks,) * blocks, *uneven]


def principal(block: Rows) -> Float[np.ndarray, "features components"]:
    """The rotation of standardised features to their principal components, with a total variance of about 1."""
    spread = np.maximum(block.std(axis=0), CONSTANT) * np.sqrt(block.shape[1])
    _, strengths, turn = np.linalg.svd((block - block.mean(axis=0)) / spread, full_matrices=False)
    components = max(1, min(MAX_COMPONENTS, int((strengths > 1e-6 * strengths[0]).sum())))
    return (turn[:components] / spread).T


def weighted(rotated: list[Block], shares: tuple[float, ...]) -> Float[np.ndarray, "clips components"]:
    return np.concatenate([np.sqrt(share) * block for share, block in zip(shares, rotated, strict=True)], axis=1)


def ridge_path(x: Rows, y: Scores) -> Float[np.ndarray, "penalties features traits"]:
    """Weights at every penalty."""
    u, s, turn = np.linalg.svd(x, full_matrices=False)
    penalties = PENALTIES[:, None] * max(np.mean(s**2), 1e-12)  # features that never vary get no weight
    return turn.T @ ((s / (s**2 + penalties))[:, :, None] * (u.T @ y))


@dataclass(frozen=True)
class Shrinkage:
    """The share of the network's residual that is taken, and how far the linear prediction is spread from the mean."""

    step: float
    spread: float


def choose_shrinkage(linear: Scores, residual: Scores, target: Scores, mean: Float[np.ndarray, " traits"]) -> Shrinkage:
    """From held-out predictions: among those whose error is near the least (TOLERANCE), the one with the highest CCC.
    `residual` is what the network adds to the logits of the `linear` predictions."""
    options = [Shrinkage(step, spread) for step in STEPS for spread in SPREADS]
    predicted = [shrunk(linear, residual, mean, option) for option in options]
    errors = np.array([np.abs(scores - target).mean() for scores in predicted])
    concordance = [ccc(scores, target).mean() for scores in predicted]
    return options[int(np.argmax(np.where(errors <= TOLERANCE * errors.min(), concordance, -np.inf)))]


def shrunk(linear: Scores, residual: Scores, mean: Float[np.ndarray, " traits"], by: Shrinkage) -> Scores:
    return 1 / (1 + np.exp(-logit(mean + by.spread * (linear - mean)) - by.step * residual))
