"""The network: what it predicts, what it never looks at, and what each part of the configuration builds."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from msma.config import ClipConfig, ConfigError, ModelConfig, TrainConfig
from msma.media.audio import hop_samples
from msma.model.msma_net import MsMANet
from msma.model.tensors import Inputs
from msma.training.losses import training_loss, trait_loss
from msma.types import AUDIO_STATISTICS, VISUAL_STATISTICS

WIDTH, CROP, MELS, FRAMES, STEPS = 32, 32, 16, 5, 60
TOKENS = -(-STEPS // 8)
"""Audio tokens of STEPS log-mel steps: the small backbone halves time three times."""
CLIP = ClipConfig(crop_size=CROP, mels=MELS)
HOP = hop_samples(CLIP)


def network(**values) -> MsMANet:
    """A tiny network without dropout, the same on each call; its prior is not the default."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        net = MsMANet(ModelConfig(**{"width": WIDTH, "map_channels": 32, "dropout": 0.0, **values}), CLIP)
    net.head.prior.copy_(torch.tensor([0.3, 0.4, 0.5, 0.6, 0.7]))
    return net.eval()


def random_inputs(clips: int, frames: int = FRAMES, steps: int = STEPS, seed: int = 0, segments: int = 2) -> Inputs:
    """A batch with everything present and nothing masked."""
    generator = torch.Generator().manual_seed(seed)
    return Inputs(
        frames=torch.randint(0, 256, (clips, frames, 3, CROP, CROP), generator=generator, dtype=torch.uint8),
        boxes=torch.rand(clips, frames, 4, generator=generator),
        frame_mask=torch.ones(clips, frames, dtype=torch.bool),
        log_mel=torch.rand(clips, MELS, steps, generator=generator) * 2 - 1,
        mel_mask=torch.ones(clips, steps, dtype=torch.bool),
        waveform=torch.rand(clips, steps * HOP, generator=generator) * 2 - 1,
        present=torch.ones(clips, 2, dtype=torch.bool),
        audio_statistics=torch.randn(clips, segments, AUDIO_STATISTICS, generator=generator),
        visual_statistics=torch.randn(clips, segments, VISUAL_STATISTICS, generator=generator),
        segment_mask=torch.ones(clips, segments, 2, dtype=torch.bool),
    )


def lacking(inputs: Inputs, *modalities: str) -> Inputs:
    present = inputs.present.clone()
    for modality in modalities:
        present[:, ("audio", "visual").index(modality)] = False
    return replace(inputs, present=present)


def mixed_presence() -> Inputs:
    """Eight clips, of which some lack a modality."""
    inputs = random_inputs(8)
    inputs.present[1, 0] = inputs.present[2, 1] = inputs.present[5, 0] = False
    return inputs


def padded_with_garbage(inputs: Inputs, frames: int, steps: int) -> Inputs:
    """The same clips, longer by masked places that hold anything."""
    clips = inputs.present.shape[0]
    more = random_inputs(clips, frames, steps, seed=99, segments=1)
    return Inputs(
        frames=torch.cat([inputs.frames, more.frames], dim=1),
        boxes=torch.cat([inputs.boxes, 100 * more.boxes], dim=1),
        frame_mask=F.pad(inputs.frame_mask, (0, frames)),
        log_mel=torch.cat([inputs.log_mel, 100 * more.log_mel], dim=2),
        mel_mask=F.pad(inputs.mel_mask, (0, steps)),
        waveform=torch.cat([inputs.waveform, more.waveform], dim=1),
        present=inputs.present,
        audio_statistics=torch.cat([inputs.audio_statistics, more.audio_statistics], dim=1),
        visual_statistics=torch.cat([inputs.visual_statistics, more.visual_statistics], dim=1),
        segment_mask=F.pad(inputs.segment_mask, (0, 0, 0, 1)),
    )


