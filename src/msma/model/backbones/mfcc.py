"""Mel-frequency cepstral coefficients over time: what a voice is like, without any weights."""

from __future__ import annotations

import math
from typing import Any

import torch
from einops import rearrange
from jaxtyping import Bool, Float, Int64
from torch import Tensor
from torch.nn import functional as F

from msma.config import ClipConfig, ConfigError
from msma.model.backbones.backbone import STEP, WINDOW, AudioBackbone, Maps, sample_mask, valid_windows
from msma.model.layers import masked_statistics
from msma.types import SAMPLE_RATE

COEFFICIENTS = 20
REACH = 2
"""A slope is fitted to this many steps on either side."""
SPREAD = (0.1, *(0.025 / k**0.75 for k in range(1, COEFFICIENTS)))
"""How much the mean of each coefficient differs between windows of speech, roughly; the first is how loud it is."""
CENTRE_AND_SCALE = ((0.0, 1.0), (3.0, 0.7), (0.0, 3.0), (45.0, 12.0))
"""They bring mean, deviation, mean slope and deviation of slopes (per second) to about unit variance, in units of
SPREAD. Rough values for speech, fixed so that one clip's features do not depend on others."""


class Mfcc(AudioBackbone):
    """Mean and standard deviation of 20 MFCC and of their slopes, on the grid of utterance windows (80 channels)."""

    channels = (4 * COEFFICIENTS,)
    bands = (1,)
    step, reach = STEP, WINDOW
    stages = ()
    cosines: Tensor
    centre: Tensor
    scale: Tensor

    def __init__(self, clip: ClipConfig) -> None:
        super().__init__()
        if clip.mels < COEFFICIENTS:
            raise ConfigError(f"clip.mels: mfcc needs at least {COEFFICIENTS}, not {clip.mels}")
        # DCT-II, scaled so that coefficients do not depend on how many mel bands there are.
        angles = (torch.arange(clip.mels, device="cpu") + 0.5) * math.pi / clip.mels
        cosines = torch.cos(torch.arange(COEFFICIENTS, device="cpu")[:, None] * angles) / clip.mels
        self.register_buffer("cosines", cosines, persistent=False)
        spread = torch.tensor(SPREAD, device="cpu")
        self.register_buffer("centre", torch.cat([c * spread for c, _ in CENTRE_AND_SCALE]), persistent=False)
        self.register_buffer("scale", torch.cat([s * spread for _, s in CENTRE_AND_SCALE]), persistent=False)

    def forward(
        self, log_mel: Float[Tensor, "b m f"], waveform: Float[Tensor, "b n"], mask: Bool[Tensor, "b f"]
    ) -> tuple[Maps, Bool[Tensor, "b l"]]:
        windows = valid_windows(sample_mask(mask, waveform))
        hop = waveform.shape[1] // mask.shape[1]
        with torch.autocast(log_mel.device.type, enabled=False):  # slopes are small differences of large numbers
            mfcc = self.cosines @ torch.where(mask[:, None], log_mel.float(), 0.0)
            slopes, slope_mask = slopes_per_s(mfcc, mask, hop / SAMPLE_RATE)
        places, inside = steps_of_windows(hop, mask.shape[1], windows.shape[1], mask.device)
        parts = ((mfcc, mask), (slopes, slope_mask))
        values = torch.cat([of_windows(part[:, :, places], valid[:, places] & inside) for part, valid in parts], dim=1)
        values = (values - self.centre[:, None]) / self.scale[:, None]
        return ((values * windows[:, None].to(values.dtype))[:, :, None],), windows


def slopes_per_s(
    x: Float[Tensor, "b k f"], mask: Bool[Tensor, "b f"], hop_s: Any
) -> tuple[Float[Tensor, "b k f"], Bool[Tensor, "b f"]]:
    """Least-squares slopes per second, and where all the steps that they need are valid."""
    reach = range(-REACH, REACH + 1)
    around = F.pad(x, (REACH, REACH)).unfold(2, len(reach), 1)
    weights = torch.tensor(reach, dtype=x.dtype, device=x.device) / (hop_s * sum(i * i for i in reach))
    return around @ weights, F.pad(mask, (REACH, REACH)).unfold(1, len(reach), 1).all(dim=2)


def steps_of_windows(
    hop: Any, steps: Any, windows: Any, device: torch.device
) -> tuple[Int64[Tensor, "l w"], Bool[Tensor, "l w"]]:
    """The log-mel steps whose centre lies in each window, and which of the places of that table are in use.

    Sizes are ints, or lengths that an export leaves open; none is negative, which ONNX rounds the other way.
    """
    starts = torch.arange(windows, device=device)[:, None] * STEP
    first = (2 * starts + hop - 1) // (2 * hop)  # the first j with (j + 0.5) * hop >= start
    places = first + torch.arange((WINDOW + hop - 1) // hop, device=device)
    inside = (places < steps) & ((2 * places + 1) * hop < 2 * (starts + WINDOW))
    return places.clamp(max=steps - 1), inside


def of_windows(x: Float[Tensor, "b k l w"], mask: Bool[Tensor, "b l w"]) -> Float[Tensor, "b k2 l"]:
    """Mean and standard deviation over the valid steps of each window."""
    steps, valid = rearrange(x, "b k l w -> (b l) w k"), rearrange(mask, "b l w -> (b l) w")
    return rearrange(masked_statistics(steps, valid), "(b l) k -> b k l", b=mask.shape[0])
