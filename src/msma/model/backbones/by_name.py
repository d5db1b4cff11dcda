"""Backbones by name: the one place that knows which there are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar, cast

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from msma.config import ClipConfig, ConfigError
from msma.model.backbones.backbone import TOKEN, AudioBackbone, Maps, VisualBackbone, with_step
from msma.model.backbones.efficientnet import EfficientNetLite0
from msma.model.backbones.ge2e import Ge2e
from msma.model.backbones.mfcc import Mfcc
from msma.model.backbones.prosody import Prosody
from msma.model.backbones.small import SmallAudioBackbone, SmallVisualBackbone
from msma.model.backbones.transformers import HfAudio, HfVisual

T = TypeVar("T")
HF = "hf:"
"""Prefix of the names of models of the transformers library; a repository or a folder follows."""
SMALL = "small"
"""The small backbone of a modality; with a colon and a name of weights behind it, that of a network trained before."""


class Stacked(AudioBackbone):
    """The channels of several backbones one above the other, level by level from the last, at one rate."""

    def __init__(self, parts: list[AudioBackbone], name: str) -> None:
        super().__init__()
        if any(bands != 1 for part in parts for bands in part.bands):
            raise ConfigError(f"model.audio_backbone: {name!r} joins backbones of which one has bands")
        self.parts = nn.ModuleList(parts)
        self.channels = tuple(sum(level) for level in by_level([part.channels for part in parts]))
        self.bands = (1,) * len(self.channels)
        rates = {(part.step, part.reach) for part in parts}
        self.step, self.reach = rates.pop() if len(rates) == 1 else (TOKEN, TOKEN)
        self.stages = [stage for part in parts for stage in part.stages]

    def check_window(self, clip: ClipConfig) -> None:
        for part in self.parts:
            cast(AudioBackbone, part).check_window(clip)

    @property
    def groups(self) -> tuple[int, ...]:
        return tuple(channels for part in self.parts for channels in cast(AudioBackbone, part).groups)

    def forward(
        self, log_mel: Float[Tensor, "b m f"], waveform: Float[Tensor, "b n"], mask: Bool[Tensor, "b f"]
    ) -> tuple[Maps, Bool[Tensor, "b l"]]:
        read = [self.at_step(cast(AudioBackbone, part), log_mel, waveform, mask) for part in self.parts]
        together = torch.stack([valid for _, valid in read]).all(dim=0)
        keep_valid = together[:, None, None, :].to(log_mel.dtype)
        return tuple(torch.cat(level, dim=1) * keep_valid for level in by_level([maps for maps, _ in read])), together

    def at_step(self, part: AudioBackbone, log_mel: Tensor, waveform: Tensor, mask: Tensor) -> tuple[Maps, Tensor]:
        maps, valid = part(log_mel, waveform, mask)
        return with_step(maps, valid, part, self.step, waveform.shape[1])


def is_small(name: str) -> bool:
    return name == SMALL or name.startswith(f"{SMALL}:")


def by_level(of_parts: Sequence[Sequence[T]]) -> list[list[T]]:
    """What each part has at each level, from the first that any of them has; their last ones stand together."""
    count = max(map(len, of_parts))
    return [[part[i - count] for part in of_parts if i - count >= -len(part)] for i in range(count)]


def visual_backbone(name: str, architecture: dict | None, hidden_layers: int = 1) -> VisualBackbone:
    """Build a visual backbone without weights; `architecture` and the number of `hidden_layers` that are read are for
    `hf:` names. ConfigError where it does not fit."""
    if is_small(name):
        return SmallVisualBackbone()
    if name == "efficientnet_lite0":
        return EfficientNetLite0()
    if name.startswith(HF):
        return HfVisual(architecture, name, hidden_layers)
    known = "small, small:<weights>, efficientnet_lite0, hf:<repo or folder>"
    raise ConfigError(f"model.visual_backbone: {name!r} is unknown; known: {known}")


def audio_backbone(name: str, architecture: dict | None, clip: ClipConfig, hidden_layers: int = 1) -> AudioBackbone:
    """Build an audio backbone, or several as `a+b`, without weights, as `visual_backbone` does."""
    if is_small(name):
        return SmallAudioBackbone(clip)
    if name == "ge2e":
        return Ge2e()
    if name == "mfcc":
        return Mfcc(clip)
    if name == "prosody":
        return Prosody()
    parts = name.split("+")
    if len(parts) > 1:
        if sum(part.startswith(HF) for part in parts) > 1:
            raise ConfigError(f"model.audio_backbone: {name!r} joins several {HF} models; name one")
        return Stacked([audio_backbone(part, architecture, clip, hidden_layers) for part in parts], name)
    if name.startswith(HF):
        return HfAudio(architecture, name, hidden_layers)
    known = "small, small:<weights>, ge2e, mfcc, prosody, hf:<repo or folder>, or several as ge2e+mfcc"
    raise ConfigError(f"model.audio_backbone: {name!r} is unknown; known: {known}")