def assert_same_prediction(one, other, atol: float = 1e-5) -> None:
    for name in ("traits", "quality", "weights"):
        torch.testing.assert_close(getattr(one, name), getattr(other, name), atol=atol, rtol=0)


# what it predicts


def test_traits_and_quality_are_in_the_unit_interval_and_weights_sum_to_one():
    output = network()(random_inputs(3))
    assert output.traits.shape == (3, 5)
    assert output.quality.shape == output.weights.shape == (3, 2)
    for values in (output.traits, output.quality, output.weights):
        assert ((values > 0) & (values < 1)).all()
    torch.testing.assert_close(output.weights.sum(dim=1), torch.ones(3))


def test_different_clips_get_different_predictions():
    traits = network()(random_inputs(2)).traits
    assert (traits[0] - traits[1]).abs().max() > 1e-4


@pytest.mark.parametrize("fusion", ["cross_attention", "concat"])
def test_without_both_modalities_the_prediction_is_the_mean_label_baseline(fusion):
    net = network(fusion=fusion)
    output = net(lacking(random_inputs(2), "audio", "visual"))
    torch.testing.assert_close(output.traits, net.head.prior.expand(2, 5))
    assert (output.quality == 0).all()
    assert (output.weights == 0).all()


@pytest.mark.parametrize(("missing", "quality_of_rest"), [("audio", 1), ("visual", 0)])
def test_a_missing_modality_has_no_quality_and_no_weight(missing, quality_of_rest):
    output = network()(lacking(random_inputs(2), missing))
    assert (output.quality[:, 1 - quality_of_rest] == 0).all()
    assert (output.quality[:, quality_of_rest] > 0).all()
    torch.testing.assert_close(output.weights[:, quality_of_rest], torch.ones(2))


@pytest.mark.parametrize("missing", ["audio", "visual"])
def test_with_one_modality_the_prediction_still_depends_on_the_clip(missing):
    traits = network()(lacking(random_inputs(2), missing)).traits
    assert (traits[0] - traits[1]).abs().max() > 1e-4


def test_each_summary_counts_by_the_weight_of_its_modality():
    """Twice the weight, so that equal weights leave the summaries as they are."""
    output = network()(random_inputs(3), return_intermediates=True)
    named = output.intermediates
    torch.testing.assert_close(named["fused"], 2 * output.weights[..., None] * named["summaries"])


def test_in_evaluation_the_same_batch_gives_the_same_prediction_twice():
    net = network(dropout=0.5)
    inputs = random_inputs(2)
    assert torch.equal(net(inputs).traits, net(inputs).traits)


# what it never looks at


@pytest.mark.parametrize("fusion", ["cross_attention", "concat", "audio", "visual"])
@pytest.mark.parametrize(("frames", "steps"), [(FRAMES, STEPS), (4, 57), (1, 1)])
def test_a_clip_alone_equals_the_same_clip_in_a_padded_batch(fusion, frames, steps):
    net = network(fusion=fusion)
    clip = random_inputs(1, frames, steps)
    longer = random_inputs(1, 9, 83, seed=5, segments=3)
    padded = padded_with_garbage(clip, 9 - frames, 83 - steps)
    read = {name: tensor for name, tensor in vars(longer).items() if tensor is not None}
    batch = Inputs(**{name: torch.cat([getattr(padded, name), tensor]) for name, tensor in read.items()})
    together = net(batch)
    alone = net(clip)
    first = replace(together, traits=together.traits[:1], quality=together.quality[:1], weights=together.weights[:1])
    assert_same_prediction(alone, first)


