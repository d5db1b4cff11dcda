"""The two branches: frames or log-mel → feature maps → spatial scales → tokens → temporal scales."""

from __future__ import annotations

import torch
from einops import rearrange
from jaxtyping import Bool, Float, UInt8
from torch import Tensor, nn
from torch.nn import functional as F

from msma.config import ClipConfig, ModelConfig
from msma.model.backbones import audio_backbone, visual_backbone
from msma.model.layers import time_embedding
from msma.model.multiscale import SpatialScales, TemporalScales

GRID = 8
"""A picture's map is pooled to GRID x GRID cells before it becomes a token: where matters in a face."""
CELL_CHANNELS = 24
"""What is kept of the channels of each cell."""
BANDS = 8
"""A sound's map is pooled to this many bands."""


class VisualEncoder(nn.Module):
    def __init__(self, config: ModelConfig, clip: ClipConfig) -> None:
        super().__init__()
        self.fps = clip.fps
        self.backbone = visual_backbone(config.visual_backbone)
        channels = self.backbone.channels
        self.spatial = spatial_scales(channels, config)
        self.to_cells = nn.Conv2d(channels, CELL_CHANNELS, 1)
        self.to_token = nn.Linear(CELL_CHANNELS * GRID * GRID, config.width)
        self.place = nn.Sequential(nn.Linear(4, config.width), nn.GELU(), nn.Linear(config.width, config.width))
        self.temporal = temporal_scales(config)

    def forward(
        self,
        frames: UInt8[Tensor, "b t 3 s s"],
        boxes: Float[Tensor, "b t 4"],
        mask: Bool[Tensor, "b t"],
    ) -> tuple[Float[Tensor, "b t d"], dict[str, Tensor]]:
        batch = frames.shape[0]
        maps = self.backbone(rearrange(frames, "b t c h w -> (b t) c h w").to(boxes.dtype) / 255)
        maps, named = self.spatial(maps) if self.spatial is not None else (maps, {})
        cells = F.adaptive_avg_pool2d(self.to_cells(maps), (GRID, GRID))
        cells = rearrange(cells, "(b t) c h w -> b t (c h w)", b=batch)
        times_s = (torch.arange(frames.shape[1], device=frames.device) + 0.5) / self.fps
        tokens = self.to_token(cells) + self.place(8 * boxes - 3)
        tokens = tokens + time_embedding(times_s, tokens.shape[-1])
        return enhance(tokens, mask, self.temporal, named)


class AudioEncoder(nn.Module):
    def __init__(self, config: ModelConfig, clip: ClipConfig) -> None:
        super().__init__()
        self.backbone = audio_backbone(config.audio_backbone)
        channels = self.backbone.channels
        self.token_s = clip.mel_hop_s * self.backbone.time_stride
        self.spatial = spatial_scales(channels, config)
        self.to_token = nn.Linear(channels * BANDS, config.width)
        self.temporal = temporal_scales(config)

    def forward(
        self, log_mel: Float[Tensor, "b m f"], mask: Bool[Tensor, "b f"]
    ) -> tuple[Float[Tensor, "b l d"], Bool[Tensor, "b l"], dict[str, Tensor]]:
        maps = self.backbone(log_mel, mask)
        mask = mask[:, :: self.backbone.time_stride]
        maps, named = self.spatial(maps, mask) if self.spatial is not None else (maps, {})
        bands = F.adaptive_avg_pool2d(maps, (BANDS, maps.shape[-1]))
        tokens = self.to_token(rearrange(bands, "b c h l -> b l (c h)"))
        times_s = (torch.arange(tokens.shape[1], device=tokens.device) + 0.5) * self.token_s
        tokens = tokens + time_embedding(times_s, tokens.shape[-1])
        tokens, named = enhance(tokens, mask, self.temporal, named)
        return tokens, mask, named


def enhance(
    tokens: Float[Tensor, "b l d"],
    mask: Bool[Tensor, "b l"],
    temporal: TemporalScales | None,
    named: dict[str, Tensor],
) -> tuple[Float[Tensor, "b l d"], dict[str, Tensor]]:
    if temporal is None:
        return tokens * mask[..., None].to(tokens.dtype), named
    tokens, more = temporal(tokens, mask)
    return tokens, named | more


def spatial_scales(channels: int, config: ModelConfig) -> SpatialScales | None:
    kernels = config.spatial_scales
    return SpatialScales(channels, kernels, config.channel_attention) if kernels else None


def temporal_scales(config: ModelConfig) -> TemporalScales | None:
    dilations = config.temporal_scales
    return TemporalScales(config.width, dilations, config.channel_attention) if dilations else None
