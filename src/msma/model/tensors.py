"""Inputs and outputs of the network as tensors; the shape letters are those of `msma.types`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, TypeVar

import torch
from jaxtyping import Bool, Float, UInt8
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from msma.types import SILENCE, InputArrays

SharedT = TypeVar("SharedT", bound="Shared")


@dataclass(frozen=True)
class Shared:
    """Tensors of Inputs and of Features: of one window, or of a batch when a leading axis `b` is there."""

    boxes: Float[Tensor, "*b t 4"]
    frame_mask: Bool[Tensor, "*b t"]
    present: Bool[Tensor, "*b 2"]
    audio_statistics: Float[Tensor, "*b r k2"]
    visual_statistics: Float[Tensor, "*b r k3"]
    segment_mask: Bool[Tensor, "*b r 2"]

    def to(self: SharedT, device: torch.device | str) -> SharedT:
        return replace(self, **{name: moved(value, device) for name, value in vars(self).items()})


@dataclass(frozen=True)
class Inputs(Shared):
    """The arrays of InputArrays as tensors."""

    frames: UInt8[Tensor, "*b t 3 s s"]
    log_mel: Float[Tensor, "*b m f"]
    mel_mask: Bool[Tensor, "*b f"]
    waveform: Float[Tensor, "*b n"]
    scene: UInt8[Tensor, "*b t 3 v v"] | None = None


@dataclass(frozen=True)
class Features(Shared):
    """Outputs of the backbones for Inputs; a modality that the network does not read has no channels."""

    visual: tuple[Float[Tensor, "*b t _c _g _g"], ...]
    """A map of each stride or hidden layer, fine to coarse."""
    audio: tuple[Float[Tensor, "*b _c _h l"], ...]
    audio_mask: Bool[Tensor, "*b l"]
    linear: Float[Tensor, "*b 3 5"] | None = None
    """Predictions of the linear path where they are known: in training, for clips that it was not fitted to."""
    scene: Float[Tensor, "*b t _c"] | None = None
    """The last map of each whole frame, pooled; None where the network reads none."""


@dataclass(frozen=True)
class ModelOutput:
    """The predictions of the network for a batch."""

    traits: Float[Tensor, "b 5"]
    """In [0, 1], OCEAN order."""
    quality: Float[Tensor, "b 2"]
    """Audio, visual, in [0, 1], means over the segments of the clip; 0 where the modality is missing."""
    weights: Float[Tensor, "b 2"]
    """Share of audio and visual in the prediction, mean over traits. The rest, up to 1, is the mean-label baseline's:
    all of it where both are missing."""
    intermediates: dict[str, Tensor] | None = None
    """Every named intermediate, where asked for."""

    @property
    def named(self) -> dict[str, Tensor]:
        """The intermediates; ValueError where they were not asked for."""
        if self.intermediates is None:
            raise ValueError("no intermediates: they need forward(..., return_intermediates=True)")
        return self.intermediates


Windows = TypeVar("Windows", Inputs, Features)
TIME_AXES = {
    **dict.fromkeys(("frames", "scene", "visual", "boxes", "frame_mask", "mel_mask", "waveform", "audio_mask"), 0),
    **dict.fromkeys(("audio_statistics", "visual_statistics", "segment_mask"), 0),
    "log_mel": 1,
    "audio": 2,
}
"""Which axis of a window's tensor is time."""


def inputs_of(window: InputArrays) -> Inputs:
    """The arrays of a window as tensors that share their memory."""
    arrays = {field.name: getattr(window, field.name) for field in fields(Inputs)}
    tensors: Any = {name: None if array is None else torch.from_numpy(array) for name, array in arrays.items()}
    return Inputs(**tensors)


def collate(windows: Sequence[Windows]) -> Windows:
    """Stack windows into a batch; shorter ones are padded at the end, and the padding is masked."""
    names = [field.name for field in fields(windows[0])]
    return replace(windows[0], **{name: stacked(name, [getattr(window, name) for window in windows]) for name in names})


def stacked(name: str, values: Sequence[Any]) -> Any:
    """A batch of one field of all windows; of each map where it is a tuple of maps, None where a window has none."""
    if isinstance(values[0], tuple):
        return tuple(stacked(name, maps) for maps in zip(*values, strict=True))
    if any(value is None for value in values):
        return None
    if (axis := TIME_AXES.get(name)) is None or all(value.shape == values[0].shape for value in values):
        return torch.stack(list(values))
    padding = SILENCE if name == "log_mel" else 0.0
    padded = pad_sequence([value.movedim(axis, 0) for value in values], batch_first=True, padding_value=padding)
    return padded.movedim(1, axis + 1).contiguous()


def moved(value: Any, device: torch.device | str) -> Any:
    """A tensor, a tuple of tensors or None on a device."""
    if isinstance(value, tuple):
        return tuple(moved(one, device) for one in value)
    return None if value is None else value.to(device)
