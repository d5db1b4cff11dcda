"""The losses of training, on a batch; targets in [0, 1]."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional as F

from msma.config import TrainConfig
from msma.model.tensors import ModelOutput
from msma.types import MODALITIES

TRAINED = (
    "summaries",
    *(f"{modality}_traits" for modality in MODALITIES),
    *(f"imputed_{modality}" for modality in MODALITIES),
    *(f"{modality}_quality_in_time" for modality in MODALITIES),
)
"""The intermediates that a loss reads."""


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
    quality: Float[Tensor, "b r 2"],
    config: TrainConfig,
    clean: ModelOutput | None = None,
    strength: float = 1.0,
) -> Float[Tensor, ""]:
    """The trait loss of the bimodal output, and what the modal enhancement adds. Unlabelled traits (NaN) don't count.

    `output` and `clean` must have their intermediates. `quality` is 1 for a clean segment and falls with the injected
    severity; masked segments (NaN) don't count. `clean` is the output for the same clips before they were degraded: it
    learns from the labels too, the other predictions are pulled towards its own, with `strength` in [0, 1], and an
    imputed summary towards its summary, both without gradient to it.
    """
    loss = outputs_loss(output, present, target, config)
    for index, modality in enumerate(MODALITIES):
        in_time = output.named.get(f"{modality}_quality_in_time")
        judged = quality[..., index].isfinite() & present[:, index, None]
        if in_time is not None and judged.any():
            loss = loss + config.quality_weight * quality_loss(in_time[judged], quality[..., index][judged])
    if clean is None:
        return loss
    loss = loss + outputs_loss(clean, clean.quality > 0, target, config)
    labelled = target.isfinite().all(dim=0)
    for traits, read, weight in outputs(output, present, config):
        apart = F.l1_loss(traits[read][:, labelled].float(), clean.traits.detach()[read][:, labelled].float())
        loss = loss + strength * config.distillation_weight * weight * apart
    for index in range(len(MODALITIES)):
        loss = loss + config.imputation_weight * imputation_loss(output, clean, present[:, index], 1 - index)
    return loss


def outputs(
    output: ModelOutput, present: Bool[Tensor, "b 2"], config: TrainConfig
) -> Iterator[tuple[Float[Tensor, "b 5"], Bool[Tensor, " b"], float]]:
    """The bimodal and the unimodal predictions, for which clips they count, and how much."""
    yield output.traits, torch.ones_like(present[:, 0]), 1.0
    for index, modality in enumerate(MODALITIES):
        alone = output.named.get(f"{modality}_traits")
        if alone is not None and present[:, index].any():
            yield alone, present[:, index], config.unimodal_weight


def outputs_loss(
    output: ModelOutput, present: Bool[Tensor, "b 2"], target: Float[Tensor, "b 5"], config: TrainConfig
) -> Float[Tensor, ""]:
    labelled = target.isfinite().all(dim=0)
    losses = [
        weight * trait_loss(traits[read][:, labelled], target[read][:, labelled], config.ccc_weight)
        for traits, read, weight in outputs(output, present, config)
    ]
    return torch.stack(losses).sum()


def quality_loss(seen: Float[Tensor, " n"], quality: Float[Tensor, " n"]) -> Float[Tensor, ""]:
    """Cross-entropy: the squared error of a sigmoid that is wrong and sure of itself has no gradient."""
    seen = seen.float().clamp(1e-7, 1 - 1e-7)
    return -(quality * seen.log() + (1 - quality) * (1 - seen).log()).mean()


def imputation_loss(
    output: ModelOutput, clean: ModelOutput, given: Bool[Tensor, " b"], missing: int
) -> Float[Tensor, ""] | float:
    """How far the imputed summary of one modality, from the given other one, is from its summary in the clean clip."""
    imputed = output.named.get(f"imputed_{MODALITIES[missing]}")
    known = given & (clean.quality[:, missing] > 0)  # a quality of 0 says that the clean clip does not have it either
    if imputed is None or not known.any():
        return 0.0
    return F.mse_loss(imputed[known].float(), clean.named["summaries"][known, missing].detach().float())


def halves(output: ModelOutput, clips: int) -> tuple[ModelOutput, ModelOutput | None]:
    """The output for the first clips of a batch, and that for the others if there are any; with what is trained."""
    kept = {name: tensor for name, tensor in output.named.items() if name in TRAINED}

    def rows(part: slice) -> ModelOutput:
        ours = {name: tensor[part] for name, tensor in kept.items()}
        return ModelOutput(output.traits[part], output.quality[part], output.weights[part], ours)

    return rows(slice(clips)), rows(slice(clips, None)) if len(output.traits) > clips else None
