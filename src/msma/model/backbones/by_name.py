"""Backbones by name: the one place that knows which there are."""

from __future__ import annotations

from typing import cast

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from msma.config import ClipConfig, ConfigError
from msma.model.backbones.backbone import AudioBackbone, VisualBackbone
from msma.model.backbones.efficientnet import EfficientNetLite0
from msma.model.backbones.ge2e import Ge2e
from msma.model.backbones.mfcc import Mfcc
from msma.model.backbones.prosody import Prosody
from msma.model.backbones.small import SmallAudioBackbone, SmallVisualBackbone
from msma.model.backbones.transformers import HfAudio, HfVisual

HF = "hf:"
"""Prefix of the names of models of the transformers library; a repository or a folder follows."""
SMALL = "small"
"""The small backbone of a modality; with a colon and a name of weights behind it, that of a network trained before."""


class Stacked(AudioBackbone):
    """The channels of several backbones that share the grid of tokens, one above the other."""

    def __init__(self, parts: list[AudioBackbone], name: str) -> None:
        super().__init__()
        first = parts[0]
        if any((part.token_s, part.bands) != (first.token_s, first.bands) for part in parts):
            raise ConfigError(f"model.audio_backbone: {name!r} joins backbones whose tokens differ in time or bands")
        self.parts = nn.ModuleList(parts)
        self.channels = sum(part.channels for part in parts)
        self.bands, self.token_s = first.bands, first.token_s
        self.stages = [stage for part in parts for stage in part.stages]

    def check_window(self, clip: ClipConfig) -> None:
        for part in self.parts:
            cast(AudioBackbone, part).check_window(clip)

    @property
    def groups(self) -> tuple[int, ...]:
        return tuple(channels for part in self.parts for channels in cast(AudioBackbone, part).groups)

    def forward(
        self, log_mel: Float[Tensor, "b m f"], waveform: Float[Tensor, "b n"], mask: Bool[Tensor, "b f"]
    ) -> tuple[Float[Tensor, "b c h l"], Bool[Tensor, "b l"]]:
        maps, masks = zip(*(part(log_mel, waveform, mask) for part in self.parts), strict=True)
        together = torch.stack(masks).all(dim=0)
        return torch.cat(maps, dim=1) * together[:, None, None, :].to(maps[0].dtype), together


def is_small(name: str) -> bool:
    return name == SMALL or name.startswith(f"{SMALL}:")


def visual_backbone(name: str, architecture: dict | None) -> VisualBackbone:
    """Build a visual backbone without weights; `architecture` is for `hf:` names. ConfigError where it does not fit."""
    if is_small(name):
        return SmallVisualBackbone()
    if name == "efficientnet_lite0":
        return EfficientNetLite0()
    if name.startswith(HF):
        return HfVisual(architecture, name)
    known = "small, small:<weights>, efficientnet_lite0, hf:<repo or folder>"
    raise ConfigError(f"model.visual_backbone: {name!r} is unknown; known: {known}")


def audio_backbone(name: str, architecture: dict | None, clip: ClipConfig) -> AudioBackbone:
    """Build an audio backbone, or several as `a+b`, without weights, as `visual_backbone` does."""
    if is_small(name):
        return SmallAudioBackbone(clip)
    if name == "ge2e":
        return Ge2e()
    if name == "mfcc":
        return Mfcc(clip)
    if name == "prosody":
        return Prosody()
    if name.startswith(HF):
        return HfAudio(architecture, name)
    if "+" in name:
        return Stacked([audio_backbone(part, architecture, clip) for part in name.split("+")], name)
    known = "small, small:<weights>, ge2e, mfcc, prosody, hf:<repo or folder>, or several as ge2e+mfcc"
    raise ConfigError(f"model.audio_backbone: {name!r} is unknown; known: {known}")
