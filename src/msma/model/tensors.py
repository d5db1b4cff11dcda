"""What the network is given and what it gives, as tensors; the shape letters are those of `msma.types`."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import torch
from jaxtyping import Bool, Float, UInt8
from torch import Tensor

from msma.types import SILENCE, InputArrays


@dataclass(frozen=True)
class Inputs:
    """What the network sees. Tensors of one window, or of a batch when a leading axis `b` is there."""

    frames: UInt8[Tensor, "*b t 3 s s"]
    """Face crops, RGB."""
    boxes: Float[Tensor, "*b t 4"]
    """Centre x, centre y, width, height of the face as a share of the picture."""
    frame_mask: Bool[Tensor, "*b t"]
    log_mel: Float[Tensor, "*b m f"]
    """Scaled to about [-1, 1]; silence is -1."""
    mel_mask: Bool[Tensor, "*b f"]
    waveform: Float[Tensor, "*b n"]
    """Mono, 16 kHz; zeros where there is no sound; n = f * samples of a hop."""
    present: Bool[Tensor, "*b 2"]
    """Audio, visual: is there anything to use at all?"""
    audio_statistics: Float[Tensor, "*b k2"]
    """Of the signal itself, for the quality head (`msma.media.quality_statistics`); zeros where it is missing."""
    visual_statistics: Float[Tensor, "*b k3"]

    def to(self, device: torch.device | str) -> Inputs:
        return Inputs(**moved(self, device))


@dataclass(frozen=True)
class Features:
    """What the backbones make of Inputs. Of a window, or of a batch when a leading axis `b` is there.

    A modality that the network does not read has no channels.
    """

    visual: Float[Tensor, "*b t c g g"]
    boxes: Float[Tensor, "*b t 4"]
    frame_mask: Bool[Tensor, "*b t"]
    audio: Float[Tensor, "*b c2 h l"]
    audio_mask: Bool[Tensor, "*b l"]
    present: Bool[Tensor, "*b 2"]
    audio_statistics: Float[Tensor, "*b k2"]
    visual_statistics: Float[Tensor, "*b k3"]
    linear: Float[Tensor, "*b 3 5"] | None = None
    """Answers of the linear path where they are known already: in training, for clips that it was not fitted to."""

    def to(self, device: torch.device | str) -> Features:
        return Features(**moved(self, device))


def moved(tensors: Inputs | Features, device: torch.device | str) -> dict[str, Any]:
    named = {field.name: getattr(tensors, field.name) for field in fields(tensors)}
    return {name: None if tensor is None else tensor.to(device) for name, tensor in named.items()}


@dataclass(frozen=True)
class ModelOutput:
    """The answer of the network for a batch."""

    traits: Float[Tensor, "b 5"]
    """In [0, 1], OCEAN order."""
    quality: Float[Tensor, "b 2"]
    """Audio, visual, in [0, 1]; 0 where the modality is missing."""
    weights: Float[Tensor, "b 2"]
    """Share of audio and visual in the fused summary; sums to 1, or to 0 where both are missing."""
    intermediates: dict[str, Tensor] | None = None
    """Every named intermediate, where asked for."""


def inputs_of(window: InputArrays) -> Inputs:
    """The arrays of a window as tensors that share their memory."""
    return Inputs(**{field.name: torch.from_numpy(getattr(window, field.name)) for field in fields(Inputs)})


def collate(windows: list[Inputs]) -> Inputs:
    """Stack windows into a batch; shorter ones are padded at the end, and the padding is masked."""
    frames = max(len(window.frames) for window in windows)
    steps = max(window.log_mel.shape[-1] for window in windows)
    samples = max(window.waveform.shape[-1] for window in windows)
    return Inputs(
        frames=torch.stack([pad(window.frames, 0, frames) for window in windows]),
        boxes=torch.stack([pad(window.boxes, 0, frames) for window in windows]),
        frame_mask=torch.stack([pad(window.frame_mask, 0, frames) for window in windows]),
        log_mel=torch.stack([pad(window.log_mel, 1, steps, SILENCE) for window in windows]),
        mel_mask=torch.stack([pad(window.mel_mask, 0, steps) for window in windows]),
        waveform=torch.stack([pad(window.waveform, 0, samples) for window in windows]),
        present=torch.stack([window.present for window in windows]),
        audio_statistics=torch.stack([window.audio_statistics for window in windows]),
        visual_statistics=torch.stack([window.visual_statistics for window in windows]),
    )


def collate_features(windows: list[Features]) -> Features:
    """Stack windows into a batch; shorter ones are padded at the end, and the padding is masked."""
    frames = max(len(window.frame_mask) for window in windows)
    tokens = max(len(window.audio_mask) for window in windows)
    linear = [window.linear for window in windows if window.linear is not None]
    return Features(
        visual=torch.stack([pad(window.visual, 0, frames) for window in windows]),
        boxes=torch.stack([pad(window.boxes, 0, frames) for window in windows]),
        frame_mask=torch.stack([pad(window.frame_mask, 0, frames) for window in windows]),
        audio=torch.stack([pad(window.audio, 2, tokens) for window in windows]),
        audio_mask=torch.stack([pad(window.audio_mask, 0, tokens) for window in windows]),
        present=torch.stack([window.present for window in windows]),
        audio_statistics=torch.stack([window.audio_statistics for window in windows]),
        visual_statistics=torch.stack([window.visual_statistics for window in windows]),
        linear=torch.stack(linear) if len(linear) == len(windows) else None,
    )


def pad(tensor: torch.Tensor, axis: int, length: int, value: float = 0) -> torch.Tensor:
    """Lengthen `axis` to `length` with `value`."""
    shape = list(tensor.shape)
    shape[axis] = length - shape[axis]
    return torch.cat([tensor, tensor.new_full(shape, value)], dim=axis)
