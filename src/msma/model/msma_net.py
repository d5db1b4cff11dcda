"""MsMA-Net: two branches, multi-scale feature enhancement, cross-attention fusion, modal enhancement, trait head."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from msma.config import ClipConfig, ModelConfig
from msma.model.encoders import AudioEncoder, VisualEncoder
from msma.model.fusion import CrossAttentionFusion
from msma.model.head import TraitHead
from msma.model.layers import AttentiveStatistics
from msma.model.modal import Imputer, MissingToken, QualityHead, modality_weights
from msma.traits import MODALITIES
from msma.types import Inputs, ModelOutput


@dataclass(frozen=True)
class Branch:
    """Tokens of one modality after multi-scale enhancement."""

    tokens: Float[Tensor, "b l d"]
    mask: Bool[Tensor, "b l"]
    present: Bool[Tensor, " b"]


class MsMANet(nn.Module):
    """The whole network. `fusion: audio | visual` reads that modality only: the other one's encoder is not built.

    `forward` reads a batch as it is. With `return_intermediates` it also gives every named intermediate; a network that
    reads both modalities then also gives `audio_traits` and `visual_traits`, its answers from one of them alone, and
    `imputed_audio` and `imputed_visual`, what it puts in the place of the other, from the same encoder pass.
    """

    def __init__(self, config: ModelConfig, clip: ClipConfig) -> None:
        super().__init__()
        width = config.width
        self.width = width
        self.by_quality = config.quality_weighting
        self.reads = (config.fusion,) if config.fusion in MODALITIES else MODALITIES
        self.audio_encoder = AudioEncoder(config, clip) if "audio" in self.reads else None
        self.visual_encoder = VisualEncoder(config, clip) if "visual" in self.reads else None
        self.missing = per_modality(lambda: MissingToken(width, learned=self.reads == MODALITIES))
        self.quality_pool = per_modality(lambda: AttentiveStatistics(width), self.reads)
        self.quality_head = per_modality(lambda: QualityHead(width), self.reads)
        crosses = config.fusion == "cross_attention"
        self.fusion = CrossAttentionFusion(width, config.heads, config.dropout) if crosses else None
        self.pool = per_modality(lambda: AttentiveStatistics(width), self.reads)
        imputes = config.imputation and self.reads == MODALITIES
        self.imputer = per_modality(lambda: Imputer(width)) if imputes else None
        self.head = TraitHead(2 * width, config.dropout)

    def forward(self, inputs: Inputs, *, return_intermediates: bool = False) -> ModelOutput:
        audio, audio_scales = self.encode_audio(inputs)
        visual, visual_scales = self.encode_visual(inputs)
        output, named = self.read(audio, visual)
        if not return_intermediates:
            return output
        named |= audio_scales | visual_scales
        if self.reads != MODALITIES:
            return replace(output, intermediates=named)
        audio_alone, from_audio = self.read(audio, without(visual))
        visual_alone, from_visual = self.read(without(audio), visual)
        named |= {"audio_traits": audio_alone.traits, "visual_traits": visual_alone.traits}
        named |= {"imputed_audio": from_visual["stand_in"][:, 0], "imputed_visual": from_audio["stand_in"][:, 1]}
        return replace(output, intermediates=named)

    def read(self, audio: Branch, visual: Branch) -> tuple[ModelOutput, dict[str, Tensor]]:
        """Fusion, modal enhancement and head, for whatever is present."""
        present = torch.stack([audio.present, visual.present], dim=1)
        audio, visual = self.fill("audio", audio), self.fill("visual", visual)
        quality = torch.stack([self.quality("audio", audio), self.quality("visual", visual)], dim=1)
        summaries, attention = self.fuse(audio, visual)
        stand_in = self.impute(summaries)
        weights = modality_weights(quality, present, self.by_quality)
        fused = torch.where(present[..., None], 2 * weights[..., None] * summaries, stand_in)
        traits = self.head(fused.flatten(1), present.any(dim=1))
        named = attention | {"summaries": summaries, "stand_in": stand_in, "fused": fused}
        return ModelOutput(traits, quality, weights), named

    def encode_audio(self, inputs: Inputs) -> tuple[Branch, dict[str, Tensor]]:
        if self.audio_encoder is None:
            return self.unread(inputs), {}
        tokens, mask, scales = self.audio_encoder(inputs.log_mel, inputs.mel_mask)
        return Branch(tokens, mask, inputs.present[:, 0] & mask.any(dim=1)), prefixed("audio", scales)

    def encode_visual(self, inputs: Inputs) -> tuple[Branch, dict[str, Tensor]]:
        if self.visual_encoder is None:
            return self.unread(inputs), {}
        mask = inputs.frame_mask
        tokens, scales = self.visual_encoder(inputs.frames, inputs.boxes, mask)
        return Branch(tokens, mask, inputs.present[:, 1] & mask.any(dim=1)), prefixed("visual", scales)

    def unread(self, inputs: Inputs) -> Branch:
        clips, device = inputs.present.shape[0], inputs.present.device
        nothing = torch.zeros(clips, 1, dtype=torch.bool, device=device)
        return Branch(torch.zeros(clips, 1, self.width, device=device), nothing, nothing[:, 0])

    def fill(self, modality: str, branch: Branch) -> Branch:
        tokens, mask = self.missing[modality](branch.tokens, branch.mask, branch.present)
        return Branch(tokens, mask, branch.present)

    def quality(self, modality: str, branch: Branch) -> Float[Tensor, " b"]:
        if modality not in self.reads:
            return torch.zeros_like(branch.present, dtype=branch.tokens.dtype)
        summary = self.quality_pool[modality](branch.tokens, branch.mask)
        return self.quality_head[modality](summary, branch.present)

    def fuse(self, audio: Branch, visual: Branch) -> tuple[Float[Tensor, "b 2 d"], dict[str, Tensor]]:
        """One summary a modality, enriched by the other one where fusion is by cross-attention."""
        a, v, attention = audio.tokens, visual.tokens, {}
        if self.fusion is not None:
            a, v, attention = self.fusion(a, audio.mask, v, visual.mask)
        summaries = [self.summary("audio", a, audio.mask), self.summary("visual", v, visual.mask)]
        return torch.stack(summaries, dim=1), attention

    def summary(self, modality: str, tokens: Float[Tensor, "b l d"], mask: Bool[Tensor, "b l"]) -> Float[Tensor, "b d"]:
        """Of a modality that is never read, nothing (zeros)."""
        return self.pool[modality](tokens, mask) if modality in self.reads else tokens[:, 0]

    def impute(self, summaries: Float[Tensor, "b 2 d"]) -> Float[Tensor, "b 2 d"]:
        """What stands in for a missing modality: what its learned token gave, and an estimate from the other one."""
        if self.imputer is None:
            return summaries
        audio, visual = summaries.unbind(dim=1)
        return summaries + torch.stack([self.imputer["audio"](visual), self.imputer["visual"](audio)], dim=1)


def per_modality(build: Callable[[], nn.Module], modalities: tuple[str, ...] = MODALITIES) -> nn.ModuleDict:
    return nn.ModuleDict({modality: build() for modality in modalities})


def prefixed(modality: str, named: dict[str, Tensor]) -> dict[str, Tensor]:
    return {f"{modality}_{name}": tensor for name, tensor in named.items()}


def without(branch: Branch) -> Branch:
    return replace(branch, present=torch.zeros_like(branch.present))
