"""Kept features: computed once for each clip and setting, seeded where they are random, and never stale."""

from __future__ import annotations

import hashlib
import json
import pickle
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from planted import CACHED, changed, planted_window
from tiny_hf import TINY, saved

from msma.config import Recipe
from msma.data.cache import CacheReport
from msma.data.cache_entry import cached_windows, write_entry
from msma.data.corpora.manifest import Manifest, Row
from msma.data.corpus import Corpus
from msma.data.features import (
    FeatureDataset,
    compact,
    fill_features,
    read_features,
    read_stored,
    tensors_of,
    windows_in,
)
from msma.media.prepare import prepare
from msma.model.msma_net import MsMANet
from msma.model.tensors import Features, Inputs, collate, inputs_of
from msma.training.learner import with_architectures
from msma.training.loop import new_network
from msma.types import MsmaError

CLIPS = 5
PRIOR = np.full(5, 0.5)
VARIED = changed(CACHED, train={"feature_variants": 3, "corruption": 0.5, "room_noise": 0.0, "random_phase": False})


@pytest.fixture(scope="module")
def entries(tmp_path_factory) -> dict[str, Path]:
    """Clips of the cache; the last one has two windows."""
    folder, rng = tmp_path_factory.mktemp("cache"), np.random.default_rng(0)
    found = {}
    for index in range(CLIPS):
        clip = f"{index}.mp4"
        found[clip] = folder / f"{hashlib.sha256(clip.encode()).hexdigest()[:32]}.clip"
        windows = 2 if index == CLIPS - 1 else 1
        write_entry(found[clip], [planted_window(clip, rng.uniform(0.1, 0.9, 5), rng) for _ in range(windows)])
    return found


ROWS = [Row(f"{i}.mp4", Path(f"{i}.mp4"), str(i), "train", (0.1 * i, 0.2, 0.3, 0.4, 0.5)) for i in range(CLIPS)]


def filled(
    entries: dict[str, Path],
    folder: Path,
    recipe: Recipe = CACHED,
    rows: list[Row] = ROWS,
    weights: str = "none",
    **options,
) -> dict[str, Path]:
    """Features below `folder`."""
    network, _ = new_network(recipe, PRIOR)
    corpus = Corpus(Manifest("planted", tuple(rows), {}), CacheReport(folder, entries))
    return fill_features(network, corpus.rows, corpus, recipe, weights, **options)


def names(files: dict[str, Path]) -> set[str]:
    return {path.name for path in files.values()}


def contents(files: dict[str, Path]) -> list[bytes]:
    return [path.read_bytes() for path in files.values()]


def same(one: Features, other: Features) -> bool:
    known = tensors_of(other)
    return all(torch.equal(tensor, known[name]) for name, tensor in tensors_of(one).items())


@pytest.fixture
def counted(monkeypatch) -> Callable[[], int]:
    """How many windows the backbones have read since it was asked last."""
    read, plain = [], MsMANet.features

    def features(self: MsMANet, inputs: Inputs) -> Features:
        read.append(inputs)
        return plain(self, inputs)

    def count() -> int:
        seen = len(read)
        read.clear()
        return seen

    monkeypatch.setattr(MsMANet, "features", features)
    return count


# computed once


def test_each_clip_is_computed_once(entries, tmp_path, counted):
    first = filled(entries, tmp_path)
    assert counted() == CLIPS + 1
    assert filled(entries, tmp_path) == first
    assert counted() == 0
    assert list(first) == [row.clip for row in ROWS]


def test_what_is_kept_is_what_the_backbones_give(entries, tmp_path):
    files = filled(entries, tmp_path)
    network, _ = new_network(CACHED, PRIOR)
    for clip, entry in entries.items():
        prepared = [prepare(window, CACHED.clip) for window in cached_windows(entry)]
        assert windows_in(files[clip]) == len(prepared)
        for place, window in enumerate(prepared):
            with torch.inference_mode():
                expected = network.eval().features(collate([inputs_of(window.inputs)]))
            found, quality = read_features(files[clip], place)
            known = {name: tensor[0] for name, tensor in tensors_of(expected).items()}
            assert all(torch.equal(tensor, known[name]) for name, tensor in tensors_of(found).items())
            assert (quality[found.segment_mask] == 1).all()


def test_progress_is_reported_from_what_is_there_already_to_the_last(entries, tmp_path):
    told: list[tuple[int, int]] = []
    filled(entries, tmp_path, rows=ROWS[:2])
    filled(entries, tmp_path, progress=lambda *event: told.append(event))
    assert told == [(2, 5), (3, 5), (4, 5), (5, 5)]


