"""Cross-attention keeps to its masks, knows time, and turns away from noise."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from msma.model.fusion import DISTANCES_S, CrossAttention, CrossAttentionFusion, TimeBias, Tokens

WIDTH = 16


def tokens_of(values: torch.Tensor, mask: torch.Tensor | None = None, quality: torch.Tensor | None = None) -> Tokens:
    """Four tokens a second, all valid and clean unless it is said otherwise."""
    shape = values.shape[:2]
    mask = torch.ones(shape, dtype=torch.bool) if mask is None else mask
    quality = torch.ones(shape) if quality is None else quality
    return Tokens(values, mask, (torch.arange(shape[1]) + 0.5) / 4, quality)


@pytest.fixture
def attend() -> CrossAttention:
    torch.manual_seed(0)
    return CrossAttention(WIDTH, heads=4, dropout=0.0)


@given(kept=st.lists(st.booleans(), min_size=1, max_size=12), seed=st.integers(0, 2**31))
@settings(deadline=None, max_examples=30)
def test_attention_is_shared_among_kept_tokens_and_the_null_key_and_masked_ones_get_none(kept, seed):
    torch.manual_seed(seed)
    mask = torch.tensor([kept])
    attend = CrossAttention(WIDTH, heads=2, dropout=0.0)
    context = tokens_of(10 * torch.randn(1, len(kept), WIDTH), mask)
    _, attention = attend(tokens_of(torch.randn(1, 3, WIDTH)), context)
    assert (attention.sum(dim=-1) <= 1 + 1e-6).all()
    assert (attention[..., ~mask[0]] == 0).all()


def test_without_bias_and_null_key_attention_is_that_of_torch(attend):
    tokens, mask = torch.randn(2, 3, WIDTH), torch.arange(5).repeat(2, 1) < 4
    context = torch.randn(2, 5, WIDTH)
    oracle = torch.nn.MultiheadAttention(WIDTH, 4, batch_first=True, add_zero_attn=True)  # its null key
    with torch.no_grad():
        attend.time_bias.bias.zero_()
        oracle.in_proj_weight.copy_(torch.cat([attend.query.weight, attend.key_value.weight]))
        oracle.in_proj_bias.copy_(torch.cat([attend.query.bias, attend.key_value.bias]))
        oracle.out_proj.weight.copy_(attend.out.weight)
        oracle.out_proj.bias.copy_(attend.out.bias)
    query, keys = attend.norm_query(tokens), attend.norm_context(context)
    gathered, expected = oracle(query, keys, keys, key_padding_mask=~mask, average_attn_weights=False)
    fused, attention = attend(tokens_of(tokens), tokens_of(context, mask))
    torch.testing.assert_close(attention, expected[..., :-1])
    torch.testing.assert_close(fused, tokens + gathered + attend.feed_forward(tokens + gathered))


def test_masked_context_does_not_matter(attend):
    tokens, context, mask = torch.randn(1, 3, WIDTH), torch.randn(1, 4, WIDTH), torch.ones(1, 4, dtype=torch.bool)
    padded = tokens_of(torch.cat([context, 100 * torch.randn(1, 6, WIDTH)], dim=1), F.pad(mask, (0, 6)))
    torch.testing.assert_close(
        attend(tokens_of(tokens), padded)[0], attend(tokens_of(tokens), tokens_of(context, mask))[0]
    )


def test_heads_begin_with_different_reaches_in_time(attend):
    """Of queries and keys that say nothing, the first head looks everywhere and the last one near."""
    silent = torch.zeros(1, 40, WIDTH)
    _, attention = attend(tokens_of(silent), tokens_of(silent))
    at_its_own_time, far = attention[0, :, 20, 20], attention[0, :, 20, 0]
    assert (at_its_own_time[1:] > at_its_own_time[:-1]).all()
    torch.testing.assert_close(far[0], at_its_own_time[0])
    assert far[-1] < 0.1 * at_its_own_time[-1]


def test_the_bias_is_linear_in_time_between_its_knots_and_constant_beyond():
    bias = TimeBias(heads=1)
    with torch.no_grad():
        bias.bias.copy_(torch.arange(len(DISTANCES_S))[None] ** 2)
        found = bias(torch.zeros(1), torch.tensor([-100.0, -8.0, -0.375, 0.0, 0.25, 1.5, 8.0, 9.0]))[0, 0]
    assert found.tolist() == [0.0, 0.0, (16 + 25) / 2, 36.0, 49.0, (81 + 100) / 2, 144.0, 144.0]


def test_the_bias_tells_before_from_after():
    bias = TimeBias(heads=1)
    with torch.no_grad():
        bias.bias.copy_(torch.tensor(DISTANCES_S)[None])
        before, after = bias(torch.tensor([1.0]), torch.tensor([0.5, 1.5]))[0, 0]
    assert (before.item(), after.item()) == (-0.5, 0.5)


def test_attention_turns_away_from_tokens_of_low_quality(attend):
    """By as much as the quality falls, before anything is learned."""
    tokens, context = tokens_of(torch.randn(1, 3, WIDTH)), torch.randn(1, 8, WIDTH)
    _, clean = attend(tokens, tokens_of(context))
    quality = torch.ones(1, 8)
    quality[:, 4:] = 0.2
    _, noisy = attend(tokens, tokens_of(context, quality=quality))
    odds = (noisy[..., 4:] / noisy[..., :4]) / (clean[..., 4:] / clean[..., :4])
    torch.testing.assert_close(odds, torch.full_like(odds, 0.2), atol=1e-3, rtol=0)


def test_of_a_context_that_is_all_bad_nothing_is_taken(attend):
    tokens, context = torch.randn(1, 3, WIDTH), torch.randn(1, 4, WIDTH)
    _, good = attend(tokens_of(tokens), tokens_of(context))
    _, bad = attend(tokens_of(tokens), tokens_of(context, quality=torch.zeros(1, 4)))
    assert (bad.sum(dim=-1) < 0.05 * good.sum(dim=-1)).all()


def test_each_modality_reads_the_other_as_it_was_before_fusion():
    torch.manual_seed(0)
    fusion = CrossAttentionFusion(WIDTH, heads=4, dropout=0.0)
    audio, visual = tokens_of(torch.randn(1, 6, WIDTH)), tokens_of(torch.randn(1, 3, WIDTH))
    fused_audio, fused_visual, _ = fusion(audio, visual)
    torch.testing.assert_close(fused_audio, fusion.audio_from_visual(audio, visual)[0])
    torch.testing.assert_close(fused_visual, fusion.visual_from_audio(visual, audio)[0])
