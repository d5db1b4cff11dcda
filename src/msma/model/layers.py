"""Small layers that several stages share. Every one is safe under masks: what is masked changes nothing."""

from __future__ import annotations

import math

import torch
from einops import rearrange
from jaxtyping import Bool, Float
from torch import Tensor, nn


class ChannelNorm(nn.Module):
    """LayerNorm over the channels at each place of a map, so that a place never depends on padding elsewhere."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(channels)

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        return rearrange(self.norm(rearrange(x, "b c h w -> b h w c")), "b h w c -> b c h w")


class ConvBlock(nn.Module):
    """Depthwise 3x3, pointwise expansion, residual (after ConvNeXt, Liu et al. 2022)."""

    def __init__(self, channels: int, norm: nn.Module, expansion: int = 2) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(channels, channels, 3, padding=1, groups=channels)
        self.norm = norm
        self.expand = nn.Conv2d(channels, expansion * channels, 1)
        self.project = nn.Conv2d(expansion * channels, channels, 1)

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        return x + self.project(torch.relu(self.expand(self.norm(self.depthwise(x)))))


class ChannelAttention(nn.Module):
    """Squeeze and excitation (Hu et al. 2018): a gate in (0, 1) per channel from the mean over all places."""

    def __init__(self, channels: int, reduction: int = 4) -> None:
        super().__init__()
        hidden = max(channels // reduction, 8)
        self.gate = nn.Sequential(nn.Linear(channels, hidden), nn.ReLU(), nn.Linear(hidden, channels), nn.Sigmoid())

    def forward(self, mean: Float[Tensor, "b c"]) -> Float[Tensor, "b c"]:
        return self.gate(mean)


class FeedForward(nn.Sequential):
    def __init__(self, width: int, dropout: float, expansion: int = 2) -> None:
        super().__init__(
            nn.LayerNorm(width),
            nn.Linear(width, expansion * width),
            nn.GELU(),
            nn.Dropout(dropout),
            nn.Linear(expansion * width, width),
        )


class AttentiveStatistics(nn.Module):
    """Tokens to one summary: attention-weighted mean and standard deviation (Okabe et al. 2018).

    How much a cue varies (pitch range, head motion) is as telling as its mean.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        # No bias at the end: what is the same for all tokens drops out of the softmax.
        self.score = nn.Sequential(nn.Linear(width, width), nn.Tanh(), nn.Linear(width, width, bias=False))
        self.project = nn.Linear(2 * width, width)

    def forward(self, tokens: Float[Tensor, "b l d"], mask: Bool[Tensor, "b l"]) -> Float[Tensor, "b d"]:
        """At least one token of each clip must be valid by the mask."""
        tokens = self.norm(tokens)
        scores = self.score(tokens).masked_fill(~mask[..., None], float("-inf"))
        weights = scores.softmax(dim=1)
        mean = (weights * tokens).sum(dim=1)
        variance = (weights * (tokens - mean[:, None]) ** 2).sum(dim=1)
        return self.project(torch.cat([mean, (variance + 1e-5).sqrt()], dim=-1))


def keep(maps: Float[Tensor, "b c h w"], mask: Bool[Tensor, "b w"]) -> Float[Tensor, "b c h w"]:
    """Maps with the masked columns (time steps of audio) zero, as if the clip ended there."""
    return maps * mask[:, None, None, :].to(maps.dtype)


def masked_mean(tokens: Float[Tensor, "b l d"], mask: Bool[Tensor, "b l"]) -> Float[Tensor, "b d"]:
    """Mean over the valid tokens; zeros where none is valid."""
    valid = mask[..., None].to(tokens.dtype)
    return (tokens * valid).sum(dim=1) / valid.sum(dim=1).clamp(min=1)


def masked_statistics(tokens: Float[Tensor, "b l d"], mask: Bool[Tensor, "b l"]) -> Float[Tensor, "b d2"]:
    """Mean and standard deviation over the valid tokens, one after the other; zeros where none is valid."""
    mean = masked_mean(tokens, mask)
    variance = masked_mean((tokens - mean[:, None]) ** 2, mask)
    return torch.cat([mean, variance.sqrt()], dim=1)


def time_embedding(times_s: Float[Tensor, " l"], width: int) -> Float[Tensor, "l d"]:
    """Sinusoids over seconds (periods from 0.5 s to 60 s), so that audio and visual share one clock."""
    periods_s = torch.logspace(math.log10(0.5), math.log10(60.0), width // 2, device=times_s.device)
    angles = 2 * math.pi * times_s[:, None] / periods_s
    return torch.cat([angles.sin(), angles.cos()], dim=-1)
