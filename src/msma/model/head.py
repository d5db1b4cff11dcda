"""The trait head: five traits in [0, 1], as a residual in logits on a linear prediction, and the path to that.

The linear path, a ridge regression on pooled backbone features, is ours, for small corpora: with tens of clips, a
linear map of good features is hard to beat and easy to ruin.
"""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from msma.model.layers import masked_statistics
from msma.model.tensors import Features
from msma.types import TRAITS

AVAILABLE = {"both": (0, 1), "audio": (0,), "visual": (1,)}
"""Available modalities → those that are read (indices into MODALITIES)."""
UNBOUNDED = 1e30
BOX = 4
"""Numbers of a face's box, which count as channels."""


class TraitHead(nn.Module):
    """A residual on what the linear path predicts, or on the mean-label baseline; none where nothing is present."""

    prior: Tensor
    """The mean-label baseline: the mean of the training labels."""

    def __init__(self, width: int, dropout: float) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.LayerNorm(width), nn.Linear(width, width), nn.GELU(), nn.Dropout(dropout), nn.Linear(width, len(TRAITS))
        )
        self.register_buffer("prior", torch.full((len(TRAITS),), 0.5))

    def forward(
        self, summary: Float[Tensor, "b d"], anything: Bool[Tensor, " b"], linear: Float[Tensor, "b 5"]
    ) -> Float[Tensor, "b 5"]:
        residual = self.layers(summary) * anything[:, None]
        return torch.sigmoid(torch.logit(linear, eps=1e-4) + residual)


class LinearPath(nn.Module):
    """A bimodal and two unimodal linear maps of channels (the face's box is among them), fitted by ridge regression."""

    both_weights: Tensor
    lowest: Tensor
    highest: Tensor

    def __init__(self, audio_channels: int, visual_channels: int) -> None:
        super().__init__()
        widths = 2 * audio_channels, 2 * visual_channels
        for available, modalities in AVAILABLE.items():
            width = sum(widths[m] for m in modalities)
            self.register_buffer(f"{available}_weights", torch.zeros(width, len(TRAITS)))
            self.register_buffer(f"{available}_bias", torch.full((len(TRAITS),), 0.5))
            # Of the features that it was fitted to. Further out a line says nothing: strange clips would get 0 or 1.
            self.register_buffer(f"{available}_min", torch.full((width,), -UNBOUNDED))
            self.register_buffer(f"{available}_max", torch.full((width,), UNBOUNDED))
        self.register_buffer("lowest", torch.zeros(len(TRAITS)))
        self.register_buffer("highest", torch.ones(len(TRAITS)))

    def forward(self, features: Features) -> Float[Tensor, "b 3 5"]:
        """Predictions in the order of AVAILABLE, within the range of the labels of the fit."""
        pooled = [values.to(self.both_weights.dtype) for values in pool(features)]
        predictions = []
        with torch.autocast(features.boxes.device.type, enabled=False):  # what was solved in full precision
            for available, modalities in AVAILABLE.items():
                weights, bias, low, high = (
                    getattr(self, f"{available}_{p}") for p in ("weights", "bias", "min", "max")
                )
                values = torch.cat([pooled[m] for m in modalities], dim=1).clamp(low, high)
                predictions.append(values @ weights + bias)
        return torch.stack(predictions, dim=1).clamp(self.lowest, self.highest)

    def fill(self, available: str, **values: Tensor) -> None:
        """Set `weights` (p, 5) and `bias` (5,), or `min` and `max` (p,): beyond these the end of the range counts."""
        for name, value in values.items():
            getattr(self, f"{available}_{name}").copy_(value)


def pool(features: Features) -> tuple[Float[Tensor, "b pa"], Float[Tensor, "b pv"]]:
    """Mean and standard deviation over the valid time of every channel of the last maps: audio; visual, with the place
    of the face and, where it is read, the whole frame."""
    audio, visual = features.audio[-1].mean(dim=2).transpose(1, 2), features.visual[-1].mean(dim=(3, 4))
    if visual.shape[2]:
        scene = () if features.scene is None else (features.scene,)
        visual = torch.cat([visual, features.boxes, *scene], dim=2)
    return masked_statistics(audio, features.audio_mask), masked_statistics(visual, features.frame_mask)


def pooled_blocks(channels: tuple[int, ...]) -> list[np.ndarray]:
    """Places of each of several groups of channels in what `masked_statistics` makes of all of them."""
    ends, total = np.cumsum(channels), sum(channels)
    return [
        np.r_[end - count : end, total + end - count : total + end] for end, count in zip(ends, channels, strict=True)
    ]


def linear_prediction(present: Tensor, predictions: Float[Tensor, "b 3 5"]) -> Float[Tensor, "b 5"]:
    """The prediction from what is present `(b, 2)`; of `both` where nothing is."""
    audio, visual = present.unbind(dim=1)
    available = torch.where(audio & ~visual, 1, torch.where(visual & ~audio, 2, 0))
    return predictions[torch.arange(predictions.shape[0], device=predictions.device), available]
