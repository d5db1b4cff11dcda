"""What training minimises. All on a batch; targets in [0, 1]."""

from __future__ import annotations

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
) -> Float[Tensor, ""]:
    """The trait loss of the whole reading, and what the modal enhancement adds. Unlabelled traits (NaN) don't count.

    `output` must carry its intermediates. `quality` is 1 for a clean modality and falls with the injected severity.
    """
    named = output.intermediates
    if named is None:
        raise ValueError("training needs forward(..., return_intermediates=True)")
    labelled = target.isfinite().all(dim=0)
    target = target[:, labelled]
    loss = trait_loss(output.traits[:, labelled], target, config.ccc_weight)
    both = present.all(dim=1)
    summaries = named["summaries"].detach().float()
    for index, modality in enumerate(MODALITIES):
        here = present[:, index]
        if not here.any():
            continue
        seen = output.quality[here, index].float()
        loss = loss + config.quality_weight * F.mse_loss(seen, quality[here, index])
        if f"{modality}_traits" in named:
            alone = named[f"{modality}_traits"][here][:, labelled]
            loss = loss + config.unimodal_weight * trait_loss(alone, target[here], config.ccc_weight)
        if f"imputed_{modality}" in named and both.any():
            imputed = named[f"imputed_{modality}"][both].float()
            loss = loss + config.imputation_weight * F.mse_loss(imputed, summaries[both, index])
    return loss
