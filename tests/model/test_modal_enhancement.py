"""Modal enhancement: weights, the learned token, and pooling under masks."""

from __future__ import annotations

import copy

import pytest
import torch

from msma.model.layers import AttentiveStatistics, masked_mean, time_embedding
from msma.model.modal_enhancement import (
    MissingToken,
    QualityHead,
    equal_weights,
    mean_quality,
    quality_at,
)
from msma.training.losses import quality_loss

WIDTH = 8


@pytest.mark.parametrize("present", [(True, True), (True, False), (False, True), (False, False)])
def test_equal_weights_sum_to_one_over_what_is_present_and_to_zero_where_nothing_is(present):
    weights = equal_weights(torch.tensor([present]))
    torch.testing.assert_close(weights.sum(), torch.tensor(float(any(present))))
    assert (weights[~torch.tensor([present])] == 0).all()


def test_the_learned_token_takes_the_place_of_a_missing_modality_only():
    missing = MissingToken(WIDTH)
    tokens, mask = torch.randn(2, 4, WIDTH), torch.tensor([[True, True, True, False]] * 2)
    filled, kept = missing(tokens, mask, torch.tensor([True, False]))
    assert torch.equal(filled[0], tokens[0])
    assert torch.equal(filled[1, 0], missing.token)
    assert kept.tolist() == [[True, True, True, False], [True, False, False, False]]


def test_quality_is_a_share_and_follows_statistics_whatever_their_scale():
    torch.manual_seed(0)
    head, statistics, mask = QualityHead(3), torch.randn(16, 4, 3), torch.ones(16, 4, dtype=torch.bool)
    scaled = statistics * torch.tensor([1e-2, 1.0, 50.0]) + torch.tensor([7.0, 0.0, -3.0])
    with torch.no_grad():
        other = copy.deepcopy(head)
        qualities = head(statistics, mask)
        assert ((qualities > 0) & (qualities < 1)).all()
        torch.testing.assert_close(other(scaled, mask), qualities, atol=2e-2, rtol=0)


def test_masked_segments_change_no_quality_in_training_and_afterwards():
    torch.manual_seed(0)
    head, statistics, mask = QualityHead(3), torch.randn(5, 4, 3), torch.rand(5, 4) < 0.7
    other = copy.deepcopy(head)
    garbage = torch.where(mask[..., None], statistics, 1e3)
    for _ in range(2):
        torch.testing.assert_close(other(garbage, mask), head(statistics, mask))
        assert (head(statistics, mask)[~mask] == 0).all()
        head.eval(), other.eval()


def test_a_single_segment_or_none_can_be_trained_on():
    head, statistics = QualityHead(3), torch.randn(2, 2, 3)
    for kept in (1, 0):
        mask = torch.arange(4).reshape(2, 2) < kept
        assert torch.isfinite(head(statistics, mask)).all()


def test_a_clip_has_the_mean_quality_of_its_segments():
    in_time, mask = torch.tensor([[0.2, 0.6, 0.9], [0.5, 0.5, 0.5]]), torch.tensor([[True, True, False], [False] * 3])
    torch.testing.assert_close(mean_quality(in_time, mask), torch.tensor([0.4, 0.0]))


def test_a_token_has_the_quality_of_its_second_and_after_the_last_one_that_of_the_last():
    in_time = torch.tensor([[0.1, 0.2, 0.3], [0.4, 0.5, 0.0], [0.6, 0.0, 0.7]])
    mask = torch.tensor([[True, True, True], [True, True, False], [True, False, True]])
    found = quality_at(torch.tensor([0.1, 0.9, 1.0, 2.5, 3.5]), in_time, mask)
    expected = [[0.1, 0.1, 0.2, 0.3, 0.3], [0.4, 0.4, 0.5, 0.5, 0.5], [0.6, 0.6, 0.0, 0.7, 0.7]]
    torch.testing.assert_close(found, torch.tensor(expected))


def test_a_head_learns_in_a_few_steps_which_half_of_a_clip_is_noisy():
    torch.manual_seed(0)
    head, mask = QualityHead(6), torch.ones(32, 4, dtype=torch.bool)
    optimizer = torch.optim.AdamW(head.parameters(), lr=1e-2)

    def half_noisy() -> tuple[torch.Tensor, torch.Tensor]:
        """Statistics of which two are higher in a random half, in clips that differ in all of them."""
        noisy = (torch.arange(4) < 2) ^ (torch.rand(32, 1) < 0.5)
        return torch.randn(32, 1, 6) + noisy[..., None] * torch.tensor([3.0, -3.0, 0, 0, 0, 0]), noisy

    for _ in range(40):
        statistics, noisy = half_noisy()
        loss = quality_loss(head(statistics, mask).flatten(), 1 - noisy.flatten().float())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    statistics, noisy = half_noisy()
    found = head.eval()(statistics, mask)
    assert found[~noisy].mean() - found[noisy].mean() > 0.5


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
