"""Cross-attention keeps to its masks."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from msma.model.fusion import CrossAttention, CrossAttentionFusion

WIDTH = 16


@pytest.fixture
def attend() -> CrossAttention:
    torch.manual_seed(0)
    return CrossAttention(WIDTH, heads=4, dropout=0.0)


@given(kept=st.lists(st.booleans(), min_size=1, max_size=12).filter(any), seed=st.integers(0, 2**31))
@settings(deadline=None, max_examples=30)
def test_attention_rows_sum_to_one_over_kept_tokens_and_are_zero_on_masked_ones(kept, seed):
    torch.manual_seed(seed)
    mask = torch.tensor([kept])
    attend = CrossAttention(WIDTH, heads=2, dropout=0.0)
    _, attention = attend(torch.randn(1, 3, WIDTH), 10 * torch.randn(1, len(kept), WIDTH), mask)
    torch.testing.assert_close(attention.sum(dim=-1), torch.ones(1, 2, 3))
    assert (attention[..., ~mask[0]] == 0).all()


def test_attention_is_that_of_torch(attend):
    tokens, context, mask = torch.randn(2, 3, WIDTH), torch.randn(2, 5, WIDTH), torch.arange(5).repeat(2, 1) < 4
    oracle = torch.nn.MultiheadAttention(WIDTH, 4, batch_first=True)
    with torch.no_grad():
        oracle.in_proj_weight.copy_(torch.cat([attend.query.weight, attend.key_value.weight]))
        oracle.in_proj_bias.copy_(torch.cat([attend.query.bias, attend.key_value.bias]))
        oracle.out_proj.weight.copy_(attend.out.weight)
        oracle.out_proj.bias.copy_(attend.out.bias)
    query, keys = attend.norm_query(tokens), attend.norm_context(context)
    gathered, expected = oracle(query, keys, keys, key_padding_mask=~mask, average_attn_weights=False)
    fused, attention = attend(tokens, context, mask)
    torch.testing.assert_close(attention, expected)
    torch.testing.assert_close(fused, tokens + gathered + attend.feed_forward(tokens + gathered))


def test_masked_context_does_not_matter(attend):
    tokens, context, mask = torch.randn(1, 3, WIDTH), torch.randn(1, 4, WIDTH), torch.ones(1, 4, dtype=torch.bool)
    padded = torch.cat([context, 100 * torch.randn(1, 6, WIDTH)], dim=1)
    torch.testing.assert_close(attend(tokens, padded, F.pad(mask, (0, 6)))[0], attend(tokens, context, mask)[0])


def test_the_order_of_the_context_does_not_matter(attend):
    """Time is in the tokens, not in the attention."""
    tokens, context, mask = torch.randn(1, 3, WIDTH), torch.randn(1, 4, WIDTH), torch.ones(1, 4, dtype=torch.bool)
    torch.testing.assert_close(attend(tokens, context.flip(1), mask)[0], attend(tokens, context, mask)[0])


def test_each_modality_reads_the_other_as_it_was_before_fusion():
    torch.manual_seed(0)
    fusion = CrossAttentionFusion(WIDTH, heads=4, dropout=0.0)
    audio, visual = torch.randn(1, 6, WIDTH), torch.randn(1, 3, WIDTH)
    masks = torch.ones(1, 6, dtype=torch.bool), torch.ones(1, 3, dtype=torch.bool)
    fused_audio, fused_visual, _ = fusion(audio, masks[0], visual, masks[1])
    torch.testing.assert_close(fused_audio, fusion.audio_from_visual(audio, visual, masks[1])[0])
    torch.testing.assert_close(fused_visual, fusion.visual_from_audio(visual, audio, masks[0])[0])
