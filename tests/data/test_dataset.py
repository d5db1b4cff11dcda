"""The order of training and its items are functions of seed, epoch and clip: any resumed run sees the same."""

from __future__ import annotations

import re
from collections import Counter
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from planted import STILL
from torch.utils.data import DataLoader

from msma.config import ClipConfig, TrainConfig
from msma.data.augment import perfect_quality
from msma.data.cache_entry import cached_windows, write_entry
from msma.data.corpora.manifest import Row
from msma.data.dataset import ClipDataset, StepBatches, collate_items, each_batch, mixed_seed
from msma.media.faces import whole_frame
from msma.media.prepare import prepare
from msma.model.tensors import Inputs, inputs_of
from msma.types import Clip, MediaInfo, MsmaError, RawWindow

CLIPS, WINDOWS = 5, 3
CLIP = ClipConfig(crop_size=4, mels=4, fps=4.0)


def config(**values: float) -> TrainConfig:
    return TrainConfig(**{"steps": 20, "batch_size": 4, "seed": 1, "ramp": 0.0, **values})


def window(clip: int, index: int) -> RawWindow:
    """A window that is longer the later the clip, and that tells clip and window by its pixels."""
    frames = np.full((clip + 1, 4, 4, 3), 10 * clip + index + 100, np.uint8)
    times_s, seconds = (np.arange(clip + 1) + 0.5) / 4, (clip + 1) / 4
    tone = np.sin(np.arange(round(seconds * 16000)) * (clip + 1) / 50)
    sound = (np.rint(3000 * tone) / 32768).astype(np.float32)  # 16 bits, as decoding gives
    raw = Clip(f"{clip}.mp4", frames, times_s, sound, 0.0, seconds, MediaInfo("mp4"))
    return RawWindow(raw, whole_frame(raw))


@pytest.fixture(scope="module")
def cache(tmp_path_factory) -> dict[str, Path]:
    """Entries of CLIPS clips with WINDOWS windows each."""
    folder = tmp_path_factory.mktemp("cache")
    entries = {f"{clip}.mp4": folder / f"{clip}.clip" for clip in range(CLIPS)}
    for clip, entry in enumerate(entries.values()):
        write_entry(entry, [window(clip, index) for index in range(WINDOWS)])
    return entries


@pytest.fixture
def clips(cache):
    """Makes a dataset of them, or of some."""
    rows = [Row(f"{i}.mp4", Path(f"{i}.mp4"), str(i), "train", (0.1 * i, 0.2, 0.3, 0.4, 0.5)) for i in range(CLIPS)]

    def make(augmentation: TrainConfig | None = None, entries: dict[str, Path] = cache) -> ClipDataset:
        return ClipDataset(rows, entries, CLIP, augmentation)

    return make


def same_inputs(one: Inputs, other: Inputs) -> bool:
    read = [name for name, tensor in vars(one).items() if tensor is not None]
    return all(torch.equal(getattr(one, name), getattr(other, name)) for name in read)


def same(one, other) -> bool:
    return (
        same_inputs(one[0], other[0])
        and torch.equal(one[1], other[1])
        and torch.equal(one[2].nan_to_num(9), other[2].nan_to_num(9))
    )


def clean_of(item) -> Inputs:
    assert item[3] is not None
    return item[3]


# the order


@given(clips=st.integers(2, 40), batch=st.integers(2, 12), steps=st.integers(1, 40), first=st.integers(0, 40))
@settings(deadline=None, max_examples=60)
def test_the_batches_from_a_step_on_are_the_tail_of_all_batches(clips, batch, steps, first):
    settings = config(batch_size=batch, steps=steps)
    assert list(StepBatches(clips, settings, first)) == list(StepBatches(clips, settings, 0))[first:]


