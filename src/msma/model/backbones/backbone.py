"""The backbone interface, where a pretrained encoder is put in. `by_name.py` builds them."""

from __future__ import annotations

from collections.abc import Sequence

from jaxtyping import Bool, Float
from torch import Tensor, nn

Stages = Sequence[nn.Module] | nn.Sequential | nn.ModuleList


class VisualBackbone(nn.Module):
    """Maps frames in [0, 1] to feature maps, scaling pixels itself; a side of s becomes ceil(s / stride)."""

    channels: int
    stride: int
    """Pixels of a frame's side to one of its map's."""
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

    def forward(self, frames: Float[Tensor, "n 3 s s"]) -> Float[Tensor, "n c h w"]:
        raise NotImplementedError


class AudioBackbone(nn.Module):
    """Maps audio to feature maps over bands and time, and returns which of their steps are valid.

    It gets both forms of the audio, of f log-mel steps and n = f * hop samples, and reads the one it likes; `mask` is
    True at valid steps. What is masked must not reach what is valid, and is zero in the maps.
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