def test_the_content_of_masked_places_does_not_matter():
    net = network()
    inputs, other = random_inputs(2), random_inputs(2, seed=1)
    frame_mask, mel_mask = inputs.frame_mask.clone(), inputs.mel_mask.clone()
    frame_mask[:, 1::2] = False
    mel_mask[:, 20:45] = False
    masked = replace(inputs, frame_mask=frame_mask, mel_mask=mel_mask)
    changed = replace(
        masked,
        frames=torch.where(frame_mask[:, :, None, None, None], inputs.frames, other.frames),
        boxes=torch.where(frame_mask[:, :, None], inputs.boxes, 50 * other.boxes),
        log_mel=torch.where(mel_mask[:, None, :], inputs.log_mel, 50 * other.log_mel),
        waveform=torch.where(mel_mask.repeat_interleave(HOP, dim=1), inputs.waveform, other.waveform),
    )
    assert_same_prediction(net(masked), net(changed), atol=1e-6)
    assert (net(masked).traits - net(inputs).traits).abs().max() > 1e-5


@pytest.mark.parametrize("missing", ["audio", "visual"])
def test_a_missing_modality_equals_one_that_holds_garbage(missing):
    net = network()
    inputs, other = random_inputs(2), random_inputs(2, frames=3, steps=20, seed=1)
    if missing == "audio":
        sound = {"log_mel": 100 * other.log_mel, "waveform": other.waveform}
        changed = replace(inputs, **sound, mel_mask=torch.zeros_like(other.mel_mask))
    else:
        changed = replace(inputs, frames=other.frames, boxes=other.boxes, frame_mask=torch.zeros_like(other.frame_mask))
    assert_same_prediction(net(lacking(inputs, missing)), net(lacking(changed, missing)))


@pytest.mark.parametrize("missing", ["audio", "visual"])
def test_a_modality_of_which_all_is_masked_counts_as_missing(missing):
    net = network()
    inputs = random_inputs(2)
    name = "mel_mask" if missing == "audio" else "frame_mask"
    masked = replace(inputs, **{name: torch.zeros_like(getattr(inputs, name))})
    assert_same_prediction(net(masked), net(lacking(inputs, missing)))


def test_audio_of_which_no_token_is_left_counts_as_missing():
    net = network()
    inputs = random_inputs(2)
    between_tokens = torch.zeros_like(inputs.mel_mask)
    between_tokens[:, 9:16] = True
    assert_same_prediction(net(replace(inputs, mel_mask=between_tokens)), net(lacking(inputs, "audio")))


@pytest.mark.parametrize(("fusion", "other"), [("audio", "visual"), ("visual", "audio")])
def test_a_network_of_one_modality_ignores_the_other_altogether(fusion, other):
    net = network(fusion=fusion)
    inputs, changed = random_inputs(2), random_inputs(2, seed=1)
    ours = (
        ("log_mel", "waveform", "mel_mask", "audio_statistics")
        if fusion == "audio"
        else ("frames", "boxes", "frame_mask", "visual_statistics")
    )
    mixed = replace(changed, **{name: getattr(inputs, name) for name in ours})
    assert_same_prediction(net(inputs), net(mixed), atol=0)
    assert_same_prediction(net(inputs), net(lacking(inputs, other)), atol=0)


@pytest.mark.parametrize(("fusion", "other"), [("audio", "visual"), ("visual", "audio")])
def test_a_network_of_one_modality_gives_the_other_no_quality_and_no_weight(fusion, other):
    output = network(fusion=fusion)(random_inputs(2))
    unread = ("audio", "visual").index(other)
    assert (output.quality[:, unread] == 0).all()
    assert (output.weights[:, unread] == 0).all()


# intermediates

BRANCHES = [f"{modality}_{stage}" for modality in ("audio", "visual") for stage in ("spatial", "temporal")]
NAMED = {
    *(f"{branch}_{part}" for branch in BRANCHES for part in ("scale_0", "scale_1", "scale_2", "channel_attention")),
    *(f"{modality}_temporal_scale_3" for modality in ("audio", "visual")),
    *("attention_audio_to_visual", "attention_visual_to_audio", "summaries", "stand_in", "fused", "linear_prediction"),
    *("audio_traits", "visual_traits", "imputed_audio", "imputed_visual", "from_audio", "from_visual"),
    *("audio_quality_in_time", "visual_quality_in_time"),
}


