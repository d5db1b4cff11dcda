"""Random changes in training: what they may do, how strong they are, and what they never do."""

from __future__ import annotations

from dataclasses import fields, replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from msma.config import ClipConfig, TrainConfig
from msma.data.augment import (
    LOUDEST_SNR_DB,
    QUIETEST_SNR_DB,
    augment,
    augment_features,
    dark_frames,
    degrade,
    drop,
    flip,
    lose,
    noisy_frames,
    noisy_waveform,
)
from msma.media.audio import hop_samples, log_mel
from msma.types import Features, Inputs

FRAMES, SIDE, STEPS = 6, 8, 120
CLIP = ClipConfig(crop_size=SIDE, mels=16)
HOP = hop_samples(CLIP)
NOTHING = TrainConfig(flip=False, noise=0, frame_dropout=0, modality_dropout=0)
EVERYTHING = TrainConfig(flip=True, noise=1, frame_dropout=0.5, modality_dropout=1)
SEVERITIES = (0.0, 0.25, 0.5, 0.75, 1.0)
seeds = st.integers(0, 2**32)
shares = st.floats(0, 1)


def random_window(seed: int = 0, audio: bool = True, visual: bool = True) -> Inputs:
    generator = torch.Generator().manual_seed(seed)
    waveform = torch.randn(STEPS * HOP, generator=generator) * (0.1 * audio)
    return Inputs(
        frames=torch.randint(60, 200, (FRAMES, 3, SIDE, SIDE), generator=generator, dtype=torch.uint8),
        boxes=torch.rand(FRAMES, 4, generator=generator),
        frame_mask=torch.full((FRAMES,), visual),
        log_mel=log_mel(waveform, CLIP),
        mel_mask=torch.full((STEPS,), audio),
        waveform=waveform,
        present=torch.tensor([audio, visual]),
    )


def augmented(config: TrainConfig, seed: int, inputs: Inputs | None = None) -> tuple[Inputs, torch.Tensor]:
    return augment(inputs or random_window(), config, CLIP, torch.Generator().manual_seed(seed))


def same(one: Inputs, other: Inputs) -> bool:
    return all(torch.equal(getattr(one, f.name), getattr(other, f.name)) for f in fields(Inputs))


# the whole augmentation


def test_the_same_generator_gives_the_same_result():
    (one, quality), (again, quality_again) = augmented(EVERYTHING, 3), augmented(EVERYTHING, 3)
    assert same(one, again)
    assert torch.equal(quality, quality_again)


def test_another_generator_gives_another_result():
    assert not same(augmented(EVERYTHING, 3)[0], augmented(EVERYTHING, 4)[0])


def test_torchs_own_random_state_plays_no_part():
    torch.manual_seed(0)
    one, _ = augmented(EVERYTHING, 3)
    torch.manual_seed(1)
    assert same(one, augmented(EVERYTHING, 3)[0])


@given(seed=seeds)
@settings(deadline=None, max_examples=25)
def test_the_input_is_not_changed(seed):
    inputs = random_window()
    augmented(EVERYTHING, seed, inputs)
    assert same(inputs, random_window())


def test_with_every_chance_at_zero_nothing_changes():
    inputs, quality = augmented(NOTHING, 3)
    assert same(inputs, random_window())
    assert quality.tolist() == [1, 1]


@given(seed=seeds, modality_dropout=shares, frame_dropout=shares, noise=shares)
@settings(deadline=None, max_examples=60)
def test_at_least_one_modality_and_one_place_of_it_are_left(seed, modality_dropout, frame_dropout, noise):
    config = TrainConfig(modality_dropout=modality_dropout, frame_dropout=frame_dropout, noise=noise)
    inputs, _ = augmented(config, seed)
    assert inputs.present.any()
    assert inputs.present.tolist() == [bool(inputs.mel_mask.any()), bool(inputs.frame_mask.any())]


@given(seed=seeds, audio=st.booleans())
@settings(deadline=None, max_examples=25)
def test_the_only_modality_of_a_clip_is_never_lost(seed, audio):
    inputs, _ = augmented(EVERYTHING, seed, random_window(audio=audio, visual=not audio))
    assert inputs.present.tolist() == [audio, not audio]


