"""Backbones: pixels or log-mel to feature maps. The one seam where a pretrained encoder is put in."""

from __future__ import annotations

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
    """A small network trained from scratch: three halvings of the picture."""

    channels = 96

    def __init__(self) -> None:
        super().__init__()
        self.stem = Downsample(3, 24)
        self.stage2 = nn.Sequential(Downsample(24, 48), ConvBlock(48))
        self.stage3 = nn.Sequential(Downsample(48, 96), ConvBlock(96))

    def forward(self, pictures: Float[Tensor, "n 3 s s"]) -> Float[Tensor, "n c h w"]:
        x = (2 * pictures - 1).contiguous(memory_format=torch.channels_last)
        return self.stage3(self.stage2(torch.relu(self.stem(x))))


class SmallAudioBackbone(AudioBackbone):
    """A small network trained from scratch: three halvings of both mel bands and time."""

    channels = 96
    time_stride = 8

    def __init__(self) -> None:
        super().__init__()
        self.downsamples = nn.ModuleList([Downsample(1, 24), Downsample(24, 48), Downsample(48, 96)])
        self.blocks = nn.ModuleList([nn.Identity(), ConvBlock(48), ConvBlock(96)])

    def forward(self, log_mel: Float[Tensor, "b m f"], mask: Bool[Tensor, "b f"]) -> Float[Tensor, "b c h l"]:
        x = rearrange(log_mel, "b m f -> b 1 m f").contiguous(memory_format=torch.channels_last)
        for downsample, block in zip(self.downsamples, self.blocks, strict=True):
            x = downsample(keep(x, mask))
            mask = mask[:, ::2]
            x = block(keep(torch.relu(x), mask))
        return keep(x, mask)


class Downsample(nn.Sequential):
    def __init__(self, channels_in: int, channels_out: int) -> None:
        super().__init__(nn.Conv2d(channels_in, channels_out, 3, stride=2, padding=1), ChannelNorm(channels_out))


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
