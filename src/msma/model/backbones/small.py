"""Small networks trained from scratch: no weights to fetch, for tests, the demonstration and plain faces."""

from __future__ import annotations

import itertools

import torch
from einops import rearrange
from jaxtyping import Bool, Float
from torch import Tensor, nn

from msma.config import ClipConfig
from msma.model.backbones.backbone import AudioBackbone, VisualBackbone
from msma.model.layers import ChannelNorm, ConvBlock, keep


class SmallVisualBackbone(VisualBackbone):
    """Three halvings of the frame, with norms over all of it: at each place they would blow up the noise of skin."""

    channels = 96
    stride = 8
    stages: nn.Sequential

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

    def forward(self, frames: Float[Tensor, "n 3 s s"]) -> Float[Tensor, "n c h w"]:
        return self.stages((2 * frames - 1).contiguous(memory_format=torch.channels_last))


class SmallAudioBackbone(AudioBackbone):
    """Three halvings of mel bands and time of the log-mel, with norms at each place, which padding elsewhere leaves."""

    channels = 96

    def __init__(self, clip: ClipConfig) -> None:
        super().__init__()
        widths = (1, 24, 48, 96)
        self.halvings = nn.ModuleList(halving(a, b, ChannelNorm(b)) for a, b in itertools.pairwise(widths))
        self.blocks = nn.ModuleList([nn.Identity(), *(ConvBlock(c, ChannelNorm(c)) for c in widths[2:])])
        self.stages = [nn.ModuleList(pair) for pair in zip(self.halvings, self.blocks, strict=True)]
        strides = 2 ** len(self.halvings)
        self.bands = -(-clip.mels // strides)
        self.token_s = clip.mel_hop_s * strides

    def forward(
        self, log_mel: Float[Tensor, "b m f"], waveform: Float[Tensor, "b n"], mask: Bool[Tensor, "b f"]
    ) -> tuple[Float[Tensor, "b c h l"], Bool[Tensor, "b l"]]:
        x = rearrange(log_mel, "b m f -> b 1 m f").contiguous(memory_format=torch.channels_last)
        for half, block in zip(self.halvings, self.blocks, strict=True):
            x = half(keep(x, mask))
            mask = mask[:, ::2]
            x = block(keep(torch.relu(x), mask))
        return keep(x, mask), mask


def halving(channels_in: int, channels_out: int, norm: nn.Module) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(channels_in, channels_out, 3, stride=2, padding=1), norm)
