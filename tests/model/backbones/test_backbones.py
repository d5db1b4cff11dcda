"""The seam: what every backbone promises, whichever it is."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from msma.config import ClipConfig, ConfigError
from msma.model.backbones.backbone import AudioBackbone, VisualBackbone, at_rate
from msma.model.backbones.by_name import audio_backbone, visual_backbone

CLIP = ClipConfig()
HOP = 256
"""Samples of a log-mel step of CLIP."""
VISUAL = {
    "small": None,
    "efficientnet_lite0": None,
    "hf:resnet": {"config": {"model_type": "resnet", "embedding_size": 8, "hidden_sizes": [8, 16], "depths": [1, 1]}},
    "hf:vit": {
        "config": {
            "model_type": "vit",
            "hidden_size": 16,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "intermediate_size": 32,
            "image_size": 32,
            "patch_size": 8,
        },
        "preprocessor": {"image_mean": [0.5, 0.4, 0.3], "image_std": [0.5, 0.6, 0.7]},
    },
}
WAV2VEC2 = {
    "model_type": "wav2vec2",
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "conv_dim": [8, 8, 8],
    "conv_kernel": [10, 3, 3],
    "conv_stride": [5, 4, 4],
    "num_conv_pos_embeddings": 16,
    "num_conv_pos_embedding_groups": 2,
}
AUDIO = {
    "small": None,
    "ge2e": None,
    "mfcc": None,
    "prosody": None,
    "ge2e+mfcc": None,
    "hf:wav2vec2": {"config": WAV2VEC2, "preprocessor": {"do_normalize": True, "sampling_rate": 16000}},
    "hf:wav2vec2-layer": {"config": WAV2VEC2 | {"feat_extract_norm": "layer", "do_stable_layer_norm": True}},
}

every_visual = pytest.mark.parametrize("name", VISUAL)
every_audio = pytest.mark.parametrize("name", AUDIO)


def visual(name: str) -> VisualBackbone:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return visual_backbone(name, VISUAL[name]).eval()


def audio(name: str) -> AudioBackbone:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return audio_backbone(name, AUDIO[name], CLIP).eval()


def sound(clips: int, steps: int, seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    """Log-mel, waveform and a mask that keeps all; noise whose loudness wanders."""
    generator = torch.Generator().manual_seed(seed)
    log_mel = torch.rand(clips, CLIP.mels, steps, generator=generator) * 2 - 1
    envelope = torch.rand(clips, steps, generator=generator).repeat_interleave(HOP, dim=1)
    waveform = 0.1 * envelope * torch.randn(clips, steps * HOP, generator=generator)
    return log_mel, waveform, torch.ones(clips, steps, dtype=torch.bool)


def frames(count: int, side: int, seed: int = 0) -> Tensor:
    return torch.rand(count, 3, side, side, generator=torch.Generator().manual_seed(seed))


def run(backbone: torch.nn.Module, *inputs: Tensor):
    with torch.inference_mode():
        return backbone(*inputs)


# frames


@every_visual
@pytest.mark.parametrize("side", [32, 64, 81, 100])
def test_a_side_of_s_pixels_becomes_s_by_stride_rounded_up(name, side):
    backbone = visual(name)
    cells = [-(-side // stride) for stride in backbone.strides]
    promised = [(2, channels, side, side) for channels, side in zip(backbone.channels, cells, strict=True)]
    assert [one.shape for one in run(backbone, frames(2, side))] == promised


@every_visual
def test_a_frame_does_not_depend_on_those_beside_it(name):
    backbone = visual(name).train()
    alone, together = run(backbone, frames(1, 64)), run(backbone, torch.cat([frames(1, 64), frames(3, 64, 1)]))
    for one, other in zip(alone, together, strict=True):
        torch.testing.assert_close(one[0], other[0], atol=1e-5, rtol=1e-5)


# audio


@every_audio
def test_maps_have_the_promised_channels_and_bands_and_a_mask_for_each_step(name):
    backbone = audio(name)
    maps, mask = run(backbone, *sound(2, 300))
    promised = [(2, *size, mask.shape[1]) for size in zip(backbone.channels, backbone.bands, strict=True)]
    assert [one.shape for one in maps] == promised
    assert mask.all()
    assert all(torch.isfinite(one).all() for one in maps)


@every_audio
def test_tokens_are_as_far_apart_as_promised(name):
    backbone = audio(name)
    shorter, longer = (run(backbone, *sound(1, steps))[1].shape[1] for steps in (500, 1000))
    assert (longer - shorter) * backbone.step == pytest.approx(8 * 16000, abs=backbone.step)


@every_audio
@pytest.mark.parametrize("steps", [1, 3, 40, 99, 100, 101, 160, 187])
def test_a_clip_alone_has_the_tokens_that_it_has_in_a_padded_batch(name, steps):
    backbone = audio(name)
    log_mel, waveform, mask = sound(1, steps)
    other_mel, other_waveform, other_mask = sound(2, 400, seed=1)
    more = 400 - steps
    batch = (
        torch.cat([torch.cat([log_mel, 50 * other_mel[:1, :, :more]], dim=2), other_mel[1:]]),
        torch.cat([torch.cat([waveform, 50 * other_waveform[:1, : more * HOP]], dim=1), other_waveform[1:]]),
        torch.cat([F.pad(mask, (0, more)), other_mask[1:]]),
    )
    alone, alone_mask = run(backbone, log_mel, waveform, mask)
    together, together_mask = run(backbone, *batch)
    tokens = alone_mask.shape[1]
    assert alone_mask.any()
    assert together_mask[0].tolist() == alone_mask[0].tolist() + [False] * (together_mask.shape[1] - tokens)
    for one, other in zip(together, alone, strict=True):
        torch.testing.assert_close(one[:1, :, :, :tokens], other, atol=1e-5, rtol=1e-5)


@every_audio
def test_the_content_of_masked_steps_does_not_matter(name):
    backbone = audio(name)
    log_mel, waveform, mask = sound(2, 300)
    other_mel, other_waveform, _ = sound(2, 300, seed=1)
    mask[0, 110:130] = False
    mask[1, 250:] = False
    samples = mask.repeat_interleave(HOP, dim=1)
    changed = torch.where(mask[:, None], log_mel, 50 * other_mel), torch.where(samples, waveform, 50 * other_waveform)
    one, other = run(backbone, log_mel, waveform, mask), run(backbone, *changed, mask)
    assert torch.equal(one[1], other[1])
    whole = run(backbone, log_mel, waveform, torch.ones_like(mask))[0]
    for masked, as_changed, unmasked in zip(one[0], other[0], whole, strict=True):
        torch.testing.assert_close(masked, as_changed, atol=1e-6, rtol=1e-6)
        assert (unmasked - masked).abs().max() > 1e-3


@every_audio
def test_steps_that_are_not_kept_are_zero(name):
    log_mel, waveform, mask = sound(1, 400)
    mask[:, 130:] = False
    maps, kept = run(audio(name), log_mel, waveform, mask)
    assert not kept.all()
    assert all((one.transpose(1, 3)[~kept] == 0).all() for one in maps)


@every_audio
def test_of_a_clip_of_which_nothing_is_kept_no_step_is_kept(name):
    log_mel, waveform, mask = sound(1, 200)
    maps, kept = run(audio(name), log_mel, waveform, torch.zeros_like(mask))
    assert not kept.any()
    assert all((one == 0).all() for one in maps)


@every_audio
def test_digital_silence_gives_finite_maps(name):
    log_mel, waveform, mask = sound(1, 200)
    maps, _ = run(audio(name), torch.full_like(log_mel, -1), torch.zeros_like(waveform), mask)
    assert all(torch.isfinite(one).all() for one in maps)


# both


def backbones() -> list:
    return [
        *(pytest.param(visual, name, id=f"visual {name}") for name in VISUAL),
        *(pytest.param(audio, name, id=f"audio {name}") for name in AUDIO),
    ]


@pytest.mark.parametrize(("build", "name"), backbones())
def test_every_parameter_belongs_to_one_stage(build, name):
    backbone = build(name)
    of_stages = [id(parameter) for stage in backbone.stages for parameter in stage.parameters()]
    assert sorted(of_stages) == sorted(id(parameter) for parameter in backbone.parameters())


@pytest.mark.parametrize(("build", "name"), backbones())
def test_shapes_are_known_without_memory(build, name):
    """Weights from elsewhere are checked against these before anything is allocated."""
    with torch.device("meta"):
        shapes = {key: tensor.shape for key, tensor in build(name).state_dict().items()}
    assert shapes == {key: tensor.shape for key, tensor in build(name).state_dict().items()}


def test_stacked_backbones_give_the_channels_of_each():
    stacked = audio("ge2e+mfcc")
    inputs = sound(2, 300)
    maps, mask = run(stacked, *inputs)
    of_parts = [run(part, *inputs)[0][0] for part in stacked.parts]
    torch.testing.assert_close(maps, (torch.cat(of_parts, dim=1),))
    assert mask.all()


def test_stacked_backbones_of_different_rates_are_brought_to_eight_tokens_a_second():
    stacked = audio_backbone("mfcc+hf:wav2vec2", AUDIO["hf:wav2vec2"], CLIP).eval()
    maps, mask = run(stacked, *sound(1, 500))
    assert stacked.step == 2000
    assert (maps[0].shape, mask.shape) == ((1, 80 + 16, 1, 64), (1, 64))


def test_the_levels_of_stacked_backbones_stand_together_from_the_last():
    stacked = audio_backbone("mfcc+hf:wav2vec2", AUDIO["hf:wav2vec2"], CLIP, hidden_layers=2).eval()
    maps, _ = run(stacked, *sound(1, 500))
    assert [one.shape[1] for one in maps] == list(stacked.channels) == [16, 80 + 16]


def test_backbones_with_bands_are_not_stacked():
    with pytest.raises(ConfigError, match=r"'ge2e\+small' joins backbones of which one has bands"):
        audio_backbone("ge2e+small", None, CLIP)


def ramp(steps: int, step: int, reach: int) -> Tensor:
    """Maps that hold the middle of each of their steps, in samples."""
    return (torch.arange(steps) * step + reach / 2)[None, None, None]


@pytest.mark.parametrize(("step", "reach", "steps"), [(320, 400, 250), (12800, 25600, 6), (2000, 2000, 40)])
def test_another_rate_keeps_the_time_of_what_changes_evenly(step, reach, steps):
    found, mask = at_rate(ramp(steps, step, reach), torch.ones(1, steps, dtype=torch.bool), step, reach, 2000, 80_000)
    middles = (torch.arange(40) + 0.5) * 2000
    within = (middles > 3000 + reach) & (middles < 80_000 - 3000 - reach)
    assert (found.shape[3], mask.all()) == (40, True)
    torch.testing.assert_close(found[0, 0, 0, within], middles[within], atol=10.0, rtol=0)


def test_another_rate_reads_nothing_of_what_is_masked():
    maps, mask = torch.ones(1, 1, 1, 250), torch.ones(1, 250, dtype=torch.bool)
    mask[:, 100:150] = False
    found, kept = at_rate(torch.where(mask, maps, 50.0), mask, 320, 400, 2000, 80_000)
    assert set(found[0, 0, 0].tolist()) == {0.0, 1.0} or torch.allclose(found[0, 0, 0, kept[0]], torch.ones(1))
    assert (~kept).sum() == 8


@pytest.mark.parametrize(("step", "reach"), [(320, 400), (1024, 1024), (12800, 25600)])
@pytest.mark.parametrize("steps", [3, 7, 12])
def test_another_rate_is_the_same_whatever_a_clip_is_padded_to(step, reach, steps):
    maps, mask = torch.rand(1, 2, 3, steps), torch.ones(1, steps, dtype=torch.bool)
    found, kept = at_rate(maps, mask, step, reach, 2000, steps * step)
    padded = F.pad(maps, (0, 30)), F.pad(mask, (0, 30))
    longer, kept_longer = at_rate(*padded, step, reach, 2000, (steps + 30) * step)
    tokens = kept.shape[1]
    assert torch.equal(kept_longer[:, :tokens], kept)
    torch.testing.assert_close(longer[..., :tokens], found)


def test_a_finer_rate_than_a_backbones_own_goes_from_step_to_step_in_a_line():
    maps = torch.tensor([0.0, 1.0, 0.0])[None, None, None]
    found, _ = at_rate(maps, torch.ones(1, 3, dtype=torch.bool), 16_000, 16_000, 2000, 48_000)
    expected = np.interp((np.arange(24) + 0.5) / 8, [0.5, 1.5, 2.5], [0, 1, 0])
    np.testing.assert_allclose(found[0, 0, 0], expected, atol=1e-6)


@pytest.mark.parametrize("name", ["resnet-9000", "", "ge2e+", "small+nothing"])
def test_an_unknown_audio_backbone_is_named_beside_the_known_ones(name):
    with pytest.raises(
        ConfigError,
        match=r"model.audio_backbone: .* is unknown; known: small, small:<weights>, ge2e, mfcc, prosody, hf:",
    ):
        audio_backbone(name, None, CLIP)


def test_an_unknown_visual_backbone_is_named_beside_the_known_ones():
    with pytest.raises(ConfigError, match=r"'ge2e' is unknown; known: small, small:<weights>, efficientnet_lite0, hf:"):
        visual_backbone("ge2e", None)


def test_the_small_audio_backbone_is_blind_to_what_halving_of_time_would_alias():
    """A log-mel that changes from step to step is the same as its mean, away from the ends."""
    grey, waveform, mask = sound(1, 400)
    grey = grey.mean(dim=2, keepdim=True).expand_as(grey)
    striped = grey + torch.arange(400) % 2 - 0.5
    of_striped, of_grey = (run(audio("small"), log_mel, waveform, mask)[0] for log_mel in (striped, grey))
    for one, other in zip(of_striped, of_grey, strict=True):
        assert torch.allclose(one[..., 10:-10], other[..., 10:-10], atol=1e-5)
        assert not torch.equal(one, other)
