"""What training minimises. All on a batch; targets in [0, 1]."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional as F

from msma.config import TrainConfig
from msma.traits import MODALITIES
from msma.types import ModelOutput


def ccc_loss(traits: Float[Tensor, "b k"], target: Float[Tensor, "b k"]) -> Float[Tensor, ""]:
    """1 - concordance correlation coefficient (Lin 1989) over the batch, mean over traits."""
    traits, target = traits.float(), target.float()
    mean, target_mean = traits.mean(dim=0), target.mean(dim=0)
    covariance = ((traits - mean) * (target - target_mean)).mean(dim=0)
    spread = traits.var(dim=0, unbiased=False) + target.var(dim=0, unbiased=False) + (mean - target_mean) ** 2
    return 1 - (2 * covariance / spread.clamp(min=1e-6)).mean()


def trait_loss(traits: Float[Tensor, "b k"], target: Float[Tensor, "b k"], ccc_weight: float) -> Float[Tensor, ""]:
    """L1 keeps the error small; the CCC term keeps the spread from shrinking to the mean."""
    return F.l1_loss(traits.float(), target) + ccc_weight * ccc_loss(traits, target)


def training_loss(
    output: ModelOutput,
    present: Bool[Tensor, "b 2"],
    target: Float[Tensor, "b 5"],
    quality: Float[Tensor, "b 2"],
    config: TrainConfig,
    clean: ModelOutput | None = None,
    strength: float = 1.0,
) -> Float[Tensor, ""]:
    """The trait loss of the whole reading, and what the modal enhancement adds. Unlabelled traits (NaN) don't count.

    `output` and `clean` must carry their intermediates. `quality` is 1 for a clean modality and falls with the injected
    severity. `clean` is what a teacher (the averaged network) says of the same clips before they were degraded, without
    gradient: the answers are drawn to its answers, with `strength` in [0, 1], and what stands in for a modality to its
    summary.
    """
    named = output.intermediates
    if named is None:
        raise ValueError("training needs forward(..., return_intermediates=True)")
    labelled = target.isfinite().all(dim=0)
    target = target[:, labelled]

    def reading_loss(traits: Float[Tensor, "b 5"], read: Bool[Tensor, " b"]) -> Float[Tensor, ""]:
        loss = trait_loss(traits[read][:, labelled], target[read], config.ccc_weight)
        if clean is None:
            return loss
        gap = F.l1_loss(traits[read][:, labelled].float(), clean.traits[read][:, labelled].float())
        return loss + strength * config.distillation_weight * gap

    loss = reading_loss(output.traits, torch.ones_like(present[:, 0]))
    for index, modality in enumerate(MODALITIES):
        here = present[:, index]
        if not here.any():
            continue
        seen = output.quality[here, index].float()
        loss = loss + config.quality_weight * F.mse_loss(seen, quality[here, index])
        if f"{modality}_traits" in named:
            loss = loss + config.unimodal_weight * reading_loss(named[f"{modality}_traits"], here)
            loss = loss + config.imputation_weight * imputation_loss(named, clean, here, 1 - index)
    return loss


def imputation_loss(
    named: dict[str, Tensor], clean: ModelOutput | None, given: Bool[Tensor, " b"], missing: int
) -> Float[Tensor, ""] | float:
    """How far what stands in for one modality, from the given other one, is from its summary in the clean clip."""
    imputed = named.get(f"imputed_{MODALITIES[missing]}")
    if imputed is None or clean is None or clean.intermediates is None:
        return 0.0
    known = given & (clean.quality[:, missing] > 0)  # a quality of 0 says that the clean clip does not have it either
    if not known.any():
        return 0.0
    return F.mse_loss(imputed[known].float(), clean.intermediates["summaries"][known, missing].float())
