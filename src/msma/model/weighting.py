"""Adaptive weighting: the network's three outputs combined by how precise each is at the predicted quality.

The paper's summary names an adaptive weighting of a degraded modality; this form is ours. A prediction is the mean, in
logits, of the mean-label baseline and of the outputs from audio alone, from visual alone and from both fused, each
weighted by its precision. A precision falls with the quality of what the output reads and is of each trait: what is
left of a noisy modality decides, and not how severe the noise is. Where both are lost, the baseline is what remains.
"""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

MIN_QUALITY = 0.02
"""Lower qualities count as this one."""


class AdaptiveWeighting(nn.Module):
    """Precisions of the outputs. They are fitted after training and kept with the configuration, not with the tensors.

    The precision of the fused output at quality 1 is 1, the unit. With a baseline and precisions alone of 0 the fused
    output stands as it is.
    """

    baseline: Tensor
    alone: Tensor
    alone_slopes: Tensor
    fused_slopes: Tensor

    def __init__(
        self,
        baseline: Float[Tensor, " 5"],
        alone: Float[Tensor, "2 5"],
        alone_slopes: Float[Tensor, " 2"],
        fused_slopes: Float[Tensor, " 2"],
    ) -> None:
        super().__init__()
        given = {"baseline": baseline, "alone": alone, "alone_slopes": alone_slopes, "fused_slopes": fused_slopes}
        for name, values in given.items():
            self.register_buffer(name, values, persistent=False)

    def forward(
        self,
        fused: Float[Tensor, "b 5"],
        alone: Float[Tensor, "b 2 5"],
        quality: Float[Tensor, "b 2"],
        present: Bool[Tensor, "b 2"],
        prior: Float[Tensor, " 5"],
    ) -> tuple[Float[Tensor, "b 5"], Float[Tensor, "b 2"]]:
        """The prediction, and the share of audio and of visual in it, mean over traits; the rest is the baseline's.

        `fused` and `alone` are scores. A modality that is not present has no output alone, and takes nothing from the
        precision of the fused one, which then reads the other alone. Of the fused output, each has an equal share.
        """
        quality = torch.where(present, quality.clamp(min=MIN_QUALITY), 1.0)
        anything = present.any(dim=1, keepdim=True)
        p_alone = self.alone * (quality**self.alone_slopes * present)[..., None]
        p_fused = ((quality**self.fused_slopes).prod(dim=1, keepdim=True) * anything).expand_as(fused)
        start = torch.logit(prior, eps=1e-4)
        away = p_fused * (torch.logit(fused, eps=1e-4) - start)
        away = away + (p_alone * (torch.logit(alone, eps=1e-4) - start)).sum(dim=1)
        total = (self.baseline + p_fused + p_alone.sum(dim=1)).clamp(min=1e-12)  # 0 only where nothing is present
        halves = present / present.sum(dim=1, keepdim=True).clamp(min=1)
        shares = (p_alone + halves[..., None] * p_fused[:, None]) / total[:, None]
        return torch.sigmoid(start + away / total), shares.mean(dim=2)