@given(clips=st.integers(2, 40), batch=st.integers(2, 12))
@settings(deadline=None, max_examples=60)
def test_a_clip_comes_at_most_once_an_epoch_and_only_an_incomplete_batch_is_left_out(clips, batch):
    epochs = 2
    size = min(batch, clips)
    batches = list(StepBatches(clips, config(batch_size=batch, steps=epochs * (clips // size)), 0))
    seen = Counter(key for keys in batches for key in keys)
    assert set(seen.values()) == {1}
    assert all(0 <= index < clips for _, index in seen)
    assert Counter(epoch for epoch, _ in seen) == dict.fromkeys(range(epochs), clips - clips % size)


def test_where_the_batches_fit_every_clip_comes_once_an_epoch():
    batches = list(StepBatches(12, config(steps=6), 0))
    assert [sorted(i for keys in batches[e * 3 : e * 3 + 3] for _, i in keys) for e in (0, 1)] == [list(range(12))] * 2


def test_there_are_as_many_batches_as_steps_are_left():
    batches = StepBatches(9, config(steps=20), first_step=7)
    assert len(batches) == len(list(batches)) == 13


def test_every_batch_is_full():
    assert {len(keys) for keys in StepBatches(11, config(), 0)} == {4}


def test_with_fewer_clips_than_a_batch_holds_a_batch_is_all_of_them():
    assert all(sorted(i for _, i in keys) == [0, 1, 2] for keys in StepBatches(3, config(batch_size=32), 0))


def test_every_epoch_has_its_own_order():
    batches = list(StepBatches(40, config(batch_size=40, steps=4), 0))
    assert all([i for _, i in one] != [i for _, i in other] for one, other in pairwise(batches))


def test_another_seed_gives_another_order():
    assert list(StepBatches(40, config(seed=1), 0)) != list(StepBatches(40, config(seed=2), 0))


# the items


def test_an_item_does_not_depend_on_what_was_read_before(clips):
    keys = [(epoch, index) for epoch in range(2) for index in range(CLIPS)]
    ahead, back = clips(config()), clips(config())
    forwards = {key: ahead[key] for key in keys}
    torch.manual_seed(123)
    backwards = {key: back[key] for key in reversed(keys)}
    assert all(same(forwards[key], backwards[key]) for key in keys)


@pytest.mark.parametrize(("key", "seed"), [((1, 2), 1), ((0, 3), 1), ((0, 2), 2)], ids=["epoch", "index", "seed"])
def test_another_epoch_clip_or_seed_is_augmented_in_another_way(clips, key, seed):
    always = {"corruption": 1.0, "modality_dropout": 0.0}
    one, other = clips(config(**always))[0, 2], clips(config(seed=seed, **always))[key]
    assert not torch.equal(one[0].waveform, other[0].waveform)


def test_with_distillation_an_item_carries_the_clip_as_it_was(clips, cache):
    degraded = clips(config(corruption=1.0, modality_dropout=1.0, flip=False, room_noise=0.0, **STILL))
    for index in range(CLIPS):
        before = clean_of(degraded[0, index])
        chosen = int(before.frames[0, 0, 0, 0]) - 10 * index - 100
        (window,) = cached_windows(cache[f"{index}.mp4"], [chosen])
        expected = inputs_of(prepare(window, CLIP).inputs)
        assert same_inputs(before, expected)


def test_the_clip_as_it_was_begins_at_a_phase_of_its_own(clips):
    quiet = {"corruption": 0.0, "modality_dropout": 0.0, "frame_dropout": 0.0, "room_noise": 0.0}
    items = [clips(config(**quiet))[epoch, 2] for epoch in range(10)]
    assert all(not torch.equal(item[0].waveform, clean_of(item).waveform) for item in items)


def test_without_distillation_and_imputation_an_item_carries_no_second_reading(clips):
    assert clips(config(distillation_weight=0.0, imputation_weight=0.0))[0, 2][3] is None


def test_with_two_readings_an_item_carries_another_version_of_the_clip_and_none_is_corrupted(clips):
    quiet = {"distillation_weight": 0.0, "imputation_weight": 0.0, "corruption": 0.0, "modality_dropout": 0.0}
    items = [clips(config(two_readings=True, **quiet))[epoch, CLIPS - 1] for epoch in range(20)]
    assert all((quality.isnan() | (quality == 1)).all() for _, _, quality, _ in items)
    assert sum(not torch.equal(one.frames, second.frames) for one, _, _, second in items) > 10
    assert config(two_readings=True, **quiet).readings == config().readings == 2
    assert config(**quiet).readings == 1
    with pytest.raises(ValueError, match="two_readings needs distillation_weight and imputation_weight 0"):
        config(two_readings=True)


def test_over_the_epochs_every_window_of_a_clip_is_seen(clips):
    plain = clips(config(corruption=0.0, flip=False, **STILL))
    assert {int(plain[epoch, 1][0].frames[0, 0, 0, 0]) - 110 for epoch in range(30)} == set(range(WINDOWS))


def test_without_augmentation_an_item_is_the_first_window_prepared_as_it_is(clips):
    inputs = inputs_of(prepare(window(2, 0), CLIP).inputs)
    assert same(clips()[7, 2], (inputs, torch.tensor([0.2, 0.2, 0.3, 0.4, 0.5]), perfect_quality(inputs)))


def test_all_windows_are_read_and_prepared_in_their_order(cache):
    windows = [prepare(window, CLIP) for window in cached_windows(cache["2.mp4"])]
    assert [int(window.inputs.frames[0, 0, 0, 0]) for window in windows] == [120, 121, 122]
    assert windows[0].used == prepare(window(2, 0), CLIP).used


@pytest.mark.parametrize("workers", [0, 1])
def test_a_damaged_entry_ends_the_loading_with_one_line(clips, cache, tmp_path, workers):
    damaged = tmp_path / "1.clip"
    damaged.write_bytes(cache["1.mp4"].read_bytes()[:-1] + b"?")
    some = clips(entries={**cache, "1.mp4": damaged})
    loader = DataLoader(some, sampler=[(0, 1)], batch_size=None, num_workers=workers)
    with pytest.raises(MsmaError) as failure:
        list(each_batch(loader))
    assert re.fullmatch(re.escape(f"{damaged}: damaged cache entry (") + r"[^\n]+delete it[^\n]+", str(failure.value))


def test_a_batch_pads_its_clips_to_the_longest(clips):
    plain = clips()
    inputs, target, quality = collate_items([plain[0, 0], plain[0, 3]])
    assert inputs.frames.shape == (2, 4, 3, 4, 4)
    assert inputs.frame_mask.sum(dim=1).tolist() == [1, 4]
    assert (target.shape, quality.shape) == ((2, 5), inputs.segment_mask.shape)
    assert torch.equal(quality.isnan(), ~inputs.segment_mask)


def test_in_a_batch_of_training_the_clean_clips_stand_behind_the_degraded_ones(clips):
    varied = clips(config(corruption=1.0))
    items = [varied[0, index] for index in range(3)]
    inputs, target, _ = collate_items(items)
    assert (len(inputs.present), len(target)) == (6, 3)
    for place, (_, _, _, clean) in enumerate(items):
        steps = len(clean.mel_mask)
        assert torch.equal(inputs.log_mel[3 + place, :, :steps], clean.log_mel)


def test_seeds_of_neighbours_have_nothing_in_common():
    seeds = [mixed_seed(0, epoch, index) for epoch in range(20) for index in range(20)]
    assert len(set(seeds)) == 400
    assert all(0 <= seed < 2**63 for seed in seeds)