def test_clips_that_could_not_be_prepared_are_left_out(entries, tmp_path):
    some = {clip: path for clip, path in entries.items() if clip != "0.mp4"}
    assert "0.mp4" not in filled(some, tmp_path)


def test_clips_of_the_same_content_share_a_file(entries, tmp_path):
    twice = [ROWS[0], replace(ROWS[0], clip="copy.mp4")]
    files = filled({**entries, "copy.mp4": entries["0.mp4"]}, tmp_path, rows=twice)
    assert files["copy.mp4"] == files["0.mp4"]


def test_a_run_that_was_killed_goes_on_where_it_was(entries, tmp_path, monkeypatch):
    expected = filled(entries, tmp_path / "unbroken")
    plain, read = MsMANet.features, []

    def killed(self: MsMANet, inputs: Inputs) -> Features:
        if len(read) == 3:
            raise KeyboardInterrupt
        read.append(inputs)
        return plain(self, inputs)

    with monkeypatch.context() as patch:
        patch.setattr(MsMANet, "features", killed)
        with pytest.raises(KeyboardInterrupt):
            filled(entries, tmp_path / "broken")
    assert len(list((tmp_path / "broken" / "features").iterdir())) == 3
    assert contents(filled(entries, tmp_path / "broken")) == contents(expected)
    assert names(expected) == {path.name for path in (tmp_path / "broken" / "features").iterdir()}


@pytest.mark.parametrize("recipe", [CACHED, VARIED], ids=["plain", "variants"])
def test_any_number_of_loader_workers_gives_the_same_bytes(entries, tmp_path, recipe):
    alone = filled(entries, tmp_path / "alone", recipe)
    assert contents(filled(entries, tmp_path / "two", changed(recipe, train={"workers": 2}))) == contents(alone)


# never stale


@pytest.mark.parametrize(
    "sections",
    [
        {"clip": {"crop_size": 24}},
        {"clip": {"mels": 24}},
        {"clip": {"face_margin": 2.0}},
        {"model": {"visual_grid": 4}},
        {"model": {"audio_backbone": "mfcc+mfcc"}},
        {"train": {"feature_variants": 2}},
    ],
    ids=str,
)
def test_another_setting_of_what_is_computed_makes_files_of_its_own(entries, tmp_path, sections):
    before = filled(entries, tmp_path, rows=ROWS[:1])
    assert not names(before) & names(filled(entries, tmp_path, changed(CACHED, **sections), ROWS[:1]))


def test_other_weights_make_files_of_their_own(entries, tmp_path):
    before = filled(entries, tmp_path, rows=ROWS[:1], weights="sha 1")
    assert not names(before) & names(filled(entries, tmp_path, rows=ROWS[:1], weights="sha 2"))


@pytest.mark.parametrize("change", [{"image_mean": [0.1, 0.1, 0.1]}, {"do_normalize": False}], ids=str)
def test_another_scaling_of_the_same_weights_makes_files_of_its_own(entries, tmp_path, change):
    scaling = {"image_mean": [0.5] * 3, "image_std": [0.5] * 3}
    name = saved(tmp_path / "vit", "vit", {**TINY, "image_size": 16, "patch_size": 8}, scaling)
    recipe = changed(CACHED, model={"fusion": "visual", "visual_backbone": name})
    before = filled(entries, tmp_path / "features", with_architectures(recipe), ROWS[:1])
    (tmp_path / "vit" / "preprocessor_config.json").write_text(json.dumps(scaling | change))
    after = filled(entries, tmp_path / "features", with_architectures(recipe), ROWS[:1])
    assert contents(before) != contents(after)
    assert not names(before) & names(after)


@pytest.mark.parametrize(
    "sections",
    [
        {"train": {"steps": 99}},
        {"train": {"seed": 9, "corruption": 0.9}},
        {"train": {"workers": 1}},
        {"model": {"width": 32}},
        {"model": {"temporal_scales_s": (1.0, 2.0)}},
    ],
    ids=str,
)
def test_what_plays_no_part_changes_no_file(entries, tmp_path, sections):
    before = filled(entries, tmp_path, rows=ROWS[:1])
    assert filled(entries, tmp_path, changed(CACHED, **sections), ROWS[:1]) == before


