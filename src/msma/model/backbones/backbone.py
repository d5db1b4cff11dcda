"""What a backbone is: the one seam where a pretrained encoder is put in. `backbones.py` builds them by name."""

from __future__ import annotations

from collections.abc import Sequence

from jaxtyping import Bool, Float
from torch import Tensor, nn

Stages = Sequence[nn.Module] | nn.Sequential | nn.ModuleList


class VisualBackbone(nn.Module):
    """Maps pictures in [0, 1] to feature maps, scaling pixels itself; a side of s becomes ceil(s / stride)."""

    channels: int
    stride: int
    """Pixels of a picture's side to one of its map's."""
    stages: Stages
    """Its parts from the input on; every parameter belongs to one. For training only the last of them."""

    def forward(self, pictures: Float[Tensor, "n 3 s s"]) -> Float[Tensor, "n c h w"]:
        raise NotImplementedError


class AudioBackbone(nn.Module):
    """Maps sound to feature maps over bands and time, and says which steps of them are kept.

    It is given both forms of the sound, of f log-mel steps and n = f * hop samples, and reads the one it likes; `mask`
    says which steps are kept. What is masked must not reach what is kept, and is zero in the maps.
    """

    channels: int
    bands: int
    """Height of the map; 1 where it has no bands."""
    token_s: float
    """Seconds from one step of the map to the next."""
    stages: Stages
    """Its parts from the input on; every parameter belongs to one. For training only the last of them."""

    @property
    def groups(self) -> tuple[int, ...]:
        """Channels of each kind of feature in the map; they sum to `channels`."""
        return (self.channels,)

    def forward(
        self, log_mel: Float[Tensor, "b m f"], waveform: Float[Tensor, "b n"], mask: Bool[Tensor, "b f"]
    ) -> tuple[Float[Tensor, "b c h l"], Bool[Tensor, "b l"]]:
        raise NotImplementedError
