"""Small networks trained from scratch: no weights to fetch, for tests, the demonstration and plain faces."""

from __future__ import annotations

import itertools
import math

import torch
from einops import rearrange
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional as F

from msma.config import ClipConfig
from msma.media.audio import hop_samples
from msma.model.backbones.backbone import AudioBackbone, Maps, VisualBackbone
from msma.model.layers import ChannelNorm, ConvBlock, keep


class SmallVisualBackbone(VisualBackbone):
    """Five halvings of the frame, with norms over all of it: at each place they would blow up the noise of skin."""

    channels = (96, 128, 128)
    strides = (8, 16, 32)
    stages: nn.Sequential

    def __init__(self) -> None:
        super().__init__()
        first = nn.Sequential(halving(3, 24, nn.GroupNorm(8, 24)), nn.ReLU())
        rest = (
            nn.Sequential(halving(a, b, nn.GroupNorm(8, b)), nn.ReLU(), ConvBlock(b, nn.GroupNorm(8, b)))
            for a, b in itertools.pairwise((24, 48, *self.channels))
        )
        self.stages = nn.Sequential(first, *rest)

    def forward(self, frames: Float[Tensor, "n 3 s s"]) -> Maps:
        x, maps = (2 * frames - 1).contiguous(memory_format=torch.channels_last), []
        for stage in self.stages:
            maps.append(x := stage(x))
        return tuple(maps[-len(self.channels) :])


class SmallAudioBackbone(AudioBackbone):
    """Five halvings of the mel bands of the log-mel, the first two of its time too, with norms at each place, which
    padding elsewhere leaves.

    A prediction must not hang on where in a step a sound begins: time is blurred before it is halved (Zhang 2019), and
    a step is half a token long, so that a token is a weighted mean of several.
    """

    channels = (96, 128, 128)

    def __init__(self, clip: ClipConfig) -> None:
        super().__init__()
        widths = (1, 24, 48, *self.channels)
        self.time_strides = (2, 2, 1, 1, 1)
        self.halvings = nn.ModuleList(
            halving(a, b, ChannelNorm(b), (2, stride))
            for (a, b), stride in zip(itertools.pairwise(widths), self.time_strides, strict=True)
        )
        self.blocks = nn.ModuleList([nn.Identity(), *(ConvBlock(c, ChannelNorm(c)) for c in widths[2:])])
        self.stages = [nn.ModuleList(pair) for pair in zip(self.halvings, self.blocks, strict=True)]
        self.bands = tuple(-(-clip.mels // 2**halvings) for halvings in (3, 4, 5))
        self.step = self.reach = math.prod(self.time_strides) * hop_samples(clip)

    def forward(
        self, log_mel: Float[Tensor, "b m f"], waveform: Float[Tensor, "b n"], mask: Bool[Tensor, "b f"]
    ) -> tuple[Maps, Bool[Tensor, "b l"]]:
        x = rearrange(log_mel, "b m f -> b 1 m f").contiguous(memory_format=torch.channels_last)
        maps = []
        for half, block, stride in zip(self.halvings, self.blocks, self.time_strides, strict=True):
            x = keep(x, mask)
            x = half(x if stride == 1 else keep(blurred(x), mask))
            mask = mask[:, ::stride]
            x = keep(block(keep(torch.relu(x), mask)), mask)
            maps.append(x)
        return tuple(maps[-len(self.channels) :]), mask


def halving(channels_in: int, channels_out: int, norm: nn.Module, stride: int | tuple[int, int] = 2) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(channels_in, channels_out, 3, stride=stride, padding=1), norm)


def blurred(x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
    """Each step with a quarter of the one before and of the one behind it."""
    around = F.pad(x, (1, 1))
    return 0.5 * x + 0.25 * (around[..., :-2] + around[..., 2:])
