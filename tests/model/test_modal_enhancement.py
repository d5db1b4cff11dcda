"""Modal enhancement: weights, the learned token, and pooling under masks."""

from __future__ import annotations

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from msma.model.layers import AttentiveStatistics, masked_mean, time_embedding
from msma.model.modal_enhancement import MissingToken, QualityHead, modality_weights

WIDTH = 8


@given(
    quality=st.lists(st.floats(0.01, 1), min_size=2, max_size=2),
    present=st.lists(st.booleans(), min_size=2, max_size=2),
    by_quality=st.booleans(),
)
@settings(deadline=None)
def test_weights_sum_to_one_over_what_is_present_and_to_zero_where_nothing_is(quality, present, by_quality):
    weights = modality_weights(torch.tensor([quality]), torch.tensor([present]), by_quality)
    torch.testing.assert_close(weights.sum(), torch.tensor(float(any(present))))
    assert (weights[~torch.tensor([present])] == 0).all()


def test_weights_rise_with_the_quality_of_their_modality():
    weights = modality_weights(torch.tensor([[0.2, 0.6]]), torch.tensor([[True, True]]), by_quality=True)
    torch.testing.assert_close(weights, torch.tensor([[0.25, 0.75]]))


def test_the_learned_token_takes_the_place_of_a_missing_modality_only():
    missing = MissingToken(WIDTH)
    tokens, mask = torch.randn(2, 4, WIDTH), torch.tensor([[True, True, True, False]] * 2)
    filled, kept = missing(tokens, mask, torch.tensor([True, False]))
    assert torch.equal(filled[0], tokens[0])
    assert torch.equal(filled[1, 0], missing.token)
    assert kept.tolist() == [[True, True, True, False], [True, False, False, False]]


def test_quality_is_a_share_and_follows_statistics_whatever_their_scale():
    torch.manual_seed(0)
    head, statistics = QualityHead(3), torch.randn(64, 3)
    scaled = statistics * torch.tensor([1e-2, 1.0, 50.0]) + torch.tensor([7.0, 0.0, -3.0])
    with torch.no_grad():
        qualities = head(statistics)
        assert ((qualities > 0) & (qualities < 1)).all()
        torch.testing.assert_close(head(scaled), qualities, atol=2e-2, rtol=0)


def test_pooling_ignores_masked_tokens():
    torch.manual_seed(0)
    pool = AttentiveStatistics(WIDTH)
    tokens, mask = torch.randn(1, 5, WIDTH), torch.tensor([[True, True, False, True, False]])
    torch.testing.assert_close(pool(tokens, mask), pool(tokens[mask][None], torch.ones(1, 3, dtype=torch.bool)))


def test_pooling_sees_how_much_the_tokens_vary():
    """Two clips with the same attention-weighted mean, one of them still."""
    torch.manual_seed(0)
    pool = AttentiveStatistics(WIDTH)
    torch.nn.init.zeros_(pool.score[2].weight)
    a = pool.norm(torch.randn(WIDTH))
    mask = torch.ones(1, 2, dtype=torch.bool)
    moving, still = torch.stack([a, -a])[None], torch.zeros(1, 2, WIDTH)
    assert (pool(moving, mask) - pool(still, mask)).abs().max() > 1e-3


def test_the_mean_of_no_token_is_zero():
    tokens = torch.randn(1, 3, WIDTH)
    assert (masked_mean(tokens, torch.zeros(1, 3, dtype=torch.bool)) == 0).all()


def test_the_mean_is_over_the_kept_tokens():
    tokens, mask = torch.randn(2, 3, WIDTH), torch.tensor([[True, False, True]] * 2)
    torch.testing.assert_close(masked_mean(tokens, mask), (tokens[:, 0] + tokens[:, 2]) / 2)


def test_frame_and_audio_share_one_clock():
    """The same second has the same embedding, whatever the rate of the tokens."""
    frames, steps = time_embedding(torch.arange(8) / 4, WIDTH), time_embedding(torch.arange(16) / 8, WIDTH)
    torch.testing.assert_close(frames, steps[::2])