def intermediates(net: MsMANet, inputs: Inputs) -> dict[str, Tensor]:
    named = net(inputs, return_intermediates=True).intermediates
    assert named is not None
    return named


def test_every_intermediate_has_its_documented_name():
    assert set(intermediates(network(), random_inputs(2))) == NAMED


def test_the_quality_of_a_clip_is_the_mean_over_its_segments_and_that_of_a_masked_one_is_zero():
    inputs = random_inputs(2, segments=4)
    inputs.segment_mask[0, 2:, 0] = inputs.segment_mask[1, 1, 1] = False
    output = network()(inputs, return_intermediates=True)
    for place, modality in enumerate(("audio", "visual")):
        in_time, mask = output.named[f"{modality}_quality_in_time"], inputs.segment_mask[..., place]
        assert ((in_time > 0) == mask).all()
        torch.testing.assert_close(output.quality[:, place], in_time.sum(dim=1) / mask.sum(dim=1))


def test_tokens_have_the_quality_of_their_second_without_gradient():
    net, inputs = network(), random_inputs(1, frames=8, steps=125)  # two seconds
    for modality, tokens in (("audio", 16), ("visual", 8)):
        branch, named = net.encode(modality, net.features(inputs))
        assert not branch.token_quality.requires_grad
        in_time = named[f"{modality}_quality_in_time"]
        torch.testing.assert_close(branch.token_quality, in_time.detach().repeat_interleave(tokens // 2, dim=1))


def test_the_token_of_what_is_missing_is_not_poor():
    net = network()
    branch, _ = net.encode("audio", net.features(lacking(random_inputs(2), "audio")))
    assert (net.fill("audio", branch).token_quality == 1).all()


def test_intermediates_are_not_collected_unless_asked_for():
    assert network()(random_inputs(2)).intermediates is None


@pytest.mark.parametrize("fusion", ["cross_attention", "concat", "audio", "visual"])
def test_asking_for_intermediates_does_not_change_the_prediction(fusion):
    net, inputs = network(fusion=fusion), mixed_presence()
    assert_same_prediction(net(inputs), net(inputs, return_intermediates=True), atol=0)


def test_without_the_unimodal_outputs_the_prediction_and_the_other_intermediates_stay():
    net, inputs = network(), mixed_presence()
    whole, less = (net(inputs, return_intermediates=True, unimodal=unimodal) for unimodal in (True, False))
    assert_same_prediction(whole, less, atol=0)
    unread = {"audio_traits", "visual_traits", "imputed_audio", "imputed_visual", "from_audio", "from_visual"}
    assert NAMED - less.named.keys() == unread
    assert all(torch.equal(whole.named[name], tensor) for name, tensor in less.named.items())


@pytest.mark.parametrize(("alone", "other"), [("audio", "visual"), ("visual", "audio")])
def test_the_reading_from_one_modality_is_that_of_a_clip_without_the_other(alone, other):
    net, inputs = network(), random_inputs(2)
    torch.testing.assert_close(
        intermediates(net, inputs)[f"{alone}_traits"], net(lacking(inputs, other)).traits, atol=1e-6, rtol=0
    )


@pytest.mark.parametrize(("missing", "place"), [("audio", 0), ("visual", 1)])
def test_the_imputed_summary_is_what_stands_in_for_a_missing_modality(missing, place):
    net, inputs = network(), random_inputs(2)
    imputed = intermediates(net, inputs)[f"imputed_{missing}"]
    torch.testing.assert_close(intermediates(net, lacking(inputs, missing))["fused"][:, place], imputed)


@pytest.mark.parametrize(
    ("name", "queries", "keys"),
    [("attention_audio_to_visual", TOKENS, FRAMES), ("attention_visual_to_audio", FRAMES, TOKENS)],
)
def test_attention_maps_have_a_row_for_each_token_of_the_one_and_a_column_for_each_of_the_other(name, queries, keys):
    assert intermediates(network(heads=2), random_inputs(3))[name].shape == (3, 2, queries, keys)


# each part of the configuration

FULL = {
    "full": {},
    "no scales": {"spatial_scales": (), "temporal_scales_s": ()},
}
ABLATIONS = {
    "no spatial scales": ({"spatial_scales": ()}, ".spatial."),
    "no temporal scales": ({"temporal_scales_s": ()}, ".temporal."),
    "no channel attention": ({"channel_attention": False}, ".attention."),
    "concat": ({"fusion": "concat"}, "fusion."),
    "audio only": ({"fusion": "audio"}, "visual_encoder."),
    "visual only": ({"fusion": "visual"}, "audio_encoder."),
    "no imputation": ({"imputation": False}, "imputer."),
}


@pytest.mark.parametrize(("values", "removed"), ABLATIONS.values(), ids=ABLATIONS)
def test_an_ablation_removes_its_parameters(values, removed):
    full, ablated = ({name for name, _ in network(**v).named_parameters()} for v in ({}, values))
    assert any(removed in name for name in full)
    assert not any(removed in name for name in ablated)
    assert ablated < full


@pytest.mark.parametrize(("fusion", "other"), [("audio", "visual"), ("visual", "audio")])
def test_a_modality_that_is_not_read_has_no_parameters(fusion, other):
    net = network(fusion=fusion)
    assert not [name for name, _ in net.named_parameters() if other in name]


def test_without_adaptive_weighting_what_is_present_counts_equally():
    weights = network()(mixed_presence()).weights[:4]
    assert weights.tolist() == [[0.5, 0.5], [0.0, 1.0], [1.0, 0.0], [0.5, 0.5]]


def test_without_imputation_the_learned_token_stands_in():
    net, inputs = network(imputation=False), lacking(random_inputs(2), "audio")
    before = net(inputs).traits
    with torch.no_grad():
        net.missing["audio"].token.copy_(torch.randn(WIDTH, generator=torch.Generator().manual_seed(0)))
    assert (net(inputs).traits - before).abs().max() > 1e-5


@pytest.mark.parametrize("scales", [(), (1,), (3, 7)], ids=str)
def test_scales_name_as_many_branches(scales):
    named = intermediates(network(spatial_scales=scales), random_inputs(1))
    assert sum(name.startswith("visual_spatial_scale_") for name in named) == len(scales)


@pytest.mark.parametrize("values", [*FULL.values(), *(v for v, _ in ABLATIONS.values())], ids=[*FULL, *ABLATIONS])
def test_gradients_reach_every_parameter(values):
    """In one training step."""
    net = network(**values).train()
    inputs = mixed_presence()
    target, quality = torch.rand(8, 5), torch.rand(8, inputs.segment_mask.shape[1], 2)
    training_loss(net(inputs, return_intermediates=True), inputs.present, target, quality, TrainConfig()).backward()
    reached = {name for name, p in net.named_parameters() if p.grad is not None and p.grad.abs().max() > 1e-8}
    assert {name for name, _ in net.named_parameters()} == reached
    assert all(torch.isfinite(p.grad).all() for p in net.parameters() if p.grad is not None)


@pytest.mark.parametrize("key", ["visual_backbone", "audio_backbone"])
def test_an_unknown_backbone_is_named(key):
    with pytest.raises(ConfigError, match=f"model.{key}: 'resnet-9000' is unknown; known: .*small"):
        network(**{key: "resnet-9000"})


@pytest.mark.parametrize("fusion", ["cross_attention", "audio", "visual"])
def test_one_batch_is_overfitted(fusion):
    net, inputs = network(fusion=fusion).train(), random_inputs(6, frames=3, steps=40)
    target = 0.2 + 0.6 * torch.rand(6, 5, generator=torch.Generator().manual_seed(2))
    optimizer = torch.optim.Adam(net.parameters(), lr=3e-3)
    losses = []
    for _ in range(60):
        loss = trait_loss(net(inputs).traits, target, 0.5)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.2 * losses[0]
