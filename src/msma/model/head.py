"""The trait head: fully connected, five traits in [0, 1], as a residual in logits on a linear prediction."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from msma.types import TRAITS


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
