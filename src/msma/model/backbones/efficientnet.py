"""EfficientNet-Lite0 (Tan and Le 2019; the Lite family, 2020) up to the map before pooling.

Lite: no squeeze and excitation, ReLU6 for SiLU, the same stem and head in every size.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from msma.model.backbones.backbone import Maps, VisualBackbone

STEM, HEAD = 32, 1280
GROUPS = (
    # blocks, kernel, stride, expansion, channels
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)
PIXEL_MEAN, PIXEL_SCALE = 127 / 255, 128 / 255
"""As published for these weights (MEAN_RGB 127, STDDEV_RGB 128), and not ImageNet's usual mean and deviation."""


class EfficientNetLite0(VisualBackbone):
    """The last maps of strides 8 and 16 and that after the last convolution; published for frames of 224 x 224, takes
    any side."""

    channels = (40, 112, HEAD)
    strides = (8, 16, 32)
    stages: nn.Sequential

    def __init__(self) -> None:
        super().__init__()
        groups, channels_in = [], STEM
        for blocks, kernel, stride, expansion, channels in GROUPS:
            first = InvertedResidual(channels_in, channels, kernel, stride, expansion)
            rest = (InvertedResidual(channels, channels, kernel, 1, expansion) for _ in range(blocks - 1))
            groups.append(nn.Sequential(first, *rest))
            channels_in = channels
        stem, head = ConvNorm(3, STEM, 3, stride=2), ConvNorm(channels_in, HEAD, 1)
        self.stages = nn.Sequential(nn.Sequential(stem, nn.ReLU6()), *groups, nn.Sequential(head, nn.ReLU6()))

    def forward(self, frames: Float[Tensor, "n 3 s s"]) -> Maps:
        x, maps = ((frames - PIXEL_MEAN) / PIXEL_SCALE).contiguous(memory_format=torch.channels_last), []
        for stage in self.stages:
            maps.append(x := stage(x))
        return maps[3], maps[5], maps[-1]


class InvertedResidual(nn.Module):
    """Expand, depthwise, project (Sandler et al. 2018); residual where the shape stays."""

    def __init__(self, channels_in: int, channels: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        hidden = expansion * channels_in
        expand = [ConvNorm(channels_in, hidden, 1), nn.ReLU6()] if expansion > 1 else []
        depthwise = ConvNorm(hidden, hidden, kernel, stride, groups=hidden)
        self.layers = nn.Sequential(*expand, depthwise, nn.ReLU6(), ConvNorm(hidden, channels, 1))
        self.residual = stride == 1 and channels_in == channels

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n d i j"]:
        return x + self.layers(x) if self.residual else self.layers(x)


class ConvNorm(nn.Module):
    """Convolution with TensorFlow's SAME padding (the odd pixel goes to the end), then BatchNorm."""

    def __init__(self, channels_in: int, channels: int, kernel: int, stride: int = 1, groups: int = 1) -> None:
        super().__init__()
        self.kernel, self.stride = kernel, stride
        self.conv = nn.Conv2d(channels_in, channels, kernel, stride, groups=groups, bias=False)
        self.norm = nn.BatchNorm2d(channels, eps=1e-3)

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n d i j"]:
        rows, columns = (same_padding(side, self.kernel, self.stride) for side in x.shape[-2:])
        if rows[0] == rows[1] and columns[0] == columns[1]:  # the convolution pads by itself, without a copy
            x = F.conv2d(x, self.conv.weight, None, self.stride, (rows[0], columns[0]), groups=self.conv.groups)
        else:
            x = self.conv(F.pad(x, columns + rows))
        return self.norm(x)


def same_padding(side: int, kernel: int, stride: int) -> tuple[int, int]:
    """Pixels before and after, so that the result has ceil(side / stride)."""
    missing = max((-(-side // stride) - 1) * stride + kernel - side, 0)
    return missing // 2, missing - missing // 2
