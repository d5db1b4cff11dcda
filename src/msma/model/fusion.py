"""Feature-level fusion by cross-attention, both ways (paper: cross-attention; heads, norms and dropout are ours)."""

from __future__ import annotations

import torch
from einops import rearrange
from jaxtyping import Bool, Float
from torch import Tensor, nn

from msma.model.layers import FeedForward

ATTENTION_TO = {"audio": "attention_visual_to_audio", "visual": "attention_audio_to_visual"}
"""Name of the cross-attention whose keys are the tokens of a modality."""


class CrossAttention(nn.Module):
    """Pre-norm attention from the tokens of one modality to those of the other, then a feed-forward; both residual."""

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.norm_query = nn.LayerNorm(width)
        self.norm_context = nn.LayerNorm(width)
        self.query = nn.Linear(width, width)
        self.key_value = nn.Linear(width, 2 * width)
        self.out = nn.Linear(width, width)
        self.dropout = nn.Dropout(dropout)
        self.feed_forward = FeedForward(width, dropout)

    def forward(
        self, tokens: Float[Tensor, "b l d"], context: Float[Tensor, "b j d"], context_mask: Bool[Tensor, "b j"]
    ) -> tuple[Float[Tensor, "b l d"], Float[Tensor, "b g l j"]]:
        """Enriched tokens and the attention map of g heads; of each clip, a context token at least must be valid."""
        q = rearrange(self.query(self.norm_query(tokens)), "b l (g e) -> b g l e", g=self.heads)
        k, v = rearrange(
            self.key_value(self.norm_context(context)), "b j (two g e) -> two b g j e", two=2, g=self.heads
        )
        scores = torch.einsum("bgle,bgje->bglj", q, k) / q.shape[-1] ** 0.5
        attention = scores.masked_fill(~context_mask[:, None, None, :], float("-inf")).softmax(dim=-1)
        gathered = torch.einsum("bglj,bgje->bgle", self.dropout(attention), v)
        tokens = tokens + self.out(rearrange(gathered, "b g l e -> b l (g e)"))
        return tokens + self.feed_forward(tokens), attention


class CrossAttentionFusion(nn.Module):
    """Audio attends to visual and visual to audio, each to the other's tokens before fusion."""

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.audio_from_visual = CrossAttention(width, heads, dropout)
        self.visual_from_audio = CrossAttention(width, heads, dropout)

    def forward(
        self,
        audio: Float[Tensor, "b l d"],
        audio_mask: Bool[Tensor, "b l"],
        visual: Float[Tensor, "b t d"],
        visual_mask: Bool[Tensor, "b t"],
    ) -> tuple[Float[Tensor, "b l d"], Float[Tensor, "b t d"], dict[str, Tensor]]:
        fused_audio, attention_av = self.audio_from_visual(audio, visual, visual_mask)
        fused_visual, attention_va = self.visual_from_audio(visual, audio, audio_mask)
        attention = {"attention_audio_to_visual": attention_av, "attention_visual_to_audio": attention_va}
        return fused_audio, fused_visual, attention