@pytest.mark.parametrize(
    "values",
    [
        {"corruption": 0.6},
        {"room_noise": 0.5},
        {"flip": False},
        {"random_phase": True},
        {"crop_shift": 0.1},
        {"colour_jitter": 0.0},
    ],
    ids=str,
)
def test_where_there_are_variants_what_is_random_in_them_counts(entries, tmp_path, values):
    before = filled(entries, tmp_path, VARIED, ROWS[:1])
    assert not names(before) & names(filled(entries, tmp_path, changed(VARIED, train=values), ROWS[:1]))


# stored


def test_maps_are_stored_in_half_precision_unless_they_are_too_large_and_nothing_else_is():
    assert compact("visual.0", torch.rand(3)).dtype == torch.half
    assert compact("audio", torch.rand(3)).dtype == torch.half
    large = torch.tensor([1e6, 0.1])
    assert torch.equal(compact("audio", large), large)
    assert compact("boxes", torch.rand(3)).dtype == torch.float


def test_every_seed_reads_the_same_variants(entries, tmp_path):
    before = filled(entries, tmp_path, VARIED, ROWS[:1])
    assert filled(entries, tmp_path, changed(VARIED, train={"seed": 1}), ROWS[:1]) == before


# variants


def test_variants_are_the_same_in_every_run_and_in_any_corpus(entries, tmp_path):
    one = filled(entries, tmp_path / "one", VARIED)
    other = filled(entries, tmp_path / "other", VARIED, rows=ROWS[::-1])
    assert {clip: path.read_bytes() for clip, path in one.items()} == {
        clip: path.read_bytes() for clip, path in other.items()
    }


def test_the_first_variant_is_the_clip_as_it_is(entries, tmp_path):
    plain, varied = filled(entries, tmp_path), filled(entries, tmp_path, VARIED)
    for clip in entries:
        (expected, _), (found, quality) = read_features(plain[clip]), read_features(varied[clip])
        assert same(found, expected)
        assert (quality[found.segment_mask] == 1).all()


def test_of_the_other_variants_those_that_differ_have_a_quality_below_one(entries, tmp_path):
    recipe = changed(VARIED, train={"feature_variants": 12})
    files, qualities = filled(entries, tmp_path, recipe), []
    for clip in entries:
        clean, _ = read_features(files[clip])
        for variant in range(1, 12):
            features, quality = read_features(files[clip], 0, variant)
            assert quality[0, 0] < 1 or torch.equal(features.audio[-1], clean.audio[-1])
            qualities.append(quality)
    corrupted = (torch.stack(qualities)[:, 0] < 1).double().mean(dim=0)
    assert ((corrupted > 0.3) & (corrupted < 0.75)).all()


def test_the_other_variants_begin_at_a_random_phase(entries, tmp_path):
    recipe = changed(VARIED, train={"random_phase": True, "corruption": 0.0})
    files = filled(entries, tmp_path, recipe)
    variants = [read_features(path, 0, variant) for path in files.values() for variant in (1, 2)]
    assert len({features.audio[-1].numpy().tobytes() for features, _ in variants}) == 2 * CLIPS
    assert all(bool((quality[features.segment_mask] == 1).all()) for features, quality in variants)


def test_no_two_variants_clips_or_windows_are_corrupted_in_the_same_way(entries, tmp_path):
    """As a whole: the audio of these clips is so short that a stretch may miss it."""
    files = filled(entries, tmp_path, changed(VARIED, train={"corruption": 1.0, "local_corruption": 0.0}))
    sounds = [
        read_features(path, window, variant)[0].audio[-1].numpy().tobytes()
        for path in files.values()
        for window in range(windows_in(path))
        for variant in (1, 2)
    ]
    assert len(sounds) == 2 * (CLIPS + 1)
    assert len(set(sounds)) >= len(sounds) - 1  # one that has nothing random may be drawn twice


# damage


@pytest.mark.parametrize("content", [b"", b"nonsense" * 20, None], ids=["empty", "nonsense", "truncated"])
@pytest.mark.parametrize("read", [read_features, windows_in])
def test_a_damaged_file_is_one_line_that_names_it_and_the_remedy(entries, tmp_path, content, read):
    path = filled(entries, tmp_path)["0.mp4"]
    path.write_bytes(path.read_bytes()[:-7] if content is None else content)
    with pytest.raises(MsmaError, match="delete it, it will be recreated") as caught:
        read(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)


def test_a_file_that_lacks_a_variant_is_damaged(entries, tmp_path):
    with pytest.raises(MsmaError, match="damaged cache entry"):
        read_features(filled(entries, tmp_path)["0.mp4"], variant=1)


