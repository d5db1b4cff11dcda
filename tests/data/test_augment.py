"""Random changes in training: what they may do, how strong they are, and what they never do."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from planted import CLIP, STILL, planted_window

from msma.config import TrainConfig
from msma.corruptions.table import CORRUPTIONS, HELD_OUT
from msma.data import augment
from msma.data.augment import (
    CORRUPTIONS_BY_MODALITY,
    ROOM_DB,
    SEEN,
    at_progress,
    corrupted,
    degraded_inputs,
    drawn_stretch,
    drop,
    flip,
    in_a_room,
    masked,
    masked_features,
)
from msma.media.audio import hop_samples, log_mel
from msma.media.prepare import prepare
from msma.model.tensors import Features, Inputs, inputs_of
from msma.types import AUDIO_STATISTICS, VISUAL_STATISTICS, Clip, RawWindow

FRAMES, SIDE, STEPS = 6, 8, 120
HOP = hop_samples(CLIP)
NOTHING = TrainConfig(flip=False, corruption=0, room_noise=0, frame_dropout=0, modality_dropout=0, **STILL)
EVERYTHING = TrainConfig(flip=True, corruption=1, frame_dropout=0.5, modality_dropout=1)
seeds = st.integers(0, 2**32)
shares = st.floats(0, 1)


def raw_window() -> RawWindow:
    return planted_window("planted.mp4", np.array([0.2, 0.8, 0.5, 0.3, 0.6]), np.random.default_rng(0))


def random_window(seed: int = 0, audio: bool = True, visual: bool = True) -> Inputs:
    generator = torch.Generator().manual_seed(seed)
    waveform = torch.randn(STEPS * HOP, generator=generator) * (0.1 * audio)
    return Inputs(
        frames=torch.randint(60, 200, (FRAMES, 3, SIDE, SIDE), generator=generator, dtype=torch.uint8),
        boxes=torch.rand(FRAMES, 4, generator=generator),
        frame_mask=torch.full((FRAMES,), visual),
        log_mel=torch.from_numpy(log_mel(waveform.numpy(), CLIP)),
        mel_mask=torch.full((STEPS,), audio),
        waveform=waveform,
        present=torch.tensor([audio, visual]),
        audio_statistics=torch.rand(2, AUDIO_STATISTICS, generator=generator),
        visual_statistics=torch.rand(2, VISUAL_STATISTICS, generator=generator),
        segment_mask=torch.tensor([[audio, visual]] * 2),
    )


def degraded(config: TrainConfig, seed: int) -> tuple[Inputs, torch.Tensor]:
    return degraded_inputs(raw_window(), config, CLIP, torch.Generator().manual_seed(seed))


def augmented(config: TrainConfig, seed: int, inputs: Inputs | None = None) -> Inputs:
    return masked(inputs or random_window(), config, torch.Generator().manual_seed(seed))


def same(one: Inputs, other: Inputs) -> bool:
    read = [name for name, tensor in vars(one).items() if tensor is not None]
    return all(torch.equal(getattr(one, name), getattr(other, name)) for name in read)


def only(**values: float | bool) -> TrainConfig:
    """A configuration that does only what is named."""
    return TrainConfig(**{**NOTHING.model_dump(), **values})


# corruption


def test_training_never_sees_a_family_that_is_held_out():
    assert {row.family for row in SEEN} & HELD_OUT == set()
    assert {row.family for row in CORRUPTIONS.values()} >= HELD_OUT


def test_every_corruption_of_training_corrupts_a_modality_and_can_be_drawn():
    assert {
        row.name for families in CORRUPTIONS_BY_MODALITY.values() for rows in families.values() for row in rows
    } == {row.name for row in SEEN}


def test_the_same_generator_degrades_in_the_same_way():
    (one, quality), (again, quality_again) = degraded(EVERYTHING, 3), degraded(EVERYTHING, 3)
    assert same(one, again)
    torch.testing.assert_close(quality, quality_again, equal_nan=True)


def test_another_generator_degrades_in_another_way():
    assert not same(degraded(EVERYTHING, 3)[0], degraded(EVERYTHING, 4)[0])


def test_torchs_own_random_state_plays_no_part():
    torch.manual_seed(0)
    one = degraded(EVERYTHING, 3)[0]
    torch.manual_seed(1)
    assert same(one, degraded(EVERYTHING, 3)[0])


def test_with_every_chance_at_zero_nothing_changes():
    inputs, quality = degraded(NOTHING, 3)
    window = raw_window()
    assert same(inputs, inputs_of(prepare(window, CLIP).inputs))
    assert (quality[inputs.segment_mask] == 1).all()
    assert quality[~inputs.segment_mask].isnan().all()


@given(seed=seeds)
@settings(deadline=None, max_examples=25)
def test_what_is_not_corrupted_keeps_its_quality_and_its_very_data(seed):
    window = raw_window()
    found, quality = corrupted(window, only(corruption=0.5), CLIP, torch.Generator().manual_seed(seed))
    assert ((quality >= 0) & (quality <= 1)).all()
    perfect = (quality == 1).all(dim=0)
    if perfect[0]:
        np.testing.assert_array_equal(found.clip.waveform, window.clip.waveform)
    if perfect[1]:
        np.testing.assert_array_equal(found.clip.frames, window.clip.frames)
        assert found.face is window.face
    if len(found.clip.frames) == len(window.clip.frames):
        kept = (quality[:, 1] == 1).repeat_interleave(2).numpy()  # two frames a segment
        np.testing.assert_array_equal(found.clip.frames[kept], window.clip.frames[kept])


@pytest.mark.parametrize("row", SEEN, ids=lambda row: row.name)
@pytest.mark.parametrize("frames", [1, 2])
@pytest.mark.parametrize("loudness", [0, 1])
def test_only_what_was_changed_is_learned_as_damaged(monkeypatch, row, frames, loudness):
    """As in a window of few frames, or in silence."""
    few = few_frames(raw_window(), frames, loudness)
    for modality in row.modalities:
        monkeypatch.setattr(augment, "CORRUPTIONS_BY_MODALITY", {modality: {row.family: [row]}})
        for seed in range(12):
            found, quality = corrupted(few, only(corruption=1.0), CLIP, torch.Generator().manual_seed(seed))
            equal = [
                np.array_equal(found.clip.waveform, few.clip.waveform),
                np.array_equal(found.clip.frames, few.clip.frames),
            ]
            assert (quality == 1).all(dim=0).tolist() == equal
            assert (found is few) == all(equal)


def few_frames(window: RawWindow, frames: int, loudness: float) -> RawWindow:
    """The beginning of a window, louder or softer."""
    clip, face = window.clip, window.face
    cut = replace(
        clip,
        frames=clip.frames[:frames],
        frame_times_s=clip.frame_times_s[:frames],
        waveform=(loudness * clip.waveform[: frames * HOP * 20]).astype(np.float32),
        end_s=clip.start_s + frames / CLIP.fps,
    )
    return RawWindow(cut, replace(face, boxes=face.boxes[:frames], valid=face.valid[:frames]))


def test_frames_that_are_all_the_same_do_not_stand_still(monkeypatch):
    freeze = CORRUPTIONS["freeze"]
    monkeypatch.setattr(augment, "CORRUPTIONS_BY_MODALITY", {"visual": {freeze.family: [freeze]}})
    window = raw_window()
    still = np.repeat(window.clip.frames[:1], len(window.clip.frames), axis=0)
    window = replace(window, clip=replace(window.clip, frames=still))
    assert (corrupted(window, only(corruption=1.0), CLIP, torch.Generator())[1] == 1).all()


@given(seed=seeds)
@settings(deadline=None, max_examples=25)
def test_the_window_that_is_corrupted_is_not_changed_itself(seed):
    window, before = raw_window(), raw_window()
    corrupted(window, only(corruption=1.0), CLIP, torch.Generator().manual_seed(seed))
    np.testing.assert_array_equal(window.clip.frames, before.clip.frames)
    np.testing.assert_array_equal(window.clip.waveform, before.clip.waveform)


def test_a_modality_is_corrupted_as_often_as_it_says():
    config = only(corruption=0.3, local_corruption=0)
    drawn = [corrupted(raw_window(), config, CLIP, torch.Generator().manual_seed(seed))[1] for seed in range(150)]
    lowered = (torch.stack(drawn) < 1).any(dim=1).double().mean(dim=0)
    # Some corruptions corrupt both.
    assert ((lowered > 0.2) & (lowered < 0.45)).all()


def test_quality_is_what_the_severity_leaves(monkeypatch):
    noise = next(row for row in CORRUPTIONS.values() if row.name == "white_noise")
    monkeypatch.setattr(augment, "CORRUPTIONS_BY_MODALITY", {"audio": {"noise": [noise]}})
    config = only(corruption=1.0, local_corruption=0)
    drawn = [corrupted(raw_window(), config, CLIP, torch.Generator().manual_seed(seed))[1] for seed in range(60)]
    assert {round(float(quality[0, 0]), 6) for quality in drawn} == {0.0, 0.2, 0.4, 0.6, 0.8}
    assert all((quality[:, 1] == 1).all() for quality in drawn)


def test_a_stretch_lowers_the_quality_of_a_segment_by_the_share_of_it_that_it_strikes(monkeypatch):
    noise = CORRUPTIONS["gaussian_noise"]
    monkeypatch.setattr(augment, "CORRUPTIONS_BY_MODALITY", {"visual": {noise.family: [noise]}})
    monkeypatch.setattr(augment, "drawn_stretch", lambda *_: (0.5, 2.0))  # of its two segments of two frames
    config, found = only(corruption=1.0, local_corruption=1.0), set()
    for seed in range(40):
        window = raw_window()
        noisy, quality = corrupted(window, config, CLIP, torch.Generator().manual_seed(seed))
        np.testing.assert_array_equal(noisy.clip.frames[0], window.clip.frames[0])
        assert (noisy.clip.frames[1:] != window.clip.frames[1:]).any(axis=(1, 2, 3)).all()
        assert (quality[:, 0] == 1).all()
        found.add(tuple(round(one, 6) for one in quality[:, 1].tolist()))
    assert found == {(0.9, 0.8), (0.8, 0.6), (0.7, 0.4), (0.6, 0.2), (0.5, 0.0)}


@given(seed=seeds)
@settings(deadline=None, max_examples=25)
def test_a_stretch_is_a_fifth_to_four_fifths_of_the_clip_and_within_it(seed):
    clip = raw_window().clip
    begin_s, end_s = drawn_stretch(clip, torch.Generator().manual_seed(seed))
    assert 0 <= begin_s < end_s <= clip.duration_s + 1e-6
    assert 0.2 <= (end_s - begin_s) / clip.duration_s <= 0.8


def test_both_modalities_are_struck_in_the_same_stretch_at_times_only(monkeypatch):
    noises = {m: {"noise": [CORRUPTIONS[n]]} for m, n in (("audio", "white_noise"), ("visual", "gaussian_noise"))}
    monkeypatch.setattr(augment, "CORRUPTIONS_BY_MODALITY", noises)
    given: list[tuple[float, float]] = []

    def unchanged(clip: Clip, *settings) -> Clip:
        given.append(settings[2])
        return clip

    monkeypatch.setattr(augment, "corrupt_stretch", unchanged)
    config = only(corruption=1.0, local_corruption=1.0)
    for seed in range(200):
        corrupted(raw_window(), config, CLIP, torch.Generator().manual_seed(seed))
    same = sum(one == other for one, other in zip(given[::2], given[1::2], strict=True))
    assert 25 < same < 75


@pytest.mark.parametrize("seed", range(8))
def test_the_noise_of_a_room_is_faint_and_no_damage(seed):
    window = raw_window()
    before = window.clip.waveform.copy()
    noisy = in_a_room(window.clip, torch.Generator().manual_seed(seed))
    noise = noisy.waveform - before
    snr_db = 10 * np.log10(np.mean(before**2) / np.mean(noise**2))
    assert ROOM_DB[0] - 0.1 < snr_db < ROOM_DB[1] + 0.1
    assert noisy.frames is window.clip.frames
    np.testing.assert_array_equal(window.clip.waveform, before)
    inputs, quality = degraded(only(room_noise=1.0), seed)
    assert (quality[inputs.segment_mask] == 1).all()


def test_where_there_is_no_audio_there_is_no_noise_of_a_room():
    clip = replace(raw_window().clip, waveform=raw_window().clip.waveform[:0])
    assert in_a_room(clip, torch.Generator()) is clip


def test_a_missing_modality_stays_missing():
    window = raw_window()
    silent = replace(window, clip=replace(window.clip, waveform=window.clip.waveform[:0]))
    for seed in range(20):
        found, _ = corrupted(silent, only(corruption=1.0), CLIP, torch.Generator().manual_seed(seed))
        assert not len(found.clip.waveform)


# the ramp


def test_the_strategy_grows_over_the_ramp_to_what_the_recipe_says():
    config = TrainConfig(steps=100, batch_size=10, ramp=0.5, corruption=0.4, modality_dropout=0.2, frame_dropout=0.1)
    chances = [
        (now.corruption, now.modality_dropout, now.frame_dropout)
        for now in (at_progress(config, epoch, 100) for epoch in range(10))  # ten steps an epoch
    ]
    assert chances[0] == pytest.approx((0.08, 0.04, 0.02))
    assert chances[1] == pytest.approx((0.16, 0.08, 0.04))
    assert chances[4:] == [(0.4, 0.2, 0.1)] * 6


def test_without_a_ramp_the_strategy_is_there_from_the_first_step():
    assert at_progress(TrainConfig(ramp=0.0, corruption=0.4), 0, 100).corruption == 0.4


# dropping out


@given(seed=seeds)
@settings(deadline=None, max_examples=25)
def test_the_inputs_that_are_masked_are_not_changed_themselves(seed):
    inputs = random_window()
    augmented(EVERYTHING, seed, inputs)
    assert same(inputs, random_window())


def test_with_every_chance_at_zero_nothing_is_masked():
    assert same(augmented(NOTHING, 3), random_window())


@given(seed=seeds, modality_dropout=shares, frame_dropout=shares)
@settings(deadline=None, max_examples=60)
def test_at_least_one_modality_and_one_place_of_it_are_left(seed, modality_dropout, frame_dropout):
    inputs = augmented(TrainConfig(modality_dropout=modality_dropout, frame_dropout=frame_dropout), seed)
    assert inputs.present.any()
    assert inputs.present.tolist() == [bool(inputs.mel_mask.any()), bool(inputs.frame_mask.any())]


@given(seed=seeds, audio=st.booleans())
@settings(deadline=None, max_examples=25)
def test_the_only_modality_of_a_clip_is_never_lost(seed, audio):
    inputs = augmented(EVERYTHING, seed, random_window(audio=audio, visual=not audio))
    assert inputs.present.tolist() == [audio, not audio]


def test_modality_dropout_loses_either_modality_equally_often():
    lost = [augmented(only(modality_dropout=1), seed).present.tolist() for seed in range(200)]
    assert lost.count([True, False]) + lost.count([False, True]) == 200
    assert 70 < lost.count([True, False]) < 130


def test_modality_dropout_happens_as_often_as_it_says():
    lost = sum(not augmented(only(modality_dropout=0.3), seed).present.all() for seed in range(300))
    assert 60 < lost < 120


def test_masks_only_ever_lose_places():
    before = random_window()
    before.frame_mask[2] = before.mel_mask[30:40] = False
    inputs = augmented(only(frame_dropout=0.5), 3, before)
    assert not (inputs.frame_mask & ~before.frame_mask).any()
    assert not (inputs.mel_mask & ~before.mel_mask).any()


@given(seed=seeds, frame_dropout=shares, modality_dropout=shares)
@settings(deadline=None, max_examples=25)
def test_the_waveform_is_zero_where_the_audio_is_masked_and_as_it_was_elsewhere(seed, frame_dropout, modality_dropout):
    config = only(frame_dropout=frame_dropout, modality_dropout=modality_dropout)
    inputs = augmented(config, seed)
    kept = inputs.mel_mask.repeat_interleave(HOP)
    assert not inputs.waveform[~kept].any()
    assert torch.equal(inputs.waveform[kept], random_window().waveform[kept])


# flip


def test_flipping_twice_changes_nothing():
    inputs = random_window()
    twice = flip(flip(inputs))
    assert same(replace(twice, boxes=inputs.boxes), inputs)
    torch.testing.assert_close(twice.boxes, inputs.boxes)


def test_a_flip_mirrors_the_frame_and_the_place_of_the_face():
    inputs = random_window()
    flipped = flip(inputs)
    assert torch.equal(flipped.frames[..., 0], inputs.frames[..., -1])
    torch.testing.assert_close(flipped.boxes[:, 0], 1 - inputs.boxes[:, 0])
    assert torch.equal(flipped.boxes[:, 1:], inputs.boxes[:, 1:])


def test_half_of_the_clips_are_flipped():
    clean, _ = degraded(NOTHING, 0)
    flipped = [degraded(only(flip=True), seed) for seed in range(100)]
    assert 30 < sum(torch.equal(one.frames, clean.frames.flip(-1)) for one, _ in flipped) < 70


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
    inputs = next(
        inputs for seed in range(50) if not (inputs := augmented(only(modality_dropout=1), seed)).present[modality]
    )
    assert inputs.present.tolist() == [modality != 0, modality != 1]
    assert not getattr(inputs, mask).any()
    assert getattr(inputs, other).all()


# features of frozen backbones


def random_features(seed: int = 0, audio: bool = True, visual: bool = True) -> Features:
    generator = torch.Generator().manual_seed(seed)
    return Features(
        visual=(torch.rand(FRAMES, 3, 2, 2, generator=generator),),
        boxes=torch.rand(FRAMES, 4, generator=generator),
        frame_mask=torch.full((FRAMES,), visual),
        audio=(torch.rand(5, 1, 8, generator=generator),),
        audio_mask=torch.full((8,), audio),
        present=torch.tensor([audio, visual]),
        audio_statistics=torch.rand(2, 4, generator=generator),
        visual_statistics=torch.rand(2, 6, generator=generator),
        segment_mask=torch.tensor([[audio, visual]] * 2),
        linear=torch.rand(3, 5, generator=generator),
    )


def features_augmented(config: TrainConfig, seed: int, features: Features | None = None) -> Features:
    return masked_features(features or random_features(), config, torch.Generator().manual_seed(seed))


@given(seed=seeds, modality_dropout=shares, frame_dropout=shares)
@settings(max_examples=50, deadline=None)
def test_of_features_only_masks_are_lost_and_never_all(seed, modality_dropout, frame_dropout):
    config = TrainConfig(modality_dropout=modality_dropout, frame_dropout=frame_dropout)
    before = random_features()
    after = features_augmented(config, seed, before)
    for name in ("visual", "boxes", "audio", "linear"):
        assert getattr(after, name) is getattr(before, name)
    assert after.present.any()
    assert [bool(after.audio_mask.any()), bool(after.frame_mask.any())] == after.present.tolist()
    assert before.present.all()
    assert before.audio_mask.all()  # as it was


@given(seed=seeds, audio=st.booleans())
@settings(max_examples=25, deadline=None)
def test_features_of_the_only_modality_of_a_clip_are_never_lost(seed, audio):
    after = features_augmented(EVERYTHING, seed, random_features(audio=audio, visual=not audio))
    assert after.present.tolist() == [audio, not audio]


def test_features_lose_modalities_and_places_as_often_as_the_recipe_says():
    config = TrainConfig(modality_dropout=0.3, frame_dropout=0.2)
    lost = [features_augmented(config, seed) for seed in range(1500)]
    absent = 1 - torch.stack([one.present for one in lost]).double().mean(dim=0)
    assert absent.tolist() == pytest.approx([0.15, 0.15], abs=0.03)
    kept = torch.stack([one.audio_mask for one in lost if one.present[0]]).double().mean()
    assert float(kept) == pytest.approx(0.8, abs=0.02)


def test_with_every_chance_at_zero_features_stay_as_they_are():
    before = random_features()
    after = features_augmented(NOTHING, 3, before)
    for name in ("audio_mask", "frame_mask", "present"):
        assert torch.equal(getattr(after, name), getattr(before, name))
    assert all(getattr(after, name) is getattr(before, name) for name in ("audio", "visual", "boxes", "linear"))
