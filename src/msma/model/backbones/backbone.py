"""The backbone interface, where a pretrained encoder is put in (`by_name.py` builds them), and a grid that some share.

Utterance windows are 1.6 s every 0.8 s, as GE2E was trained and is read.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from msma.config import ClipConfig
from msma.types import SAMPLE_RATE

Stages = Sequence[nn.Module] | nn.Sequential | nn.ModuleList
WINDOW_S, STEP_S = 1.6, 0.8
WINDOW, STEP = round(WINDOW_S * SAMPLE_RATE), round(STEP_S * SAMPLE_RATE)
"""In samples."""
TOKEN = 2000
"""Samples of an audio token, an eighth of a second, where a backbone's own steps are shorter or longer."""
OWN = range(1600, 3201)
"""Samples of a backbone's steps that are taken as tokens as they are: 5 to 10 a second."""
COVERAGE = 0.75
"""A window counts if this share of it is valid (Resemblyzer's value, for its last window)."""


Maps = tuple[Tensor, ...]
"""Feature maps of several strides or hidden layers, fine to coarse; the last one is the backbone's output."""


class VisualBackbone(nn.Module):
    """Maps frames in [0, 1] to feature maps, scaling pixels itself; a side of s becomes ceil(s / stride)."""

    channels: tuple[int, ...]
    """Of each map."""
    strides: tuple[int, ...]
    """Pixels of a frame's side to one of each map's."""
    stages: Stages
    """Its parts from the input on; every parameter belongs to one. For training only the last of them."""

    def train(self, mode: bool = True) -> VisualBackbone:
        """Training mode, but for every BatchNorm: its statistics are part of what was learned.

        Those of a small batch of faces, 15 s of one person each, would depend on who is beside whom in the batch, and
        would differ from what evaluation uses.
        """
        super().train(mode)
        for module in self.modules():
            if isinstance(module, nn.modules.batchnorm._BatchNorm):
                module.eval()
        return self

    def check_window(self, clip: ClipConfig) -> None:
        """ConfigError where it takes more memory for a window than `ClipConfig` knows of."""

    def forward(self, frames: Float[Tensor, "n 3 s s"]) -> Maps:
        """Maps `(n, c, h, w)`."""
        raise NotImplementedError


class AudioBackbone(nn.Module):
    """Maps audio to feature maps over bands and time, and returns which of their steps are valid.

    It gets both forms of the audio, of f log-mel steps and n = f * hop samples, and reads the one it likes; `mask` is
    True at valid steps. What is masked must not reach what is valid, and is zero in the maps. All maps have the same
    steps.
    """

    channels: tuple[int, ...]
    """Of each map."""
    bands: tuple[int, ...]
    """Height of each map; 1 where it has no bands."""
    step: int
    """Samples from one step of the maps to the next."""
    reach: int
    """Samples that a step is made of, about; the first step begins with the waveform."""
    stages: Stages
    """Its parts from the input on; every parameter belongs to one. For training only the last of them."""

    @property
    def groups(self) -> tuple[int, ...]:
        """Channels of each kind of feature in the last map; they sum to its channels."""
        return self.channels[-1:]

    def check_window(self, clip: ClipConfig) -> None:
        """ConfigError where it takes more memory for a window than `ClipConfig` knows of."""

    def forward(
        self, log_mel: Float[Tensor, "b m f"], waveform: Float[Tensor, "b n"], mask: Bool[Tensor, "b f"]
    ) -> tuple[Maps, Bool[Tensor, "b l"]]:
        """Maps `(b, c, h, l)` and their mask."""
        raise NotImplementedError


def at_rate(
    maps: Float[Tensor, "b c h l"], mask: Bool[Tensor, "b l"], step: int, reach: int, to: int, samples: Any
) -> tuple[Float[Tensor, "b c h m"], Bool[Tensor, "b m"]]:
    """Maps with a step of `to` samples instead of `step`, for all `samples` (a length that an export may leave open).

    Each is the mean of the steps around it, the nearer ones counting more (a triangle as wide as the longer of the two
    steps, which blocks aliases), so that a finer rate is linear interpolation. It is valid where at least half of what
    it would be made of is. What lies before the middle of the first step or behind that of a clip's last valid one, as
    far as these reach, is theirs.
    """
    steps = (samples + to - 1) // to
    came = torch.arange(maps.shape[-1], device=maps.device) * step + reach / 2
    goes = (torch.arange(steps, device=maps.device) + 0.5) * to
    last = (came * mask).amax(dim=1, keepdim=True)
    reached = goes <= last + max(reach, to) / 2
    goes = torch.minimum(torch.maximum(goes, came[0]), last)
    # In samples, without rounding, so that half is half wherever this runs.
    near = (max(step, to) - (goes[..., None] - came).abs()).clamp(min=0) * (came <= last)[:, None]
    valid = near * mask[:, None]
    total, most = valid.sum(dim=2), near.sum(dim=2)
    found = reached & (total > 0) & (2 * total >= most)
    shares = valid / total.clamp(min=0.5)[..., None] * found[..., None]
    return torch.einsum("bchl,bml->bchm", maps, shares.to(maps.dtype)), found


def with_step(
    maps: Maps, mask: Bool[Tensor, "b l"], backbone: AudioBackbone, step: int, samples: Any
) -> tuple[Maps, Bool[Tensor, "b m"]]:
    """All maps of a backbone with this step, as `at_rate`; as they are where that is their own."""
    if step == backbone.step:
        return maps, mask
    found = [at_rate(one, mask, backbone.step, backbone.reach, step, samples) for one in maps]
    return tuple(one for one, _ in found), found[0][1]


def window_count(samples: Any) -> Any:
    """As many windows as cover all samples (an int, or a length that an export leaves open), at least one."""
    # No max(), which an export would settle for good; no negative numbers, which ONNX rounds the other way.
    return (torch.sym_max(samples, WINDOW) - WINDOW + STEP - 1) // STEP + 1


def sample_mask(mask: Bool[Tensor, "*b f"], waveform: Float[Tensor, "*b n"]) -> Bool[Tensor, "*b n"]:
    """The mask of log-mel steps, sample by sample."""
    return mask[..., None].expand(*mask.shape, waveform.shape[-1] // mask.shape[-1]).flatten(-2)


def valid_windows(valid: Bool[Tensor, "b n"]) -> Bool[Tensor, "b l"]:
    """Windows of which enough is valid, whatever padding follows; where there is none, the one with most, if any."""
    windows = window_count(valid.shape[1])
    # Half windows: each is one step, and a window is two of them.
    filled = torch.nn.functional.pad(valid.long(), (0, (windows + 1) * STEP - valid.shape[1]))
    halves = filled.unflatten(1, (windows + 1, STEP)).sum(dim=2)
    covered = halves[:, :-1] + halves[:, 1:]
    enough = covered >= COVERAGE * WINDOW
    most = (covered == covered.amax(dim=1, keepdim=True)) & (covered > 0)
    first_of_most = most & (most.long().cumsum(dim=1) == 1)
    return enough | (first_of_most & ~enough.any(dim=1, keepdim=True))
