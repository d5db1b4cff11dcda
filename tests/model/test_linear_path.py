"""The linear path: what it pools, which output predicts, and that cached features change nothing."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import fields, replace
from functools import cache
from typing import Any

import numpy as np
import pytest
import torch
from planted import CLIP, planted_window
from tiny_hf import TINY

from msma.config import ModelConfig
from msma.media.prepare import prepare
from msma.model.head import AVAILABLE, linear_prediction, pool
from msma.model.msma_net import MsMANet
from msma.model.tensors import Features, Inputs, collate, inputs_of

CONFIG = CLIP.model_copy(update={"mels": 20})
VIT = {"config": {"model_type": "vit", "image_size": 16, "patch_size": 8, **TINY}}
BACKBONES: dict[str, dict[str, Any]] = {
    "pretrained": {"audio_backbone": "mfcc", "visual_backbone": "hf:tiny", "visual_architecture": VIT},
    "small": {"audio_backbone": "small", "visual_backbone": "small"},
}
PRIOR = torch.tensor([0.3, 0.4, 0.5, 0.6, 0.7])
PRESENT = {"both": (True, True), "audio": (True, False), "visual": (False, True), "nothing": (False, False)}


@cache
def built(fusion: str, backbones: str) -> MsMANet:
    config = {"width": 16, "heads": 2, "dropout": 0.0, "map_channels": 16, "linear_path": True, "fusion": fusion}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        net = MsMANet(ModelConfig(**config, **BACKBONES[backbones]), CONFIG)
    net.head.prior.copy_(PRIOR)
    return net.eval().requires_grad_(False)


def network(fusion: str = "cross_attention", backbones: str = "pretrained") -> MsMANet:
    """A tiny network with a linear path; the same on each call."""
    return deepcopy(built(fusion, backbones))


def without_steps(net: MsMANet) -> MsMANet:
    last = net.head.layers[-1]
    torch.nn.init.zeros_(last.weight)
    torch.nn.init.zeros_(last.bias)
    return net


def filled_at_random(net: MsMANet) -> MsMANet:
    generator = torch.Generator().manual_seed(3)
    for reading in AVAILABLE:
        shape = getattr(net.linear_path, f"{reading}_weights").shape
        net.linear_path.fill(
            reading, weights=0.003 * torch.randn(shape, generator=generator), bias=torch.full((5,), 0.5)
        )
    return net


def filled_with_constants(net: MsMANet) -> MsMANet:
    """Each map predicts a number of its own, whatever it reads: 0.2, 0.4 and 0.8."""
    for reading, answer in (("both", 0.2), ("audio", 0.4), ("visual", 0.8)):
        weights = torch.zeros_like(getattr(net.linear_path, f"{reading}_weights"))
        net.linear_path.fill(reading, weights=weights, bias=torch.full((5,), answer))
    return net


def window(seed: int) -> Inputs:
    rng = np.random.default_rng(seed)
    return inputs_of(prepare(planted_window(f"{seed}.mp4", rng.uniform(0.1, 0.9, 5), rng), CONFIG).inputs)


def with_present(inputs: Inputs, what: str) -> Inputs:
    return replace(inputs, present=torch.tensor(PRESENT[what]).expand_as(inputs.present))


@pytest.fixture(scope="module")
def batch() -> Inputs:
    return collate([window(seed) for seed in range(3)])


# what is pooled


def test_pooled_are_mean_and_deviation_of_every_channel_over_kept_time(batch):
    features = network().features(batch)
    mask = torch.tensor([True, False, True, True]).expand(3, 4)
    sound, frames = pool(replace(features, frame_mask=mask))
    seen = torch.cat([features.visual[-1].mean(dim=(3, 4)), features.boxes], dim=2)
    kept = seen[:, [0, 2, 3]].numpy()
    expected = np.concatenate([kept.mean(axis=1), kept.std(axis=1)], axis=1)
    np.testing.assert_allclose(frames.numpy(), expected, atol=1e-6)
    audio = features.audio[-1].mean(dim=2).numpy()
    np.testing.assert_allclose(sound[:, : audio.shape[1]].numpy(), audio.mean(axis=2), atol=1e-5)


def test_of_what_is_all_masked_zeros_are_pooled(batch):
    features = network().features(batch)
    masked = replace(features, audio_mask=torch.zeros_like(features.audio_mask))
    assert not pool(masked)[0].any()


# which output predicts


@pytest.mark.parametrize(("what", "answer"), [("both", 0.2), ("audio", 0.4), ("visual", 0.8)])
def test_each_map_predicts_where_its_modalities_are_present(batch, what, answer):
    net = without_steps(filled_with_constants(network()))
    torch.testing.assert_close(net(with_present(batch, what)).traits, torch.full((3, 5), answer))


def test_in_one_batch_each_clip_is_predicted_by_what_it_has(batch):
    net = without_steps(filled_with_constants(network()))
    present = torch.tensor([PRESENT["visual"], PRESENT["nothing"], PRESENT["audio"]])
    traits = net(replace(batch, present=present)).traits
    torch.testing.assert_close(traits, torch.stack([torch.full((5,), 0.8), PRIOR, torch.full((5,), 0.4)]))


def test_where_nothing_is_present_the_mean_label_baseline_is_the_prediction_whatever_the_head_learned(batch):
    net = filled_with_constants(network())
    torch.testing.assert_close(net(with_present(batch, "nothing")).traits, PRIOR.expand(3, 5))


def test_a_modality_of_which_all_is_masked_is_not_read(batch):
    net = without_steps(filled_with_constants(network()))
    masked = replace(batch, mel_mask=torch.zeros_like(batch.mel_mask))
    torch.testing.assert_close(net(masked).traits, torch.full((3, 5), 0.8))


def test_the_predictions_from_one_modality_alone_start_from_its_own_reading(batch):
    net = without_steps(filled_with_constants(network()))
    named = net(batch, return_intermediates=True).intermediates
    torch.testing.assert_close(named["audio_traits"], torch.full((3, 5), 0.4))
    torch.testing.assert_close(named["visual_traits"], torch.full((3, 5), 0.8))
    torch.testing.assert_close(named["linear_prediction"], torch.full((3, 5), 0.2))


@pytest.mark.parametrize("fusion", ["cross_attention", "concat", "audio", "visual"])
def test_with_a_head_of_zeros_the_prediction_is_the_linear_one(batch, fusion):
    net = without_steps(filled_at_random(network(fusion)))
    pooled, reading = pool(net.features(batch)), fusion if fusion in AVAILABLE else "both"
    features = torch.cat([pooled[modality] for modality in AVAILABLE[reading]], dim=1)
    path = net.linear_path
    expected = features @ getattr(path, f"{reading}_weights") + getattr(path, f"{reading}_bias")
    assert (expected[0] - expected[1]).abs().min() > 1e-4
    torch.testing.assert_close(net(batch).traits, expected, atol=1e-6, rtol=0)


def test_the_head_steps_away_from_the_linear_prediction(batch):
    net = filled_with_constants(network())
    torch.nn.init.zeros_(net.head.layers[-1].weight)
    torch.nn.init.constant_(net.head.layers[-1].bias, 0.7)
    expected = torch.sigmoid(torch.logit(torch.tensor(0.2)) + 0.7)
    torch.testing.assert_close(net(batch).traits, expected.expand(3, 5))


def test_autocast_makes_the_linear_prediction_no_coarser(batch):
    net = filled_at_random(network())
    features = net.features(batch)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        coarse = net.linear_path(features)
    assert torch.equal(coarse, net.linear_path(features))


def test_features_of_half_precision_are_predicted_too(batch):
    net = filled_at_random(network())
    features = net.features(batch)
    half = {name: tuple(one.bfloat16() for one in getattr(features, name)) for name in ("audio", "visual")}
    half = replace(features, **half)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        predictions = net.linear_path(half)
    assert predictions.dtype == torch.float32
    torch.testing.assert_close(predictions, net.linear_path(features), atol=0.02, rtol=0)


def test_the_linear_path_is_not_trained_by_gradient():
    assert "both_weights" in dict(network().linear_path.named_buffers())
    assert not list(network().linear_path.parameters())


def test_predictions_that_are_known_already_are_taken_instead(batch):
    net = without_steps(filled_with_constants(network()))
    known = torch.tensor([0.1, 0.3, 0.9])[None, :, None].expand(3, 3, 5)
    features = replace(net.features(batch), linear=known)
    torch.testing.assert_close(net(features).traits, torch.full((3, 5), 0.1))
    features = replace(features, present=torch.tensor([PRESENT["visual"]] * 3))
    torch.testing.assert_close(net(features).traits, torch.full((3, 5), 0.9))


def test_prediction_of_nothing_is_that_of_both():
    predictions = torch.arange(12.0).reshape(4, 3, 1).expand(4, 3, 5)
    chosen = linear_prediction(
        torch.tensor([list(PRESENT[what]) for what in ("both", "audio", "visual", "nothing")]), predictions
    )
    assert chosen[:, 0].tolist() == [0, 4, 8, 9]


# kept features


@pytest.mark.parametrize("fusion", ["cross_attention", "concat", "audio", "visual"])
@pytest.mark.parametrize("backbones", BACKBONES)
def test_a_clip_is_predicted_from_its_features_as_from_its_inputs_bit_for_bit(fusion, backbones):
    net = filled_at_random(network(fusion, backbones))
    inputs = collate([window(7)])
    with torch.inference_mode():
        kept = Features(**{f.name: getattr(net.features(inputs), f.name) for f in fields(Features)})
        one, other = net(inputs, return_intermediates=True), net(kept, return_intermediates=True)
    assert torch.equal(one.traits, other.traits)
    assert torch.equal(one.quality, other.quality)
    assert all(torch.equal(other.intermediates[name], tensor) for name, tensor in one.intermediates.items())


def test_a_modality_that_is_not_read_has_no_channels(batch):
    sound, frames = network("audio"), network("visual")
    assert (sound.features(batch).visual[0].shape[2], frames.features(batch).audio[0].shape[1]) == (0, 0)
    assert (sound.groups, frames.groups) == (((80,), ()), ((), (16, 4)))


def without_batch(features: Features) -> Features:
    """The only clip of a batch."""

    def first(value):
        return tuple(one[0] for one in value) if isinstance(value, tuple) else None if value is None else value[0]

    return Features(**{field.name: first(getattr(features, field.name)) for field in fields(Features)})


@pytest.mark.parametrize("fusion", ["cross_attention", "audio", "visual"])
def test_the_features_of_a_clip_in_a_padded_batch_give_the_prediction_of_the_clip_alone(fusion):
    net = filled_at_random(network(fusion))
    with torch.inference_mode():
        short = net.features(collate([window(1)]))
        cut = {"boxes": short.boxes[:, :2], "frame_mask": short.frame_mask[:, :2]}
        short = replace(short, visual=tuple(one[:, :2] for one in short.visual), **cut)
        long = net.features(collate([window(2)]))
        alone, other = without_batch(short), without_batch(long)
        together = net(collate([alone, other])).traits[0]
        torch.testing.assert_close(together, net(collate([alone])).traits[0], atol=1e-5, rtol=0)


def test_without_its_backbones_a_network_predicts_from_features_and_gives_their_tensors_back():
    net = network()
    whole = net.state_dict()
    inputs = collate([window(1)])
    with torch.inference_mode():
        features, expected = net.features(inputs), net(inputs).traits
        taken = net.take_backbones()
        assert torch.equal(net(features).traits, expected)
    assert all(".backbone." in name for name in taken)
    assert not any(".backbone." in name for name in net.state_dict())
    together = net.state_dict() | taken
    assert together.keys() == whole.keys()
    assert all(torch.equal(together[name], tensor) for name, tensor in whole.items())
    assert net.take_backbones() == {}
