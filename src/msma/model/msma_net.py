"""MsMA-Net: two branches, multi-scale feature enhancement, cross-attention fusion, modal enhancement, trait head."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, replace

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from msma.config import ClipConfig, ModelConfig
from msma.model.backbones.backbone import Maps
from msma.model.encoders import AudioEncoder, SceneEncoder, VisualEncoder
from msma.model.fusion import CrossAttentionFusion, Tokens
from msma.model.head import LinearPath, TraitHead, linear_prediction
from msma.model.layers import AttentiveStatistics
from msma.model.modal_enhancement import (
    Imputer,
    MissingToken,
    QualityHead,
    equal_weights,
    mean_quality,
    quality_at,
)
from msma.model.tensors import Features, Inputs, ModelOutput, Shared
from msma.model.weighting import AdaptiveWeighting
from msma.types import AUDIO_STATISTICS, MODALITIES, VISUAL_STATISTICS, MsmaError


@dataclass(frozen=True)
class Branch:
    """Tokens of one modality after multi-scale enhancement."""

    tokens: Float[Tensor, "b l d"]
    mask: Bool[Tensor, "b l"]
    times_s: Float[Tensor, " l"]
    """The middle of each token, from the start of the window."""
    present: Bool[Tensor, " b"]
    quality: Float[Tensor, " b"]
    """Predicted, of what is present."""
    token_quality: Float[Tensor, "b l"]
    """Predicted, of the segment that the token lies in; 1 for the token of what is missing. Without gradient: quality
    is learned from the injected severity alone, so that it stays a number that can be checked."""


class MsMANet(nn.Module):
    """The whole network. `fusion: audio | visual` reads that modality only: the other one's encoder is not built.

    With `return_intermediates`, `forward` also gives every named intermediate; with `unimodal`, a network that reads
    both modalities then also gives its unimodal outputs `audio_traits` and `visual_traits`, and `imputed_audio` and
    `imputed_visual`, what it puts in the place of the other modality, from the same encoder pass.
    """

    def __init__(self, config: ModelConfig, clip: ClipConfig) -> None:
        super().__init__()
        width = config.width
        self.width = width
        self.reads = (config.fusion,) if config.fusion in MODALITIES else MODALITIES
        self.audio_encoder = AudioEncoder(config, clip) if "audio" in self.reads else None
        self.visual_encoder = VisualEncoder(config, clip) if "visual" in self.reads else None
        bimodal = self.reads == MODALITIES
        self.missing = per_modality(lambda: MissingToken(width, learned=config.missing_token and bimodal))
        statistics = {"audio": AUDIO_STATISTICS, "visual": VISUAL_STATISTICS}
        self.quality_head = nn.ModuleDict({modality: QualityHead(statistics[modality]) for modality in self.reads})
        crosses = config.fusion == "cross_attention"
        self.fusion = CrossAttentionFusion(width, config.heads, config.dropout) if crosses else None
        self.pool = per_modality(lambda: AttentiveStatistics(width), self.reads)
        self.imputer = per_modality(lambda: Imputer(width)) if config.imputation and bimodal else None
        self.linear_path = LinearPath(*map(sum, self.groups)) if config.linear_path else None
        self.head = TraitHead(2 * width, config.dropout)
        # Fitted after training, and no tensor of the network: without it, the fused output is the prediction.
        self.weighting: AdaptiveWeighting | None = None

    @property
    def encoders(self) -> dict[str, AudioEncoder | VisualEncoder]:
        """The encoder of each modality that is read."""
        both = {"audio": self.audio_encoder, "visual": self.visual_encoder}
        return {modality: encoder for modality, encoder in both.items() if encoder is not None}

    @property
    def groups(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Channels of each kind of pooled feature, audio and visual; none where it is not read."""
        audio, visual = self.audio_encoder, self.visual_encoder
        return (() if audio is None else audio.groups, () if visual is None else visual.groups)

    @property
    def streams(self) -> dict[str, AudioEncoder | VisualEncoder | SceneEncoder]:
        """All that has a backbone, by the name that its configuration has: audio, visual, and scene if there is one."""
        scene = None if self.visual_encoder is None else self.visual_encoder.scene
        return self.encoders | ({} if scene is None else {"scene": scene})

    def take_backbones(self) -> dict[str, Tensor]:
        """Take the backbones out, to train on Features without dragging them along; returns their tensors by name."""
        taken = {name: tensor for name, tensor in self.state_dict().items() if ".backbone." in name}
        for stream in self.streams.values():
            stream.backbone = None
        return taken

    def forward(
        self, inputs: Inputs | Features, *, return_intermediates: bool = False, unimodal: bool = True
    ) -> ModelOutput:
        features = self.features(inputs) if isinstance(inputs, Inputs) else inputs
        audio, audio_scales = self.encode("audio", features)
        visual, visual_scales = self.encode("visual", features)
        linear = self.linear(features)
        output, named = self.read(audio, visual, linear)
        if not return_intermediates and self.weighting is None:
            return output
        named |= audio_scales | visual_scales
        if self.reads == MODALITIES and (unimodal or self.weighting is not None):
            audio_alone, from_audio = self.read(audio, without(visual), linear)
            visual_alone, from_visual = self.read(without(audio), visual, linear)
            named |= {"audio_traits": audio_alone.traits, "visual_traits": visual_alone.traits}
            named |= {"imputed_audio": from_visual["stand_in"][:, 0], "imputed_visual": from_audio["stand_in"][:, 1]}
            alone = torch.stack([audio_alone.traits, visual_alone.traits], dim=1)
            output, weighed = self.weigh(output, alone, torch.stack([audio.present, visual.present], dim=1))
            named |= weighed
        return replace(output, intermediates=named if return_intermediates else None)

    def weigh(
        self, fused: ModelOutput, alone: Float[Tensor, "b 2 5"], present: Bool[Tensor, "b 2"]
    ) -> tuple[ModelOutput, dict[str, Tensor]]:
        """The prediction from the fused output and those of each modality alone, and by name what it would be if the
        other modality were missing."""
        if self.weighting is None:
            return fused, {f"from_{modality}": alone[:, place] for place, modality in enumerate(MODALITIES)}
        prior, named = self.head.prior, {"fused_traits": fused.traits}
        traits, weights = self.weighting(fused.traits, alone, fused.quality, present, prior)
        for place, modality in enumerate(MODALITIES):
            only = present & (torch.arange(2, device=present.device) == place)
            named[f"from_{modality}"] = self.weighting(alone[:, place], alone, fused.quality, only, prior)[0]
        return ModelOutput(traits, fused.quality, weights), named

    def features(self, inputs: Inputs) -> Features:
        """The backbones on their own: what can be cached where they are frozen."""
        return features_of(inputs, self.audio_maps(inputs), self.visual_maps(inputs), self.pooled_scene(inputs))

    def audio_maps(self, inputs: Inputs) -> tuple[Maps, Bool[Tensor, "b l"]]:
        """Maps of the audio backbone, and which of their steps are valid; without channels where it is not read."""
        if self.audio_encoder is None:
            nothing = torch.zeros(inputs.present.shape[0], 0, 1, 1, device=inputs.present.device)
            return (nothing,), inputs.mel_mask[:, :1]
        return self.audio_encoder.maps(inputs)

    def visual_maps(self, inputs: Inputs) -> Maps:
        """Maps of the visual backbone; without channels where it is not read."""
        if self.visual_encoder is None:
            return (torch.zeros(*inputs.frame_mask.shape, 0, 1, 1, device=inputs.present.device),)
        return self.visual_encoder.maps(inputs)

    def pooled_scene(self, inputs: Inputs) -> Float[Tensor, "b t c"] | None:
        """The whole frames, pooled; None where they are not read. MsmaError where they are and `inputs` have none."""
        if self.visual_encoder is None or self.visual_encoder.scene is None:
            return None
        if inputs.scene is None:
            raise MsmaError(
                "whole frames are read, and the inputs have none; prepare them with the ClipConfig of the weights"
            )
        return self.visual_encoder.scene.pooled(inputs.scene)

    def linear(self, features: Features) -> Float[Tensor, "b 3 5"] | None:
        """Predictions of the linear path, bimodal and unimodal; None without one."""
        if features.linear is not None or self.linear_path is None:
            return features.linear
        return self.linear_path(features)

    def read(
        self, audio: Branch, visual: Branch, linear: Float[Tensor, "b 3 5"] | None = None
    ) -> tuple[ModelOutput, dict[str, Tensor]]:
        """Fusion, modal enhancement and head, for whatever is present."""
        present = torch.stack([audio.present, visual.present], dim=1)
        audio, visual = self.fill("audio", audio), self.fill("visual", visual)
        quality = torch.stack([audio.quality, visual.quality], dim=1) * present
        summaries, attention = self.fuse(audio, visual)
        stand_in = self.impute(summaries)
        weights = equal_weights(present)
        fused = torch.where(present[..., None], 2 * weights[..., None] * summaries, stand_in)
        anything = present.any(dim=1)
        base = self.head.prior.expand(present.shape[0], -1)
        if linear is not None:
            base = torch.where(anything[:, None], linear_prediction(present, linear), base)
        traits = self.head(fused.flatten(1), anything, base)
        named = attention | {"summaries": summaries, "stand_in": stand_in, "fused": fused, "linear_prediction": base}
        return ModelOutput(traits, quality, weights), named

    def encode(self, modality: str, features: Features) -> tuple[Branch, dict[str, Tensor]]:
        """Tokens of one modality and the intermediates of its encoder by name; one empty token where it is not read."""
        if modality not in self.encoders:
            nothing = torch.zeros_like(features.present[:, :1])
            tokens = features.boxes.new_zeros(features.boxes.shape[0], 1, self.width)
            zeros = tokens[:, :, 0]
            return Branch(tokens, nothing, zeros[0], nothing[:, 0], zeros[:, 0], 1 - zeros), {}
        mask, place = features.audio_mask if modality == "audio" else features.frame_mask, MODALITIES.index(modality)
        tokens, times_s, scales = self.encoders[modality](features)
        present = features.present[:, place] & mask.any(dim=1)
        judged = features.segment_mask[..., place] & present[:, None]
        in_time = self.quality_head[modality](getattr(features, f"{modality}_statistics"), judged)
        token_quality = quality_at(times_s, in_time.detach(), judged)
        named = {f"{modality}_{name}": scale for name, scale in scales.items()}
        named[f"{modality}_quality_in_time"] = in_time
        return Branch(tokens, mask, times_s, present, mean_quality(in_time, judged), token_quality), named

    def fill(self, modality: str, branch: Branch) -> Branch:
        tokens, mask = self.missing[modality](branch.tokens, branch.mask, branch.present)
        token_quality = torch.where(branch.present[:, None], branch.token_quality, 1.0)
        return replace(branch, tokens=tokens, mask=mask, token_quality=token_quality)

    def fuse(self, audio: Branch, visual: Branch) -> tuple[Float[Tensor, "b 2 d"], dict[str, Tensor]]:
        """One summary per modality, enriched by the other one where fusion is by cross-attention."""
        a, v, attention = audio.tokens, visual.tokens, {}
        if self.fusion is not None:
            a, v, attention = self.fusion(tokens_of(audio), tokens_of(visual))
        summaries = [
            self.pool[modality](tokens, mask)
            if modality in self.reads
            else tokens[:, 0]  # zeros where it is never read
            for modality, tokens, mask in (("audio", a, audio.mask), ("visual", v, visual.mask))
        ]
        return torch.stack(summaries, dim=1), attention

    def impute(self, summaries: Float[Tensor, "b 2 d"]) -> Float[Tensor, "b 2 d"]:
        """Stand-ins for missing modalities: what the learned token gave, and an estimate from the other one."""
        if self.imputer is None:
            return summaries
        audio, visual = summaries.unbind(dim=1)
        return summaries + torch.stack([self.imputer["audio"](visual), self.imputer["visual"](audio)], dim=1)


def features_of(
    inputs: Inputs, audio: tuple[Maps, Bool[Tensor, "b l"]], visual: Maps, scene: Float[Tensor, "b t c"] | None
) -> Features:
    """Maps of the backbones, with what else of a clip the rest of the network reads."""
    shared = {field.name: getattr(inputs, field.name) for field in fields(Shared)}
    return Features(visual=visual, audio=audio[0], audio_mask=audio[1], scene=scene, **shared)


def per_modality(build: Callable[[], nn.Module], modalities: tuple[str, ...] = MODALITIES) -> nn.ModuleDict:
    return nn.ModuleDict({modality: build() for modality in modalities})


def tokens_of(branch: Branch) -> Tokens:
    """The tokens of a branch, for cross-attention."""
    return Tokens(branch.tokens, branch.mask, branch.times_s, branch.token_quality)


def without(branch: Branch) -> Branch:
    return replace(branch, present=torch.zeros_like(branch.present))
