"""Feature-level fusion by cross-attention, both ways.

The paper names cross-attention (abstract). Heads, norms, dropout, the bias by time distance, the null key and the term
of the quality are ours.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from einops import rearrange
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional as F

from msma.model.layers import FeedForward

ATTENTION_TO = {"audio": "attention_visual_to_audio", "visual": "attention_audio_to_visual"}
"""Name of the cross-attention whose keys are the tokens of a modality."""

DISTANCES_S = (-8.0, -4.0, -2.0, -1.0, -0.5, -0.25, 0.0, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0)
"""Distances from a query to a key at which the bias is learned; later keys are positive."""
STEEPEST = 8.0
"""By which the bias of the last head begins to fall within a second; that of the first begins flat."""
MIN_QUALITY = 1e-3
"""Quality below which a token is as bad as any."""


@dataclass(frozen=True)
class Tokens:
    """Tokens of one modality, and what is known of each."""

    values: Float[Tensor, "b l d"]
    mask: Bool[Tensor, "b l"]
    times_s: Float[Tensor, " l"]
    """The middle of each token, from the start of the window."""
    quality: Float[Tensor, "b l"]
    """Predicted, in [0, 1]; without gradient."""


class TimeBias(nn.Module):
    """A learned bias of each head by the time from query to key, linear between DISTANCES_S and constant beyond."""

    knots: Tensor

    def __init__(self, heads: int) -> None:
        super().__init__()
        knots = torch.tensor(DISTANCES_S, device="cpu")
        self.register_buffer("knots", knots, persistent=False)
        # Heads begin with different reaches: the first looks everywhere, the last one hardly beyond a quarter second.
        slopes = STEEPEST * torch.arange(heads, device="cpu") / max(heads - 1, 1)
        self.bias = nn.Parameter(-slopes[:, None] * knots.abs().clamp(max=1))

    def forward(self, query_s: Float[Tensor, " l"], key_s: Float[Tensor, " j"]) -> Float[Tensor, "g l j"]:
        distance_s = (key_s[None, :] - query_s[:, None]).clamp(DISTANCES_S[0], DISTANCES_S[-1])
        after = self.knots[1:] - self.knots[:-1]
        shares = ((distance_s[..., None] - self.knots[:-1]) / after).clamp(0, 1)  # of each step between knots
        steps = self.bias[:, 1:] - self.bias[:, :-1]
        return self.bias[:, :1, None] + torch.einsum("ljk,gk->glj", shares, steps)


class CrossAttention(nn.Module):
    """Pre-norm attention from the tokens of one modality to those of the other, then a feed-forward; both residual.

    To the product of query and key a head adds a bias by their distance in time, and a learned weight (never negative)
    times the logarithm of the key's quality, so that attention turns away from noise. Of a null key, which holds
    nothing, it takes what no token deserves.
    """

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.norm_query = nn.LayerNorm(width)
        self.norm_context = nn.LayerNorm(width)
        self.query = nn.Linear(width, width)
        self.key_value = nn.Linear(width, 2 * width)
        self.null_key = nn.Parameter(torch.zeros(heads, width // heads, device="cpu"))
        self.time_bias = TimeBias(heads)
        self.quality_weight = nn.Parameter(torch.full((heads,), math.log(math.e - 1), device="cpu"))
        """Before softplus, which makes 1 of this."""
        self.out = nn.Linear(width, width)
        self.dropout = nn.Dropout(dropout)
        self.feed_forward = FeedForward(width, dropout)

    def forward(self, tokens: Tokens, context: Tokens) -> tuple[Float[Tensor, "b l d"], Float[Tensor, "b g l j"]]:
        """Enriched tokens, and the attention of g heads to the context; what is missing to 1 goes to the null key."""
        q = rearrange(self.query(self.norm_query(tokens.values)), "b l (g e) -> b g l e", g=self.heads)
        k, v = rearrange(
            self.key_value(self.norm_context(context.values)), "b j (two g e) -> two b g j e", two=2, g=self.heads
        )
        scale = q.shape[-1] ** -0.5
        quality = F.softplus(self.quality_weight)[:, None] * context.quality.clamp(min=MIN_QUALITY).log()[:, None]
        scores = scale * torch.einsum("bgle,bgje->bglj", q, k) + quality[:, :, None]
        scores = scores + self.time_bias(tokens.times_s, context.times_s)
        scores = scores.masked_fill(~context.mask[:, None, None, :], float("-inf"))
        nothing = scale * torch.einsum("bgle,ge->bgl", q, self.null_key)[..., None]
        attention = torch.cat([scores, nothing], dim=-1).softmax(dim=-1)[..., :-1]
        gathered = torch.einsum("bglj,bgje->bgle", self.dropout(attention), v)
        values = tokens.values + self.out(rearrange(gathered, "b g l e -> b l (g e)"))
        return values + self.feed_forward(values), attention


class CrossAttentionFusion(nn.Module):
    """Audio attends to visual and visual to audio, each to the other's tokens before fusion."""

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.audio_from_visual = CrossAttention(width, heads, dropout)
        self.visual_from_audio = CrossAttention(width, heads, dropout)

    def forward(
        self, audio: Tokens, visual: Tokens
    ) -> tuple[Float[Tensor, "b l d"], Float[Tensor, "b t d"], dict[str, Tensor]]:
        fused_audio, attention_av = self.audio_from_visual(audio, visual)
        fused_visual, attention_va = self.visual_from_audio(visual, audio)
        attention = {"attention_audio_to_visual": attention_av, "attention_visual_to_audio": attention_va}
        return fused_audio, fused_visual, attention