def test_a_file_that_is_missing_is_reported(tmp_path):
    with pytest.raises(MsmaError, match=r"none\.safetensors: damaged cache entry"):
        read_features(tmp_path / "none.safetensors")


# as a dataset


def test_without_augmentation_an_item_is_the_first_window_as_it_is(entries, tmp_path):
    files = filled(entries, tmp_path, VARIED)
    features, target, quality, _ = FeatureDataset(ROWS, files)[7, 4]
    assert same(features, read_features(files["4.mp4"])[0])
    assert features.linear is None
    assert target.tolist() == pytest.approx(ROWS[4].target)
    assert (quality[features.segment_mask] == 1).all()


def test_an_item_is_a_function_of_seed_epoch_and_clip(entries, tmp_path):
    config = changed(VARIED, train={"modality_dropout": 0.5, "frame_dropout": 0.5, "corruption": 1.0}).train
    files = filled(entries, tmp_path, VARIED)
    one, other = FeatureDataset(ROWS, files, config), FeatureDataset(ROWS, files, config)
    keys = [(epoch, index) for epoch in range(6) for index in range(CLIPS)]
    for key, (features, _, quality, _) in zip(keys, [one[key] for key in keys], strict=True):
        again, _, quality_again, _ = other[key]
        assert same(features, again)
        torch.testing.assert_close(quality, quality_again, atol=0, rtol=0, equal_nan=True)
    reseeded = FeatureDataset(ROWS, files, config.model_copy(update={"seed": 5}))
    assert not all(same(one[key][0], reseeded[key][0]) for key in keys)


def test_with_two_readings_an_item_carries_another_variant(entries, tmp_path):
    two = {"two_readings": True, "distillation_weight": 0.0, "imputation_weight": 0.0, "modality_dropout": 0.0}
    config = changed(VARIED, train=two | {"frame_dropout": 0.0}).train
    clips = FeatureDataset(ROWS, filled(entries, tmp_path, VARIED), config)
    items = [clips[epoch, 4] for epoch in range(20)]
    assert any(not torch.equal(one.audio[-1], second.audio[-1]) for one, _, _, second in items)
    assert FeatureDataset(ROWS, clips.files, config.model_copy(update={"two_readings": False}))[0, 4][3] is None


def test_over_the_epochs_every_window_and_variant_is_seen(entries, tmp_path):
    config = changed(VARIED, train={"modality_dropout": 0.0, "frame_dropout": 0.0}).train
    files = filled(entries, tmp_path, VARIED)
    clips = FeatureDataset(ROWS, files, config)
    seen = [clips[epoch, 4][0].audio[-1] for epoch in range(60)]
    for window in range(2):
        for variant in range(3):
            kept, _ = read_features(files["4.mp4"], window, variant)
            assert any(torch.equal(kept.audio[-1], one) for one in seen)


def test_the_linear_predictions_of_a_clip_come_with_it(entries, tmp_path):
    known = torch.rand(3, 5)
    clips = FeatureDataset(ROWS, filled(entries, tmp_path), CACHED.train, {"1.mp4": known})
    assert clips[0, 1][0].linear is known
    assert clips[0, 2][0].linear is None


def test_a_dataset_can_be_sent_to_a_process_that_was_not_forked(entries, tmp_path):
    clips = FeatureDataset(ROWS, filled(entries, tmp_path), CACHED.train)
    again = pickle.loads(pickle.dumps(clips))  # noqa: S301  (our own)
    assert same(again[0, 1][0], clips[0, 1][0])


def test_a_file_is_read_once(entries, tmp_path):
    files = filled(entries, tmp_path)
    clips = FeatureDataset(ROWS, files, CACHED.train)
    expected = [clips[epoch, 0][0] for epoch in range(4)]
    files["0.mp4"].unlink()
    assert all(same(clips[epoch, 0][0], one) for epoch, one in enumerate(expected))


def test_memory_for_what_is_held_is_bounded(entries, tmp_path, monkeypatch):
    files = filled(entries, tmp_path)
    size = sum(tensor.nbytes for tensor in read_stored(files["0.mp4"], 0, 0).values())
    monkeypatch.setattr("msma.data.features.HELD_BYTES", 2 * size)
    clips = FeatureDataset(ROWS, files)
    expected = [clips[0, index][0] for index in range(CLIPS)]
    assert len(clips.held) == 2
    assert all(same(clips[0, index][0], one) for index, one in enumerate(expected))
