"""Backbones: pixels or log-mel to feature maps. The one seam where a pretrained encoder is put in."""

from __future__ import annotations

import itertools

import torch
from einops import rearrange
from jaxtyping import Bool, Float
from torch import Tensor, nn

from msma.config import ConfigError
from msma.model.layers import ChannelNorm, ConvBlock


class VisualBackbone(nn.Module):
    """Maps pictures in [0, 1] `(n, 3, s, s)` to feature maps `(n, channels, h, w)`, scaling pixels itself."""

    channels: int


class AudioBackbone(nn.Module):
    """Maps log-mel `(b, m, f)` and its mask to feature maps `(b, channels, h, l)` with l = ceil(f / time_stride).

    What is masked must not reach what is kept.
    """

    channels: int
    time_stride: int


class SmallVisualBackbone(VisualBackbone):
    """A small network trained from scratch: three halvings of the picture.

    Its norms are over whole pictures. One at each place would blow up the noise of flat skin, and with it who it is.
    """

    channels = 96

    def __init__(self) -> None:
        super().__init__()
        self.stages = nn.Sequential(
            halving(3, 24, nn.GroupNorm(8, 24)),
            nn.ReLU(),
            halving(24, 48, nn.GroupNorm(8, 48)),
            nn.ReLU(),
            ConvBlock(48, nn.GroupNorm(8, 48)),
            halving(48, 96, nn.GroupNorm(8, 96)),
            nn.ReLU(),
            ConvBlock(96, nn.GroupNorm(8, 96)),
        )

    def forward(self, pictures: Float[Tensor, "n 3 s s"]) -> Float[Tensor, "n c h w"]:
        return self.stages((2 * pictures - 1).contiguous(memory_format=torch.channels_last))


class SmallAudioBackbone(AudioBackbone):
    """A small network trained from scratch: three halvings of both mel bands and time.

    Its norms are at each place, so that padding elsewhere changes nothing.
    """

    channels = 96
    time_stride = 8

    def __init__(self) -> None:
        super().__init__()
        widths = (1, 24, 48, 96)
        self.halvings = nn.ModuleList(halving(a, b, ChannelNorm(b)) for a, b in itertools.pairwise(widths))
        self.blocks = nn.ModuleList([nn.Identity(), *(ConvBlock(c, ChannelNorm(c)) for c in widths[2:])])

    def forward(self, log_mel: Float[Tensor, "b m f"], mask: Bool[Tensor, "b f"]) -> Float[Tensor, "b c h l"]:
        x = rearrange(log_mel, "b m f -> b 1 m f").contiguous(memory_format=torch.channels_last)
        for half, block in zip(self.halvings, self.blocks, strict=True):
            x = half(keep(x, mask))
            mask = mask[:, ::2]
            x = block(keep(torch.relu(x), mask))
        return keep(x, mask)


def halving(channels_in: int, channels_out: int, norm: nn.Module) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(channels_in, channels_out, 3, stride=2, padding=1), norm)


def keep(x: Float[Tensor, "b c h f"], mask: Bool[Tensor, "b f"]) -> Float[Tensor, "b c h f"]:
    """Zero the masked time steps, as if the clip ended there."""
    return x * mask[:, None, None, :].to(x.dtype)


def visual_backbone(name: str) -> VisualBackbone:
    """Build a visual backbone by name.

    Raises:
        ConfigError: unknown name.
    """
    if name == "small":
        return SmallVisualBackbone()
    raise ConfigError(f"model.visual_backbone: {name!r} is unknown; known: small")


def audio_backbone(name: str) -> AudioBackbone:
    """Build an audio backbone by name.

    Raises:
        ConfigError: unknown name.
    """
    if name == "small":
        return SmallAudioBackbone()
    raise ConfigError(f"model.audio_backbone: {name!r} is unknown; known: small")
