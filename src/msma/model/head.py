"""The trait head: fully connected, five traits in [0, 1], as a step away from a first answer."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from msma.types import TRAITS


class TraitHead(nn.Module):
    """A step away from a first answer: the prior (mean of the training labels) or that of the linear path.

    Where nothing at all is present no step is taken.
    """

    prior: Tensor

    def __init__(self, width: int, dropout: float) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.LayerNorm(width), nn.Linear(width, width), nn.GELU(), nn.Dropout(dropout), nn.Linear(width, len(TRAITS))
        )
        self.register_buffer("prior", torch.full((len(TRAITS),), 0.5))

    def forward(
        self, summary: Float[Tensor, "b d"], anything: Bool[Tensor, " b"], first: Float[Tensor, "b 5"]
    ) -> Float[Tensor, "b 5"]:
        step = self.layers(summary) * anything[:, None]
        return torch.sigmoid(torch.logit(first, eps=1e-4) + step)
