"""Modal enhancement in the network: what to do with a modality that is missing or poor.

The paper names a modal enhancement strategy for missing and noisy modalities; its summary adds adaptive weighting and
imputation. Learned tokens, quality heads and their form are ours.
"""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from msma.types import SEGMENT_S


class MissingToken(nn.Module):
    """Puts one learned token where a modality is missing: never zeros that look like data.

    Not `learned`, it only keeps the place: for a network of one modality, which without it predicts the baseline.
    """

    token: Tensor

    def __init__(self, width: int, learned: bool = True) -> None:
        super().__init__()
        if learned:
            # Drawn on the CPU always: on the device "meta", torch.randn loads a compiler, which takes a second.
            self.token = nn.Parameter(0.02 * torch.randn(width, device="cpu"))
        else:
            self.register_buffer("token", torch.zeros(width), persistent=False)

    def forward(
        self, tokens: Float[Tensor, "b l d"], mask: Bool[Tensor, "b l"], present: Bool[Tensor, " b"]
    ) -> tuple[Float[Tensor, "b l d"], Bool[Tensor, "b l"]]:
        """Tokens and mask; where not present, the learned token at place 0 and everything else masked."""
        first = torch.arange(tokens.shape[1], device=tokens.device) == 0
        tokens = torch.where(present[:, None, None], tokens, first[None, :, None] * self.token)
        return tokens, (mask & present[:, None]) | (first & ~present[:, None])


class StatisticsNorm(nn.BatchNorm1d):
    """Brings all statistics to one scale, by their mean and deviation over all segments that were seen in training.

    Masked segments play no part, and those of a batch are scaled as in prediction: a batch may hold a single one.
    """

    def __init__(self, statistics: int) -> None:
        super().__init__(statistics, momentum=None, affine=False)

    def forward(self, statistics: Float[Tensor, "b r k"], mask: Bool[Tensor, "b r"]) -> Float[Tensor, "b r k"]:
        if self.training and len(seen := statistics[mask]) > 1:
            super().forward(seen)
        assert self.running_mean is not None
        assert self.running_var is not None
        return (statistics - self.running_mean) * (self.running_var + self.eps).rsqrt()


class QualityHead(nn.Module):
    """Quality of each segment of a modality from statistics of its signal; 1 is clean. Learns the severity that is
    injected.

    It does not see the tokens: they show who is there and what is done, and little of noise that was pooled away.
    """

    def __init__(self, statistics: int, width: int = 64) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            StatisticsNorm(statistics),
            nn.Linear(statistics, width),
            nn.GELU(),
            nn.Linear(width, width),
            nn.GELU(),
            nn.Linear(width, 1),
        )

    def forward(self, statistics: Float[Tensor, "b r k"], mask: Bool[Tensor, "b r"]) -> Float[Tensor, "b r"]:
        """Quality in [0, 1], 0 where a segment is masked."""
        norm, *layers = self.layers
        scores = norm(statistics, mask)
        for layer in layers:
            scores = layer(scores)
        return scores.squeeze(-1).sigmoid() * mask


def mean_quality(in_time: Float[Tensor, "b r"], mask: Bool[Tensor, "b r"]) -> Float[Tensor, " b"]:
    """Quality of a clip from that of its segments: the mean over those that are not masked; 0 where all are."""
    return (in_time * mask).sum(dim=1) / mask.sum(dim=1).clamp(min=1)


def quality_at(
    times_s: Float[Tensor, " l"], in_time: Float[Tensor, "b r"], mask: Bool[Tensor, "b r"]
) -> Float[Tensor, "b l"]:
    """Quality of the segment that each time lies in; after a clip's last segment that is not masked, that one's."""
    segments = torch.arange(in_time.shape[1], device=in_time.device)
    last = torch.where(mask, segments, 0).amax(dim=1, keepdim=True)
    own = (times_s / SEGMENT_S).long()[None].minimum(last)
    return in_time.gather(1, own)


class Imputer(nn.Module):
    """Estimates the summary of a missing modality from the summary of the other one."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, width), nn.GELU(), nn.Linear(width, width))

    def forward(self, other: Float[Tensor, "b d"]) -> Float[Tensor, "b d"]:
        return self.layers(other)


def equal_weights(present: Bool[Tensor, "b 2"]) -> Float[Tensor, "b 2"]:
    """Equal shares of what is present. Rows sum to 1, or 0 if nothing is."""
    raw = present.float()
    return raw / raw.sum(dim=1, keepdim=True).clamp(min=1)