def test_modality_dropout_loses_either_modality_equally_often():
    lost = [augmented(replace_chance(modality_dropout=1), seed)[0].present.tolist() for seed in range(200)]
    assert lost.count([True, False]) + lost.count([False, True]) == 200
    assert 70 < lost.count([True, False]) < 130


def replace_chance(**values: float | bool) -> TrainConfig:
    """A configuration that does only what is named."""
    return TrainConfig(**{**NOTHING.model_dump(), **values})


def test_modality_dropout_happens_as_often_as_it_says():
    lost = sum(not augmented(replace_chance(modality_dropout=0.3), seed)[0].present.all() for seed in range(300))
    assert 60 < lost < 120


@given(seed=seeds)
@settings(deadline=None, max_examples=25)
def test_what_is_noisy_has_a_lower_quality_and_what_is_not_has_one(seed):
    inputs, quality = augmented(replace_chance(noise=0.5), seed)
    before = random_window()
    changed = [not torch.equal(inputs.log_mel, before.log_mel), not torch.equal(inputs.frames, before.frames)]
    assert changed == (quality < 1).tolist()
    assert ((quality >= 0) & (quality <= 1)).all()


def test_masks_only_ever_lose_places():
    before = random_window()
    before.frame_mask[2] = before.mel_mask[30:40] = False
    inputs, _ = augmented(replace_chance(frame_dropout=0.5), 3, before)
    assert not (inputs.frame_mask & ~before.frame_mask).any()
    assert not (inputs.mel_mask & ~before.mel_mask).any()


@given(seed=seeds, frame_dropout=shares, modality_dropout=shares)
@settings(deadline=None, max_examples=25)
def test_the_waveform_is_zero_where_the_sound_is_masked_and_as_it_was_elsewhere(seed, frame_dropout, modality_dropout):
    config = replace_chance(frame_dropout=frame_dropout, modality_dropout=modality_dropout)
    inputs, _ = augmented(config, seed)
    kept = inputs.mel_mask.repeat_interleave(HOP)
    assert not inputs.waveform[~kept].any()
    assert torch.equal(inputs.waveform[kept], random_window().waveform[kept])


# flip


def test_flipping_twice_changes_nothing():
    inputs = random_window()
    twice = flip(flip(inputs))
    assert same(replace(twice, boxes=inputs.boxes), inputs)
    torch.testing.assert_close(twice.boxes, inputs.boxes)


def test_a_flip_mirrors_the_picture_and_the_place_of_the_face():
    inputs = random_window()
    flipped = flip(inputs)
    assert torch.equal(flipped.frames[..., 0], inputs.frames[..., -1])
    torch.testing.assert_close(flipped.boxes[:, 0], 1 - inputs.boxes[:, 0])
    assert torch.equal(flipped.boxes[:, 1:], inputs.boxes[:, 1:])


def test_half_of_the_clips_are_flipped():
    before = random_window()
    flips = sum(not same(augmented(replace_chance(flip=True), seed)[0], before) for seed in range(200))
    assert 70 < flips < 130


# noise


