"""Multi-scale feature enhancement (MSFEM): parallel branches, channel attention, residual.

The paper names the module, several scales and channel attention (abstract); its summary names temporal scales. Maps of
several strides, kernel sizes, reaches and the spatial variant are ours. An empty tuple of scales removes a stage
(ablation).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from einops import rearrange
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional as F

from msma.model.layers import ChannelAttention, ChannelNorm, keep, masked_mean


class Levels(nn.Module):
    """Maps of several strides or hidden layers → one map on the grid of the finest: the weighted sum of projections.

    Of more maps than it has `channels` for, it reads the last ones.

    `norms` brings the many and variously scaled channels of pretrained backbones to one scale. The weights of the maps
    are learned, positive and 1 on average, as those of the layers in ELMo (Peters et al. 2018).
    """

    def __init__(self, channels: Sequence[int], channels_out: int, norms: bool) -> None:
        super().__init__()
        self.project = nn.ModuleList(
            nn.Sequential(ChannelNorm(one) if norms else nn.Identity(), nn.Conv2d(one, channels_out, 1))
            for one in channels
        )
        self.weights = nn.Parameter(torch.zeros(len(channels), device="cpu")) if len(channels) > 1 else None

    def forward(self, maps: Sequence[Float[Tensor, "b _c _h _w"]]) -> Float[Tensor, "b d h w"]:
        projected = [project(one) for project, one in zip(self.project, maps[-len(self.project) :], strict=True)]
        if self.weights is None:
            return projected[0]
        shares = len(projected) * self.weights.softmax(dim=0)
        together = shares[0] * projected[0]
        for share, one in zip(shares[1:], projected[1:], strict=True):
            together = together + share * F.interpolate(one, size=together.shape[-2:], mode="nearest")
        return together


class SpatialScales(nn.Module):
    """Over space: depthwise convolutions of several kernel sizes on a map; `mask` keeps the padding of audio out."""

    def __init__(self, channels: int, kernels: tuple[int, ...], channel_attention: bool) -> None:
        super().__init__()
        self.branches = nn.ModuleList(
            nn.Conv2d(channels, channels, kernel, padding=kernel // 2, groups=channels) for kernel in kernels
        )
        self.mix = nn.Conv2d(len(kernels) * channels, channels, 1)
        self.attention = ChannelAttention(channels) if channel_attention else None

    def forward(
        self, x: Float[Tensor, "b c h w"], mask: Bool[Tensor, "b w"] | None = None
    ) -> tuple[Float[Tensor, "b c h w"], dict[str, Tensor]]:
        if mask is None:
            mask = torch.ones(x.shape[0], x.shape[-1], dtype=torch.bool, device=x.device)
        x = keep(x, mask)
        scales = [torch.relu(branch(x)) for branch in self.branches]
        named = {f"spatial_scale_{i}": scale for i, scale in enumerate(scales)}
        mixed = self.mix(torch.cat(scales, dim=1))
        if self.attention is not None:
            gate = self.attention(masked_mean(rearrange(mixed.mean(dim=2), "b c w -> b w c"), mask))
            mixed = mixed * gate[:, :, None, None]
            named["spatial_channel_attention"] = gate
        return keep(x + mixed, mask), named


class TemporalScales(nn.Module):
    """Over time: dilated depthwise convolutions on tokens; dilation r sees the neighbours r tokens away."""

    def __init__(self, width: int, dilations: tuple[int, ...], channel_attention: bool) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.branches = nn.ModuleList(
            nn.Conv1d(width, width, 3, padding=dilation, dilation=dilation, groups=width) for dilation in dilations
        )
        self.mix = nn.Linear(len(dilations) * width, width)
        self.attention = ChannelAttention(width) if channel_attention else None

    def forward(
        self, tokens: Float[Tensor, "b l d"], mask: Bool[Tensor, "b l"]
    ) -> tuple[Float[Tensor, "b l d"], dict[str, Tensor]]:
        x = rearrange(self.norm(tokens) * mask[..., None].to(tokens.dtype), "b l d -> b d l")
        scales = [rearrange(torch.relu(branch(x)), "b d l -> b l d") for branch in self.branches]
        named = {f"temporal_scale_{i}": scale for i, scale in enumerate(scales)}
        mixed = self.mix(torch.cat(scales, dim=-1))
        if self.attention is not None:
            gate = self.attention(masked_mean(mixed, mask))
            mixed = mixed * gate[:, None, :]
            named["temporal_channel_attention"] = gate
        return (tokens + mixed) * mask[..., None].to(tokens.dtype), named


def dilations_of(scales_s: tuple[float, ...], token_s: float) -> tuple[int, ...]:
    """Dilations in tokens of scales in seconds: the nearest, at least one token, each once."""
    return tuple(dict.fromkeys(max(1, round(scale_s / token_s)) for scale_s in scales_s))
