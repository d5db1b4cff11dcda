"""The two branches: frames or audio → backbone → feature maps → spatial scales → tokens → temporal scales."""

from __future__ import annotations

from typing import TypeVar

import torch
from einops import rearrange
from jaxtyping import Bool, Float, UInt8
from torch import Tensor, nn
from torch.nn import functional as F

from msma.config import ClipConfig, ModelConfig
from msma.model.backbones.backbone import OWN, TOKEN, AudioBackbone, Maps, VisualBackbone, with_step
from msma.model.backbones.by_name import audio_backbone, is_small, visual_backbone
from msma.model.head import BOX
from msma.model.layers import time_embedding
from msma.model.multiscale import Levels, SpatialScales, TemporalScales, dilations_of
from msma.model.tensors import Features, Inputs
from msma.types import SAMPLE_RATE

Stage = TypeVar("Stage", SpatialScales, TemporalScales)
Encoded = tuple[Float[Tensor, "b l d"], Float[Tensor, " l"], dict[str, Tensor]]
"""Tokens, zero where they are masked, their times in seconds, and every scale and gate by name."""
BANDS = 8
"""An audio map is pooled to this many bands, if it has more."""


class SceneEncoder(nn.Module):
    """A whole frame becomes what is added to the token of its face: posture, and what surrounds a person."""

    def __init__(self, name: str, config: ModelConfig, clip: ClipConfig) -> None:
        super().__init__()
        self.backbone: VisualBackbone | None = visual_backbone(name, config.scene_architecture)
        self.backbone.check_window(clip.model_copy(update={"crop_size": clip.scene_size}))
        self.channels = self.backbone.channels[-1]
        self.norm, self.to_token = nn.LayerNorm(self.channels), nn.Linear(self.channels, config.width)

    def pooled(self, scene: UInt8[Tensor, "b t 3 v v"]) -> Float[Tensor, "b t c"]:
        """The mean over the last map of each frame."""
        assert self.backbone is not None
        *_, last = self.backbone(pixels(scene, self.to_token.weight.dtype))
        return rearrange(last.mean(dim=(2, 3)), "(b t) c -> b t c", b=scene.shape[0])

    def forward(self, pooled: Float[Tensor, "b t c"]) -> Float[Tensor, "b t d"]:
        return self.to_token(self.norm(pooled))


