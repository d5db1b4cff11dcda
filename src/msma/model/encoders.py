"""The two branches: frames or audio → backbone → feature maps → spatial scales → tokens → temporal scales."""

from __future__ import annotations

from typing import TypeVar

import torch
from einops import rearrange
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional as F

from msma.config import ClipConfig, ModelConfig
from msma.model.backbones.backbone import AudioBackbone, VisualBackbone
from msma.model.backbones.by_name import audio_backbone, is_small, visual_backbone
from msma.model.head import BOX
from msma.model.layers import ChannelNorm, time_embedding
from msma.model.multiscale import SpatialScales, TemporalScales
from msma.model.tensors import Features, Inputs

Stage = TypeVar("Stage", SpatialScales, TemporalScales)
BANDS = 8
"""An audio map is pooled to this many bands, if it has more."""


class VisualEncoder(nn.Module):
    """A frame becomes a token of `grid` x `grid` cells: where matters in a face."""

    def __init__(self, config: ModelConfig, clip: ClipConfig) -> None:
        super().__init__()
        self.token_s = 1 / clip.fps
        self.backbone: VisualBackbone | None = visual_backbone(config.visual_backbone, config.visual_architecture)
        self.backbone.check_window(clip)
        self.groups = self.backbone.channels, BOX
        self.grid = min(config.visual_grid, -(-clip.crop_size // self.backbone.stride))
        self.narrow, channels = narrowing(self.backbone.channels, config.visual_backbone, config)
        self.spatial = scales(SpatialScales, channels, config.spatial_scales, config)
        self.to_cells = nn.Conv2d(channels, config.cell_channels, 1)
        self.to_token = nn.Linear(config.cell_channels * self.grid * self.grid, config.width)
        self.place = nn.Sequential(nn.Linear(4, config.width), nn.GELU(), nn.Linear(config.width, config.width))
        self.temporal = scales(TemporalScales, config.width, config.temporal_scales, config)

    def maps(self, inputs: Inputs) -> Float[Tensor, "b t c g g"]:
        assert self.backbone is not None
        frames = rearrange(inputs.frames, "b t c h w -> (b t) c h w").to(self.to_token.weight.dtype) / 255
        maps = F.adaptive_avg_pool2d(self.backbone(frames), (self.grid, self.grid))
        return rearrange(maps, "(b t) c h w -> b t c h w", b=inputs.frames.shape[0])

    def forward(self, features: Features) -> tuple[Float[Tensor, "b t d"], dict[str, Tensor]]:
        """Tokens, zero where there is no frame, and every scale and gate by name."""
        mask, (batch, frames) = features.frame_mask, features.frame_mask.shape
        maps = self.narrow(rearrange(features.visual, "b t c h w -> (b t) c h w"))
        maps, named = self.spatial(maps) if self.spatial is not None else (maps, {})
        cells = rearrange(self.to_cells(maps), "(b t) c h w -> b t (c h w)", b=batch)
        times_s = (torch.arange(frames, device=mask.device) + 0.5) * self.token_s
        tokens = self.to_token(cells) + self.place(8 * features.boxes - 3)
        return enhance(tokens, times_s, mask, self.temporal, named)


class AudioEncoder(nn.Module):
    """A step of the backbone's map becomes a token of its bands."""

    def __init__(self, config: ModelConfig, clip: ClipConfig) -> None:
        super().__init__()
        self.backbone: AudioBackbone | None = audio_backbone(config.audio_backbone, config.audio_architecture, clip)
        self.backbone.check_window(clip)
        self.groups, self.token_s = self.backbone.groups, self.backbone.token_s
        self.bands = min(BANDS, self.backbone.bands)
        self.narrow, channels = narrowing(self.backbone.channels, config.audio_backbone, config)
        self.spatial = scales(SpatialScales, channels, config.spatial_scales, config)
        self.to_token = nn.Linear(channels * self.bands, config.width)
        self.temporal = scales(TemporalScales, config.width, config.temporal_scales, config)

    def maps(self, inputs: Inputs) -> tuple[Float[Tensor, "b c h l"], Bool[Tensor, "b l"]]:
        assert self.backbone is not None
        return self.backbone(inputs.log_mel, inputs.waveform, inputs.mel_mask)

    def forward(self, features: Features) -> tuple[Float[Tensor, "b l d"], dict[str, Tensor]]:
        """Tokens, zero where there is no audio, and every scale and gate by name."""
        maps, mask = self.narrow(features.audio), features.audio_mask
        maps, named = self.spatial(maps, mask) if self.spatial is not None else (maps, {})
        bands = F.adaptive_avg_pool2d(maps, (self.bands, maps.shape[-1]))
        tokens = self.to_token(rearrange(bands, "b c h l -> b l (c h)"))
        times_s = (torch.arange(tokens.shape[1], device=tokens.device) + 0.5) * self.token_s
        return enhance(tokens, times_s, mask, self.temporal, named)


def narrowing(channels: int, backbone: str, config: ModelConfig) -> tuple[nn.Module, int]:
    """A layer from the many and variously scaled channels of a pretrained backbone to `map_channels`, and how many."""
    if is_small(backbone):
        return nn.Identity(), channels
    return nn.Sequential(ChannelNorm(channels), nn.Conv2d(channels, config.map_channels, 1)), config.map_channels


def enhance(
    tokens: Float[Tensor, "b l d"],
    times_s: Float[Tensor, " l"],
    mask: Bool[Tensor, "b l"],
    temporal: TemporalScales | None,
    named: dict[str, Tensor],
) -> tuple[Float[Tensor, "b l d"], dict[str, Tensor]]:
    """Tokens with their times, through the temporal scales where there are some."""
    tokens = tokens + time_embedding(times_s, tokens.shape[-1])
    if temporal is None:
        return tokens * mask[..., None].to(tokens.dtype), named
    tokens, more = temporal(tokens, mask)
    return tokens, named | more


def scales(stage: type[Stage], channels: int, sizes: tuple[int, ...], config: ModelConfig) -> Stage | None:
    """A multi-scale stage; None without sizes."""
    return stage(channels, sizes, config.channel_attention) if sizes else None