def noisy(inputs: Inputs, severity: float, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return noisy_waveform(inputs.waveform, inputs.mel_mask, torch.tensor(severity), generator)


@pytest.mark.parametrize("severity", SEVERITIES)
def test_the_signal_to_noise_ratio_is_what_the_severity_says(severity):
    inputs = random_window()
    noise = noisy(inputs, severity) - inputs.waveform
    realised_db = 10 * torch.log10(inputs.waveform.square().mean() / noise.square().mean())
    assert realised_db.item() == pytest.approx(QUIETEST_SNR_DB + severity * (LOUDEST_SNR_DB - QUIETEST_SNR_DB), abs=0.2)


def test_the_noise_is_white():
    inputs = random_window()
    spectrum = torch.fft.rfft((noisy(inputs, 1.0) - inputs.waveform).double()).abs().square()
    quarters = [quarter.mean().item() for quarter in spectrum[: STEPS * HOP // 2].chunk(4)]
    assert max(quarters) < 1.1 * min(quarters)


def test_the_ratio_is_to_the_sound_that_the_mask_keeps():
    inputs = random_window()
    half = torch.arange(STEPS) < STEPS // 2
    loud = torch.where(half.repeat_interleave(HOP), inputs.waveform, 1.0)
    kept = noisy(replace(inputs, waveform=loud, mel_mask=half), 1.0)[: STEPS * HOP // 2]
    torch.testing.assert_close(kept, noisy(replace(inputs, mel_mask=half), 1.0)[: STEPS * HOP // 2])


def test_a_window_without_sound_gets_no_noise():
    inputs, _ = augmented(replace_chance(noise=1.0), 3, random_window(audio=False))
    assert not inputs.waveform.any()
    assert (inputs.log_mel == -1).all()


def test_log_mel_is_recomputed_from_the_noisy_waveform():
    inputs, quality = augmented(replace_chance(noise=1.0), 3)
    assert quality[0] < 1
    assert torch.equal(inputs.log_mel, log_mel(inputs.waveform, CLIP))


@pytest.mark.parametrize("degrade", [noisy_frames, dark_frames])
def test_pictures_at_severity_zero_are_as_they_were(degrade):
    frames = random_window().frames
    assert torch.equal(degrade(frames, torch.tensor(0.0), torch.Generator().manual_seed(0)), frames)


def test_the_noise_of_pictures_is_as_strong_as_it_says():
    grey = torch.full((2, 3, 64, 64), 128, dtype=torch.uint8)
    noisy_grey = noisy_frames(grey, torch.tensor(0.3), torch.Generator().manual_seed(0))
    assert noisy_grey.float().std().item() == pytest.approx(0.3 * 80, rel=0.05)


def test_the_darkest_picture_has_a_tenth_of_the_light():
    bright = torch.full((2, 3, 64, 64), 200, dtype=torch.uint8)
    dark = dark_frames(bright, torch.tensor(1.0), torch.Generator().manual_seed(0))
    assert dark.float().mean().item() == pytest.approx(20, abs=0.5)


def picture_change(degrade):
    def change(severity: float) -> float:
        frames = random_window().frames
        changed = degrade(frames, torch.tensor(severity), torch.Generator().manual_seed(0))
        return (changed.float() - frames.float()).abs().mean().item()

    return change


def sound_change(severity: float) -> float:
    inputs = random_window()
    return (log_mel(noisy(inputs, severity), CLIP) - inputs.log_mel).abs().mean().item()


@pytest.mark.parametrize(
    "change", [sound_change, picture_change(noisy_frames), picture_change(dark_frames)], ids=["sound", "noise", "dark"]
)
def test_the_higher_the_severity_the_larger_the_change(change):
    changes = [change(severity) for severity in SEVERITIES]
    assert changes == sorted(changes)
    assert changes[-1] > 4 * changes[0]


# dropping


@given(seed=seeds, share=shares, run=st.integers(1, 30), kept=st.lists(st.booleans(), min_size=1, max_size=60))
@settings(deadline=None, max_examples=60)
def test_a_drop_takes_only_what_was_kept_and_never_all_of_it(seed, share, run, kept):
    mask = torch.tensor(kept)
    left = drop(mask, share, run, torch.Generator().manual_seed(seed))
    assert not (left & ~mask).any()
    assert left.any() == mask.any()


def test_a_drop_takes_about_its_share():
    left = drop(torch.ones(5000, dtype=torch.bool), 0.2, 1, torch.Generator().manual_seed(0))
    assert left.float().mean().item() == pytest.approx(0.8, abs=0.03)


def test_a_drop_takes_whole_runs():
    left = drop(torch.ones(200, dtype=torch.bool), 0.5, 25, torch.Generator().manual_seed(0))
    runs = left.reshape(8, 25)
    assert torch.equal(runs.all(dim=1), runs.any(dim=1))
    assert 0 < runs.all(dim=1).sum() < 8


@pytest.mark.parametrize(("modality", "mask", "other"), [(0, "mel_mask", "frame_mask"), (1, "frame_mask", "mel_mask")])
def test_a_lost_modality_is_masked_and_not_present(modality, mask, other):
    inputs = lose(random_window(), modality)
    assert inputs.present.tolist() == [modality != 0, modality != 1]
    assert not getattr(inputs, mask).any()
    assert getattr(inputs, other).all()


# its two halves: what changes inputs, and what is left for the features of frozen backbones


@given(seed=seeds)
@settings(max_examples=25, deadline=None)
def test_degrading_drops_nothing_and_tells_the_quality(seed):
    inputs = random_window()
    changed, quality = degrade(inputs, EVERYTHING, CLIP, torch.Generator().manual_seed(seed))
    assert torch.equal(changed.frame_mask, inputs.frame_mask)
    assert torch.equal(changed.mel_mask, inputs.mel_mask)
    assert torch.equal(changed.present, inputs.present)
    assert not torch.equal(changed.waveform, inputs.waveform)
    assert ((quality > 0) & (quality < 1)).all()


@given(seed=seeds)
@settings(max_examples=25, deadline=None)
def test_augmenting_is_degrading_and_then_dropping(seed):
    config = EVERYTHING.model_copy(update={"frame_dropout": 0.0, "modality_dropout": 0.0})
    one, quality = augmented(config, seed)
    other, quality_again = degrade(random_window(), config, CLIP, torch.Generator().manual_seed(seed))
    assert same(one, other)
    assert torch.equal(quality, quality_again)


def random_features(seed: int = 0, audio: bool = True, visual: bool = True) -> Features:
    generator = torch.Generator().manual_seed(seed)
    return Features(
        visual=torch.rand(FRAMES, 3, 2, 2, generator=generator),
        boxes=torch.rand(FRAMES, 4, generator=generator),
        frame_mask=torch.full((FRAMES,), visual),
        audio=torch.rand(5, 1, 8, generator=generator),
        audio_mask=torch.full((8,), audio),
        present=torch.tensor([audio, visual]),
        linear=torch.rand(3, 5, generator=generator),
    )


def features_augmented(config: TrainConfig, seed: int, features: Features | None = None) -> Features:
    return augment_features(features or random_features(), config, torch.Generator().manual_seed(seed))


@given(seed=seeds, modality_dropout=shares, frame_dropout=shares)
@settings(max_examples=50, deadline=None)
def test_of_features_only_masks_are_lost_and_never_all(seed, modality_dropout, frame_dropout):
    config = TrainConfig(modality_dropout=modality_dropout, frame_dropout=frame_dropout)
    before = random_features()
    after = features_augmented(config, seed, before)
    for name in ("visual", "boxes", "audio", "linear"):
        assert torch.equal(getattr(after, name), getattr(before, name))
    assert after.present.any()
    assert [bool(after.audio_mask.any()), bool(after.frame_mask.any())] == after.present.tolist()
    assert before.present.all()
    assert before.audio_mask.all()  # as it was


@given(seed=seeds, audio=st.booleans())
@settings(max_examples=25, deadline=None)
def test_features_of_the_only_modality_of_a_clip_are_never_lost(seed, audio):
    after = features_augmented(EVERYTHING, seed, random_features(audio=audio, visual=not audio))
    assert after.present.tolist() == [audio, not audio]


def test_features_lose_modalities_and_places_as_often_as_they_are_told():
    config = TrainConfig(modality_dropout=0.3, frame_dropout=0.2)
    lost = [features_augmented(config, seed) for seed in range(1500)]
    absent = 1 - torch.stack([one.present for one in lost]).double().mean(dim=0)
    assert absent.tolist() == pytest.approx([0.15, 0.15], abs=0.03)
    kept = torch.stack([one.audio_mask for one in lost if one.present[0]]).double().mean()
    assert float(kept) == pytest.approx(0.8, abs=0.02)


def test_with_every_chance_at_zero_features_stay_as_they_are():
    before, after = random_features(), features_augmented(NOTHING, 3)
    assert all(torch.equal(getattr(after, f.name), getattr(before, f.name)) for f in fields(Features))
