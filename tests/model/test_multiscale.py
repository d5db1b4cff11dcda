"""Multi-scale enhancement: what each scale sees, and that masks hold."""

from __future__ import annotations

import pytest
import torch

from msma.model.multiscale import Levels, SpatialScales, TemporalScales, dilations_of

CHANNELS = 8


def reach(changed: torch.Tensor) -> list[int]:
    """Places along the last axis at which anything changed."""
    return torch.nonzero(changed.abs().reshape(-1, changed.shape[-1]).amax(dim=0) > 0).flatten().tolist()


@pytest.mark.parametrize(("scale", "dilation"), [(0, 1), (1, 2), (2, 4)])
def test_a_temporal_scale_sees_the_tokens_that_are_its_dilation_away(scale, dilation):
    torch.manual_seed(0)
    stage = TemporalScales(CHANNELS, (1, 2, 4), channel_attention=True)
    tokens, mask = torch.randn(1, 15, CHANNELS), torch.ones(1, 15, dtype=torch.bool)
    bumped = tokens.clone()
    bumped[:, 7] = torch.randn(CHANNELS)
    before, after = (stage(x, mask)[1][f"temporal_scale_{scale}"].transpose(1, 2) for x in (tokens, bumped))
    assert set(reach(after - before)) == {7 - dilation, 7, 7 + dilation}


@pytest.mark.parametrize(("scale", "kernel"), [(0, 1), (1, 3), (2, 5)])
def test_a_spatial_scale_sees_as_far_as_its_kernel(scale, kernel):
    torch.manual_seed(0)
    stage = SpatialScales(CHANNELS, (1, 3, 5), channel_attention=True)
    maps = torch.randn(1, CHANNELS, 1, 15)
    bumped = maps.clone()
    bumped[..., 7] = torch.randn(1, CHANNELS, 1)
    before, after = (stage(x)[1][f"spatial_scale_{scale}"] for x in (maps, bumped))
    assert set(reach(after - before)) == set(range(7 - kernel // 2, 8 + kernel // 2))


@pytest.mark.parametrize("channel_attention", [True, False])
def test_temporal_enhancement_of_a_token_does_not_depend_on_masked_ones(channel_attention):
    torch.manual_seed(0)
    stage = TemporalScales(CHANNELS, (1, 2), channel_attention)
    tokens, mask = torch.randn(2, 10, CHANNELS), torch.arange(10).repeat(2, 1) < 6
    longer, _ = stage(tokens, mask)
    alone, _ = stage(tokens[:, :6], mask[:, :6])
    torch.testing.assert_close(longer[:, :6], alone)
    assert (longer[:, 6:] == 0).all()


@pytest.mark.parametrize("channel_attention", [True, False])
def test_spatial_enhancement_of_audio_does_not_depend_on_what_is_masked(channel_attention):
    torch.manual_seed(0)
    stage = SpatialScales(CHANNELS, (1, 3), channel_attention)
    maps, mask = torch.randn(2, CHANNELS, 4, 6), torch.ones(2, 6, dtype=torch.bool)
    padded, padded_mask = torch.nn.functional.pad(maps, (0, 5), value=3.0), torch.nn.functional.pad(mask, (0, 5))
    alone, longer = stage(maps, mask)[0], stage(padded, padded_mask)[0]
    torch.testing.assert_close(longer[..., :6], alone)
    assert (longer[..., 6:] == 0).all()


@pytest.mark.parametrize("build", [SpatialScales, TemporalScales])
def test_channel_attention_is_one_gate_a_channel_and_can_be_left_out(build):
    torch.manual_seed(0)
    x, mask = torch.randn(2, CHANNELS, 8, CHANNELS), torch.ones(2, CHANNELS, dtype=torch.bool)
    if build is TemporalScales:
        x = x[..., 0, :]
    gates = [t for name, t in build(CHANNELS, (1, 3), True)(x, mask)[1].items() if name.endswith("channel_attention")]
    assert [gate.shape for gate in gates] == [(2, CHANNELS)]
    assert ((gates[0] > 0) & (gates[0] < 1)).all()
    assert not any("attention" in name for name in build(CHANNELS, (1, 3), False)(x, mask)[1])


@pytest.mark.parametrize(
    ("token_s", "dilations"), [(0.25, (1, 2, 4, 8)), (0.128, (2, 4, 8, 16)), (0.5, (1, 2, 4)), (5.0, (1,))]
)
def test_scales_in_seconds_are_tokens_by_the_rate_of_the_stream_each_once(token_s, dilations):
    assert dilations_of((0.25, 0.5, 1.0, 2.0), token_s) == dilations


def test_maps_of_several_strides_come_together_on_the_grid_of_the_finest():
    torch.manual_seed(0)
    stage = Levels((3, 5), CHANNELS, norms=False)
    fine, coarse = torch.randn(2, 3, 8, 8), torch.randn(2, 5, 4, 4)
    expected = stage.project[0](fine) + stage.project[1](coarse.repeat_interleave(2, 2).repeat_interleave(2, 3))
    torch.testing.assert_close(stage((fine, coarse)), expected)


def test_the_weights_of_the_maps_are_learned_and_one_on_average():
    stage = Levels((3, 3), CHANNELS, norms=True)
    with torch.no_grad():
        stage.weights.copy_(torch.tensor([5.0, -5.0]))
    fine, coarse = torch.randn(2, 3, 4, 4), torch.randn(2, 3, 4, 4)
    torch.testing.assert_close(stage((fine, coarse)), 2 * stage.project[0](fine), atol=1e-2, rtol=0)
