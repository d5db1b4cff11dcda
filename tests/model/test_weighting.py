"""Adaptive weighting: what decides as quality falls, and what it is where nothing was fitted."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from exports import CLIP, SMALL, saved_weights, weighed, weights_of

from msma.model.tensors import Inputs
from msma.model.weighting import AdaptiveWeighting
from msma.weights.checkpoint import load_weights, weights_sha256
from msma.weights.onnx_export import random_batch, torch_outputs

PRIOR = torch.tensor([0.4, 0.5, 0.6, 0.5, 0.3])
BOTH = torch.tensor([[True, True]])


def weighting(baseline=0.0, alone=(0.0, 0.0), alone_slopes=(0.0, 0.0), fused_slopes=(0.0, 0.0)) -> AdaptiveWeighting:
    return AdaptiveWeighting(
        torch.full((5,), baseline),
        torch.tensor(alone)[:, None].expand(2, 5),
        torch.tensor(alone_slopes),
        torch.tensor(fused_slopes),
    )


def drawn(seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(1, 5, generator=generator), torch.rand(1, 2, 5, generator=generator)


@pytest.mark.parametrize("quality", [(1.0, 1.0), (0.3, 0.9), (0.0, 0.0)])
def test_it_begins_at_the_fused_output_with_equal_weights(quality):
    fused, alone = drawn()
    traits, weights = weighting()(fused, alone, torch.tensor([quality]), BOTH, PRIOR)
    torch.testing.assert_close(traits, fused, atol=2e-4, rtol=0)
    torch.testing.assert_close(weights, torch.tensor([[0.5, 0.5]]))


def test_the_worse_a_modality_the_less_it_counts_and_the_baseline_takes_over_where_both_are_lost():
    fitted = weighting(0.2, (0.5, 0.5), (2.0, 2.0), (1.0, 1.0))
    fused, alone = drawn()
    shares = [fitted(fused, alone, torch.tensor([[q, 0.9]]), BOTH, PRIOR)[1][0] for q in (1.0, 0.6, 0.3, 0.0)]
    assert all(worse[0] < better[0] for better, worse in pairwise(shares))
    assert shares[-1][1] > shares[0][1]
    lost, weights = fitted(fused, alone, torch.zeros(1, 2), BOTH, PRIOR)
    assert weights.sum() < 0.02
    torch.testing.assert_close(lost[0], PRIOR, atol=0.02, rtol=0)


@pytest.mark.parametrize("place", [0, 1])
def test_a_missing_modality_has_no_share_and_its_output_and_quality_no_effect(place):
    fitted, (fused, alone) = weighting(0.2, (0.5, 0.5), (1.0, 1.0), (1.0, 1.0)), drawn()
    present = torch.arange(2)[None] != place
    quality = torch.full((1, 2), 0.7)
    traits, weights = fitted(fused, alone, quality, present, PRIOR)
    other = alone.clone()
    other[:, place] = 0.99
    quality[:, place] = 0.0
    torch.testing.assert_close(fitted(fused, other, quality, present, PRIOR)[0], traits)
    assert weights[0, place] == 0


def test_from_nothing_at_all_comes_the_baseline():
    for fitted in (weighting(), weighting(0.2, (0.5, 0.5), (1.0, 1.0), (1.0, 1.0))):
        traits, weights = fitted(*drawn(), torch.zeros(1, 2), ~BOTH, PRIOR)
        torch.testing.assert_close(traits[0], PRIOR)
        assert not weights.any()


def test_weights_with_precisions_load_as_they_were_saved_and_predict_otherwise_than_without(tmp_path):
    plain = weights_of(SMALL)
    batch = random_batch(CLIP, 4, 6, 120, seed=1)
    before = torch_outputs(plain, batch).traits
    saved = saved_weights(tmp_path, weighed(plain))
    after = torch_outputs(saved, batch).traits
    assert (after - before).abs().max() > 1e-3
    torch.testing.assert_close(torch_outputs(load_weights(tmp_path), batch).traits, after)
    assert weights_sha256(saved) != weights_sha256(weights_of(SMALL))


def test_intermediates_say_what_it_would_be_from_one_modality():
    weights, batch = weighed(weights_of(SMALL)), random_batch(CLIP, 4, 6, 120, seed=2)

    def inputs() -> Inputs:
        return Inputs(**{name: torch.from_numpy(array) for name, array in batch.items()})

    with torch.inference_mode():
        batch["present"][:] = True
        named = weights.network(inputs(), return_intermediates=True).named
        batch["present"][:, 1] = False
        expected = weights.network(inputs()).traits
    torch.testing.assert_close(named["from_audio"], expected, atol=1e-5, rtol=0)


def test_the_prediction_is_weighted_whether_or_not_the_unimodal_outputs_are_asked_for():
    network = weighed(weights_of(SMALL)).network
    inputs = Inputs(**{name: torch.from_numpy(array) for name, array in random_batch(CLIP, 4, 6, 120, seed=2).items()})
    with torch.inference_mode():
        one, other = (network(inputs, return_intermediates=True, unimodal=unimodal) for unimodal in (True, False))
    assert torch.equal(one.traits, other.traits)
    assert not torch.equal(one.traits, one.named["fused_traits"])