class VisualEncoder(nn.Module):
    """A frame becomes a token of cells, `grid` on each side: where matters in a face."""

    def __init__(self, config: ModelConfig, clip: ClipConfig) -> None:
        super().__init__()
        self.token_s = 1 / clip.fps
        self.backbone: VisualBackbone | None = visual_backbone(
            config.visual_backbone, config.visual_architecture, config.hidden_layers
        )
        self.backbone.check_window(clip)
        name = config.scene_backbone
        self.scene = None if name is None else SceneEncoder(name, config, clip)
        self.groups = (self.backbone.channels[-1], BOX, *(() if self.scene is None else (self.scene.channels,)))
        finest = self.backbone.strides[0]
        self.grids = tuple(
            min(-(-clip.crop_size // stride), max(1, config.visual_grid * finest // stride))
            for stride in self.backbone.strides
        )
        """Cells per side of each map."""
        self.levels = levels(self.backbone, config.visual_backbone, config)
        self.spatial = scales(SpatialScales, config.map_channels, config.spatial_scales, config)
        self.grid = self.grids[0] if config.spatial_scales else self.grids[-1]
        self.to_cells = nn.Conv2d(config.map_channels, config.cell_channels, 1)
        self.to_token = nn.Linear(config.cell_channels * self.grid * self.grid, config.width)
        self.place = nn.Sequential(nn.Linear(4, config.width), nn.GELU(), nn.Linear(config.width, config.width))
        self.temporal = scales(
            TemporalScales, config.width, dilations_of(config.temporal_scales_s, self.token_s), config
        )

    def maps(self, inputs: Inputs) -> Maps:
        """Maps `(b, t, c, g, g)`."""
        assert self.backbone is not None
        clips = inputs.frames.shape[0]
        return tuple(
            rearrange(F.adaptive_avg_pool2d(one, (grid, grid)), "(b t) c h w -> b t c h w", b=clips)
            for one, grid in zip(
                self.backbone(pixels(inputs.frames, self.to_token.weight.dtype)), self.grids, strict=True
            )
        )

    def forward(self, features: Features) -> Encoded:
        mask, (batch, frames) = features.frame_mask, features.frame_mask.shape
        maps = [rearrange(one, "b t c h w -> (b t) c h w") for one in features.visual]
        together, named = self.levels(maps), {}
        if self.spatial is not None:
            together, named = self.spatial(together)
        cells = rearrange(self.to_cells(together), "(b t) c h w -> b t (c h w)", b=batch)
        times_s = (torch.arange(frames, device=mask.device) + 0.5) * self.token_s
        tokens = self.to_token(cells) + self.place(8 * features.boxes - 3)
        if self.scene is not None:
            assert features.scene is not None
            tokens = tokens + self.scene(features.scene)
        return enhance(tokens, times_s, mask, self.temporal, named)


class AudioEncoder(nn.Module):
    """A step of the backbone's maps becomes a token of its bands; 5 to 10 a second, whatever its own rate."""

    def __init__(self, config: ModelConfig, clip: ClipConfig) -> None:
        super().__init__()
        self.backbone: AudioBackbone | None = audio_backbone(
            config.audio_backbone, config.audio_architecture, clip, config.hidden_layers
        )
        self.backbone.check_window(clip)
        self.step = self.backbone.step if self.backbone.step in OWN else TOKEN
        self.token_s, self.groups = self.step / SAMPLE_RATE, self.backbone.groups
        self.levels = levels(self.backbone, config.audio_backbone, config)
        kernels = config.spatial_scales if self.backbone.bands[0] > 1 else ()
        self.spatial = scales(SpatialScales, config.map_channels, kernels, config)
        self.bands = min(BANDS, self.backbone.bands[-len(self.levels.project)])
        self.to_token = nn.Linear(config.map_channels * self.bands, config.width)
        self.temporal = scales(
            TemporalScales, config.width, dilations_of(config.temporal_scales_s, self.token_s), config
        )

    def maps(self, inputs: Inputs) -> tuple[Maps, Bool[Tensor, "b l"]]:
        """Maps `(b, c, h, l)` and their mask, a step a token."""
        assert self.backbone is not None
        maps, mask = self.backbone(inputs.log_mel, inputs.waveform, inputs.mel_mask)
        return with_step(maps, mask, self.backbone, self.step, inputs.waveform.shape[1])

    def forward(self, features: Features) -> Encoded:
        mask = features.audio_mask
        together, named = self.levels(features.audio), {}
        if self.spatial is not None:
            together, named = self.spatial(together, mask)
        bands = F.adaptive_avg_pool2d(together, (self.bands, together.shape[-1]))
        tokens = self.to_token(rearrange(bands, "b c h l -> b l (c h)"))
        times_s = (torch.arange(tokens.shape[1], device=tokens.device) + 0.5) * self.token_s
        return enhance(tokens, times_s, mask, self.temporal, named)


def pixels(frames: UInt8[Tensor, "b t 3 s s"], dtype: torch.dtype) -> Float[Tensor, "n 3 s s"]:
    """All frames of all clips, in [0, 1]."""
    return rearrange(frames, "b t c h w -> (b t) c h w").to(dtype) / 255


def levels(backbone: VisualBackbone | AudioBackbone, name: str, config: ModelConfig) -> Levels:
    """All maps of a backbone, or without spatial scales the last one alone, brought together."""
    channels = backbone.channels if config.spatial_scales else backbone.channels[-1:]
    return Levels(channels, config.map_channels, norms=not is_small(name))


def enhance(
    tokens: Float[Tensor, "b l d"],
    times_s: Float[Tensor, " l"],
    mask: Bool[Tensor, "b l"],
    temporal: TemporalScales | None,
    named: dict[str, Tensor],
) -> Encoded:
    """Tokens with their times, through the temporal scales where there are some."""
    tokens = tokens + time_embedding(times_s, tokens.shape[-1])
    if temporal is None:
        return tokens * mask[..., None].to(tokens.dtype), times_s, named
    tokens, more = temporal(tokens, mask)
    return tokens, times_s, named | more


def scales(stage: type[Stage], channels: int, sizes: tuple[int, ...], config: ModelConfig) -> Stage | None:
    """A multi-scale stage; None without sizes."""
    return stage(channels, sizes, config.channel_attention) if sizes else None
