"""The linear path: a ridge regression on pooled backbone features, from which the rest of the network steps away.

Ours, for small corpora: with tens of clips, a linear reading of good features is hard to beat and easy to ruin.
"""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from msma.model.layers import masked_mean
from msma.model.tensors import Features
from msma.types import TRAITS

READINGS = {"both": (0, 1), "audio": (0,), "visual": (1,)}
"""What is present → the modalities that are read (indices into MODALITIES)."""


ANYTHING = 1e30
BOX = 4
"""Numbers of a face's box, which count as channels."""


class LinearPath(nn.Module):
    """One linear map for each reading, fitted in closed form (`msma.training.ridge`), not by gradient."""

    both_weights: Tensor
    lowest: Tensor
    highest: Tensor

    def __init__(self, audio_channels: int, visual_channels: int) -> None:
        super().__init__()
        widths = (2 * audio_channels, 2 * (visual_channels + BOX) if visual_channels else 0)
        for reading, modalities in READINGS.items():
            width = sum(widths[m] for m in modalities)
            self.register_buffer(f"{reading}_weights", torch.zeros(width, len(TRAITS)))
            self.register_buffer(f"{reading}_bias", torch.full((len(TRAITS),), 0.5))
            # Of the features that it was fitted to. Further out a line says nothing: strange clips would get 0 or 1.
            self.register_buffer(f"{reading}_least", torch.full((width,), -ANYTHING))
            self.register_buffer(f"{reading}_most", torch.full((width,), ANYTHING))
        self.register_buffer("lowest", torch.zeros(len(TRAITS)))
        self.register_buffer("highest", torch.ones(len(TRAITS)))

    def forward(self, features: Features) -> Float[Tensor, "b 3 5"]:
        """The answer of each reading, in the order of READINGS, within the range of the labels of the fit."""
        pooled = [values.to(self.both_weights.dtype) for values in pool(features)]
        with torch.autocast(features.audio.device.type, enabled=False):  # what was solved in full precision
            answers = [
                torch.cat([pooled[m] for m in modalities], dim=1).clamp(
                    getattr(self, f"{reading}_least"), getattr(self, f"{reading}_most")
                )
                @ getattr(self, f"{reading}_weights")
                + getattr(self, f"{reading}_bias")
                for reading, modalities in READINGS.items()
            ]
        return torch.stack(answers, dim=1).clamp(self.lowest, self.highest)

    def fill(self, reading: str, weights: Float[Tensor, "p 5"], bias: Float[Tensor, " 5"]) -> None:
        getattr(self, f"{reading}_weights").copy_(weights)
        getattr(self, f"{reading}_bias").copy_(bias)

    def bound(self, reading: str, least: Float[Tensor, " p"], most: Float[Tensor, " p"]) -> None:
        """The range of each pooled feature; beyond it, the end of the range counts."""
        getattr(self, f"{reading}_least").copy_(least)
        getattr(self, f"{reading}_most").copy_(most)


def pool(features: Features) -> tuple[Float[Tensor, "b pa"], Float[Tensor, "b pv"]]:
    """Mean and standard deviation over the kept time of every channel: audio; visual, with the place of the face."""
    sound = features.audio.mean(dim=2).transpose(1, 2)
    pictures = features.visual.mean(dim=(3, 4))
    if pictures.shape[2]:
        pictures = torch.cat([pictures, features.boxes], dim=2)
    return statistics(sound, features.audio_mask), statistics(pictures, features.frame_mask)


def pooled_blocks(channels: tuple[int, ...]) -> list[np.ndarray]:
    """Where each of several groups of channels lies in what `statistics` makes of all of them."""
    ends, total = np.cumsum(channels), sum(channels)
    return [
        np.r_[end - count : end, total + end - count : total + end] for end, count in zip(ends, channels, strict=True)
    ]


def statistics(tokens: Float[Tensor, "b l c"], mask: Tensor) -> Float[Tensor, "b c2"]:
    mean = masked_mean(tokens, mask)
    variance = masked_mean((tokens - mean[:, None]) ** 2, mask)
    return torch.cat([mean, variance.sqrt()], dim=1)


def answer_of(present: Tensor, answers: Float[Tensor, "b 3 5"]) -> Float[Tensor, "b 5"]:
    """The answer of the reading that fits what is present `(b, 2)`; of `both` where nothing is."""
    audio, visual = present.unbind(dim=1)
    reading = torch.where(audio & ~visual, 1, torch.where(visual & ~audio, 2, 0))
    return answers[torch.arange(answers.shape[0], device=answers.device), reading]
