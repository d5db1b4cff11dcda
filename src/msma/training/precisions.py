"""Fit the adaptive weighting to what a trained network makes of held-out clips, clean and corrupted."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float
from scipy.optimize import minimize
from torch import Tensor

from msma.metrics import labelled_traits
from msma.model.weighting import AdaptiveWeighting
from msma.training.ridge import source_folds
from msma.types import MODALITIES, TRAITS
from msma.weights.precisions import MAX_PRECISION, MAX_SLOPE, Precisions

ERROR_SCALE = 0.02
"""Errors well beyond this count by their size, smaller ones by their square: the fit needs a gradient at 0."""
SHRINKAGE = 0.3
"""Loss of a precision or slope of 1, mean over them and over clips: what gains less stays at the equal weights."""
START = 0.02
"""The fit starts this far from equal weights, where no gradient vanishes."""
SIZES = (len(TRAITS), 2 * len(TRAITS), 2, 2)
"""Numbers in `AdaptiveWeighting`'s baseline, alone, alone_slopes and fused_slopes."""
SLOPES = 4
FOLDS = 5
"""Parts of the sources, on each of which weights that were fitted to the others are tried."""


@dataclass(frozen=True)
class Readings:
    """What a network makes of clips, each in several conditions; in double precision."""

    fused: Float[Tensor, "n 5"]
    alone: Float[Tensor, "n 2 5"]
    quality: Float[Tensor, "n 2"]
    present: Bool[Tensor, "n 2"]
    target: Float[Tensor, "n 5"]
    """The labels."""
    clean: Float[Tensor, "n 5"]
    """What the network makes of the same clip clean: all that is left to be found, without the noise of a label."""
    clips: list[str]
    sources: list[str]

    def weighed(self, weighting: AdaptiveWeighting, prior: Float[Tensor, " 5"]) -> Float[Tensor, "n 5"]:
        return weighting(self.fused, self.alone, self.quality, self.present, prior)[0]

    def at(self, places: np.ndarray) -> Readings:
        """Some of the readings."""
        rows = torch.from_numpy(places)
        return Readings(
            fused=self.fused[rows],
            alone=self.alone[rows],
            quality=self.quality[rows],
            present=self.present[rows],
            target=self.target[rows],
            clean=self.clean[rows],
            clips=[self.clips[int(place)] for place in places],
            sources=[self.sources[int(place)] for place in places],
        )


def fit_precisions(readings: Readings, prior: Float[Tensor, " 5"]) -> Precisions | None:
    """The precisions with the least error, if they gain more than the standard error on clips of left-out sources; else
    None, which is equal weights. Deterministic. Traits without labels keep the fused output."""
    labelled = torch.from_numpy(labelled_traits(readings.target.numpy()))
    if len(set(readings.sources)) < FOLDS:
        return None
    gains = []
    for kept, left in source_folds(readings.sources, FOLDS, 0):
        held_out = readings.at(left)
        weighting = AdaptiveWeighting(*parts(fitted(readings.at(kept), prior, labelled)))
        before, after = (
            (scores - held_out.target).abs()[:, labelled].mean()
            for scores in (held_out.fused, held_out.weighed(weighting, prior))
        )
        gains.append(float(before - after))
    if np.mean(gains) <= np.std(gains, ddof=1) / np.sqrt(FOLDS):
        return None
    table = fitted(readings, prior, labelled).numpy().round(6)
    baseline, alone, alone_slopes, fused_slopes = (part.tolist() for part in parts(torch.from_numpy(table)))
    return Precisions(
        baseline=dict(zip(TRAITS, baseline, strict=True)),
        alone={m: dict(zip(TRAITS, of, strict=True)) for m, of in zip(MODALITIES, alone, strict=True)},
        alone_slopes=dict(zip(MODALITIES, alone_slopes, strict=True)),
        fused_slopes=dict(zip(MODALITIES, fused_slopes, strict=True)),
    )


def fitted(readings: Readings, prior: Float[Tensor, " 5"], labelled: Bool[Tensor, " 5"]) -> Float[Tensor, " numbers"]:
    """The numbers of the weighting with the least distance from the middle between the labels and the clean readings,
    shrunk towards equal weights."""
    target, shrinkage = (0.5 * (readings.target + readings.clean))[:, labelled], SHRINKAGE / len(set(readings.clips))

    def loss_of(parameters: np.ndarray) -> tuple[float, np.ndarray]:
        tensor = torch.tensor(parameters, dtype=torch.float64, requires_grad=True)
        predicted = readings.weighed(AdaptiveWeighting(*parts(tensor)), prior)
        error = (predicted[:, labelled] - target) / ERROR_SCALE
        loss = ERROR_SCALE * ((1 + error**2).sqrt() - 1).mean() + shrinkage * tensor.mean()
        loss.backward()
        assert tensor.grad is not None
        return loss.item(), tensor.grad.numpy()

    bounds = [(0.0, MAX_PRECISION)] * (sum(SIZES) - SLOPES) + [(0.0, MAX_SLOPE)] * SLOPES
    found = minimize(loss_of, np.full(len(bounds), START), jac=True, bounds=bounds, method="L-BFGS-B")
    return torch.from_numpy(found.x)


def parts(parameters: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The numbers of a fit as those of `AdaptiveWeighting`."""
    baseline, alone, alone_slopes, fused_slopes = parameters.split(SIZES)
    return baseline, alone.view(2, len(TRAITS)), alone_slopes, fused_slopes
