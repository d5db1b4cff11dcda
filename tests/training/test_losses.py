"""What training minimises."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from msma import metrics
from msma.config import TrainConfig
from msma.model.tensors import ModelOutput
from msma.training.losses import ccc_loss, halves, outputs_loss, training_loss, trait_loss

CLIPS, WIDTH, SEGMENTS = 6, 8, 3
NAMED = (
    *("audio_traits", "visual_traits", "summaries", "imputed_audio", "imputed_visual"),
    *("audio_quality_in_time", "visual_quality_in_time"),
)
CLEAN = torch.ones(CLIPS, SEGMENTS, 2)
"""The quality of clips that nothing has damaged."""


@pytest.fixture
def output() -> ModelOutput:
    """An answer of a network, every tensor a leaf with gradient."""
    generator = torch.Generator().manual_seed(0)

    def leaf(*shape: int) -> Tensor:
        return torch.rand(shape, generator=generator).requires_grad_()

    shapes = ((CLIPS, 5), (CLIPS, 5), (CLIPS, 2, WIDTH), (CLIPS, WIDTH), (CLIPS, WIDTH), *[(CLIPS, SEGMENTS)] * 2)
    named = {name: leaf(*shape) for name, shape in zip(NAMED, shapes, strict=True)}
    return ModelOutput(leaf(CLIPS, 5), leaf(CLIPS, 2), torch.full((CLIPS, 2), 0.5), named)


@pytest.fixture
def target() -> Tensor:
    return torch.rand(CLIPS, 5, generator=torch.Generator().manual_seed(1))


def quality_in_time(output: ModelOutput) -> Tensor:
    return torch.stack([output.named[f"{modality}_quality_in_time"] for modality in ("audio", "visual")], dim=-1)


def gradient(leaf: Tensor) -> Tensor:
    return torch.zeros_like(leaf) if leaf.grad is None else leaf.grad


def test_ccc_loss_is_one_minus_the_metric(output, target):
    expected = 1 - metrics.ccc(output.traits.detach().double().numpy(), target.double().numpy()).mean()
    assert ccc_loss(output.traits, target).item() == pytest.approx(expected, abs=1e-6)


def test_trait_loss_is_l1_plus_the_weighted_ccc_term(output, target):
    expected = (output.traits - target).abs().mean() + 0.7 * ccc_loss(output.traits, target)
    assert trait_loss(output.traits, target, ccc_weight=0.7).item() == pytest.approx(expected.item(), abs=1e-6)


@pytest.mark.parametrize("constant", ["traits", "target", "both"])
def test_gradients_are_finite_for_constant_batches(constant):
    varied, flat = torch.rand(4, 5), torch.full((4, 5), 0.5)
    traits = (varied if constant == "target" else flat).clone().requires_grad_()
    trait_loss(traits, varied if constant == "traits" else flat, 0.5).backward()
    assert torch.isfinite(gradient(traits)).all()


def test_half_precision_answers_are_compared_in_full_precision(target):
    loss = trait_loss(target.to(torch.bfloat16), target, 0.5)
    assert loss.dtype == torch.float32


def test_training_loss_needs_the_intermediates(output, target):
    plain = ModelOutput(output.traits, output.quality, output.weights)
    with pytest.raises(ValueError, match="return_intermediates"):
        training_loss(plain, torch.ones(CLIPS, 2, dtype=torch.bool), target, CLEAN, TrainConfig())


def answer_to_clean(seed: int = 5) -> ModelOutput:
    """What the network says of the same clips when clean, every tensor a leaf with gradient."""
    generator = torch.Generator().manual_seed(seed)
    summaries = torch.rand(CLIPS, 2, WIDTH, generator=generator).requires_grad_()
    traits = [torch.rand(CLIPS, 5, generator=generator).requires_grad_() for _ in range(3)]
    named = {"summaries": summaries, "audio_traits": traits[1], "visual_traits": traits[2]}
    return ModelOutput(traits[0], torch.ones(CLIPS, 2), torch.full((CLIPS, 2), 0.5), named)


def test_training_loss_is_the_sum_of_its_named_terms(output, target):
    quality, named, clean = torch.rand(CLIPS, SEGMENTS, 2), output.intermediates, answer_to_clean()
    config = TrainConfig(
        ccc_weight=0.4, unimodal_weight=0.3, quality_weight=0.2, imputation_weight=0.1, distillation_weight=0.6
    )

    def reading(traits: Tensor) -> Tensor:
        return trait_loss(traits, target, 0.4) + 0.5 * 0.6 * (traits - clean.traits).abs().mean()

    expected = reading(output.traits)
    expected = expected + 0.3 * sum(reading(named[f"{m}_traits"]) for m in ("audio", "visual"))
    alone = [clean.intermediates[f"{m}_traits"] for m in ("audio", "visual")]
    expected = expected + trait_loss(clean.traits, target, 0.4) + 0.3 * sum(trait_loss(t, target, 0.4) for t in alone)
    seen = quality_in_time(output)
    entropy = -quality * seen.log() - (1 - quality) * (1 - seen).log()
    expected = expected + 0.2 * entropy.mean(dim=(0, 1)).sum()
    summaries = clean.intermediates["summaries"]
    gaps = [named["imputed_audio"] - summaries[:, 0], named["imputed_visual"] - summaries[:, 1]]
    expected = expected + 0.1 * sum((gap**2).mean() for gap in gaps)
    both = torch.ones(CLIPS, 2, dtype=torch.bool)
    loss = training_loss(output, both, target, quality, config, clean, strength=0.5)
    assert loss.item() == pytest.approx(expected.item(), abs=1e-6)


def test_without_the_clean_clips_nothing_is_distilled_or_imputed(output, target):
    both, quality, clean = torch.ones(CLIPS, 2, dtype=torch.bool), CLEAN, answer_to_clean()
    nothing = TrainConfig(imputation_weight=0, distillation_weight=0)
    with_clean = training_loss(output, both, target, quality, nothing, clean)
    of_clean = outputs_loss(clean, both, target, nothing)
    torch.testing.assert_close(with_clean, training_loss(output, both, target, quality, TrainConfig()) + of_clean)


def test_the_answer_to_clean_clips_learns_from_their_labels_alone(output, target):
    both, clean = torch.ones(CLIPS, 2, dtype=torch.bool), answer_to_clean()
    config = TrainConfig(imputation_weight=1, distillation_weight=1)
    training_loss(output, both, target, CLEAN, config, clean).backward()
    assert not gradient(clean.intermediates["summaries"]).any()
    (alone,) = torch.autograd.grad(trait_loss(clean.traits, target, config.ccc_weight), [clean.traits])
    torch.testing.assert_close(gradient(clean.traits), alone)


def test_quality_that_is_wrong_and_sure_of_itself_still_learns(output, target):
    sure = torch.full((CLIPS, SEGMENTS), 1 - 1e-6).requires_grad_()
    both = torch.ones(CLIPS, 2, dtype=torch.bool)
    named = output.named | {"audio_quality_in_time": sure, "visual_quality_in_time": sure}
    training_loss(replace(output, intermediates=named), both, target, 0 * CLEAN, TrainConfig()).backward()
    slope = sure.detach() * (1 - sure.detach())  # of the sigmoid
    assert (gradient(sure) * slope > 1e-3).all()


def test_halves_part_the_answers_to_degraded_clips_from_those_to_clean_ones(output):
    degraded, clean = halves(output, 4)
    assert torch.equal(torch.cat([degraded.traits, clean.traits]), output.traits)
    named = degraded.intermediates["imputed_audio"], clean.intermediates["imputed_audio"]
    assert torch.equal(torch.cat(named), output.intermediates["imputed_audio"])
    assert halves(output, CLIPS)[1] is None


@pytest.mark.parametrize(("index", "modality"), [(0, "audio"), (1, "visual")])
def test_unimodal_terms_ignore_clips_that_lack_the_modality(index, modality, output, target):
    present = [[True, True] for _ in range(CLIPS)]
    present[2][index] = present[4][index] = False
    training_loss(output, torch.tensor(present), target, CLEAN, TrainConfig()).backward()
    reached = gradient(output.intermediates[f"{modality}_traits"]).abs().sum(dim=1) > 0
    assert reached.tolist() == [True, True, False, True, False, True]


def test_quality_is_learned_where_the_modality_is_there_only(output, target):
    present = [[True, True] for _ in range(CLIPS)]
    present[1][0] = present[3][1] = False
    training_loss(output, torch.tensor(present), target, CLEAN, TrainConfig()).backward()
    reached = [gradient(output.named[f"{modality}_quality_in_time"]) != 0 for modality in ("audio", "visual")]
    assert (torch.stack(reached, dim=-1) == torch.tensor(present)[:, None]).all()


def test_a_masked_segment_teaches_no_quality(output, target):
    quality = CLEAN.clone()
    quality[1, 2, 0] = quality[3, 0, 1] = math.nan
    both = torch.ones(CLIPS, 2, dtype=torch.bool)
    training_loss(output, both, target, quality, TrainConfig()).backward()
    reached = [gradient(output.named[f"{modality}_quality_in_time"]) != 0 for modality in ("audio", "visual")]
    assert (torch.stack(reached, dim=-1) == quality.isfinite()).all()


def test_imputation_learns_from_clips_that_have_the_other_modality_and_are_whole_when_clean(output, target):
    present = torch.tensor([[True, True], [True, False], [False, True], [False, False], [True, True], [True, True]])
    clean = answer_to_clean()
    clean.quality[4, 0] = clean.quality[5, 1] = 0  # these lack sound, or picture, from the start
    training_loss(output, present, target, CLEAN, TrainConfig(), clean).backward()
    reached = {
        modality: (gradient(output.intermediates[f"imputed_{modality}"]).abs().sum(dim=1) > 0).tolist()
        for modality in ("audio", "visual")
    }
    assert reached == {
        "audio": [True, False, True, False, False, True],
        "visual": [True, True, False, False, True, False],
    }


def test_only_what_stands_in_is_pulled_by_imputation(output, target):
    present = torch.tensor([[True, True]] * CLIPS)
    training_loss(output, present, target, CLEAN, TrainConfig(), answer_to_clean()).backward()
    assert (gradient(output.intermediates["summaries"]) == 0).all()


def test_distillation_pulls_every_reading_to_the_answer_to_the_clean_clip(output, target):
    present, clean = torch.tensor([[True, True]] * CLIPS), answer_to_clean()
    leaves = (output.traits, output.intermediates["audio_traits"], output.intermediates["visual_traits"])

    def gradients(weight: float) -> list[Tensor]:
        config = TrainConfig(distillation_weight=weight, unimodal_weight=1, imputation_weight=0)
        loss = training_loss(output, present, target, CLEAN, config, clean)
        return list(torch.autograd.grad(loss, leaves))

    for leaf, with_it, without_it in zip(leaves, gradients(0.5), gradients(0.0), strict=True):
        torch.testing.assert_close(with_it - without_it, 0.5 * (leaf - clean.traits).sign().detach() / leaf.numel())


def test_a_batch_without_any_modality_still_has_a_finite_loss(output, target):
    present = torch.tensor([[False, False]] * CLIPS)
    assert torch.isfinite(training_loss(output, present, target, 0 * CLEAN, TrainConfig()))


def test_traits_without_labels_do_not_count(output, target):
    labelled = torch.tensor([True, False, False, True, False])
    some, present = torch.where(labelled, target, torch.nan), torch.ones(CLIPS, 2, dtype=torch.bool)
    loss = training_loss(output, present, some, CLEAN, TrainConfig())
    loss.backward()
    for leaf in (output.traits, output.intermediates["audio_traits"], output.intermediates["visual_traits"]):
        assert not gradient(leaf)[:, ~labelled].any()
        assert gradient(leaf)[:, labelled].any(dim=0).all()
        assert torch.isfinite(gradient(leaf)).all()
    assert torch.isfinite(loss)
