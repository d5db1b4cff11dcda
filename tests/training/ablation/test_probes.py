"""Looking into a network: what is measured, and that only what should be spoiled is."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from planted import CLIP, RECIPE, changed, planted_window, with_rows

from msma.config import Limits, Recipe
from msma.data.cache import CacheReport
from msma.data.cache_entry import write_entry
from msma.data.corpora.manifest import Manifest, Row
from msma.data.corpus import Corpus
from msma.prediction.model import Model
from msma.training.ablation import probes
from msma.training.ablation.probes import probe, read_probed, with_noise_in, write_probed
from msma.training.loop import fresh_network
from msma.types import MsmaError
from msma.weights.checkpoint import Weights
from msma.weights.config import WeightsConfig

WHOLE = changed(RECIPE, clip={"face": "whole"})


def model_of(recipe: Recipe) -> Model:
    network = fresh_network(recipe, np.full(5, 0.5)).eval()
    config = WeightsConfig(name="fresh", corpus="planted", notice="", clip=recipe.clip, model=recipe.model)
    return Model(Weights(network, config), recipe.clip, Limits(), None, "cpu")


@pytest.fixture(scope="module")
def clips(tmp_path_factory) -> Corpus:
    """Four clips; the second has no sound."""
    folder, rng, rows, entries = tmp_path_factory.mktemp("clips"), np.random.default_rng(0), [], {}
    for place in range(4):
        name, scores = f"clip{place}", rng.uniform(0.1, 0.9, 5)
        window = planted_window(name, scores, rng)
        if place == 1:
            window = replace(window, clip=replace(window.clip, waveform=window.clip.waveform[:0]))
        entries[name] = folder / f"{name}.clip"
        write_entry(entries[name], [window])
        rows.append(Row(name, folder / name, name, "test", tuple(scores.tolist())))
    return Corpus(Manifest("planted", tuple(rows), {}), CacheReport(folder, entries))


@pytest.fixture(scope="module")
def seen(clips) -> dict[str, np.ndarray]:
    (found,) = probe([model_of(WHOLE)], clips, "test")
    return found


def test_clips_that_lack_what_the_network_reads_are_passed_over(seen):
    assert seen["rows"].tolist() == [0, 2, 3]


def test_everything_is_measured_at_every_severity(seen):
    for modality in ("audio", "visual"):
        assert seen[f"{modality}_noise"].shape == (3, 6, 5)
        for measure in ("quality", "weight", "evenness"):
            assert seen[f"{modality}_noise_{measure}"].shape == (3, 6)
        np.testing.assert_array_equal(seen[f"{modality}_noise"][:, 0], seen["clean"])
        assert (np.ptp(seen[f"{modality}_noise"], axis=1) > 0).all()
        assert seen[f"cka_{modality}_spatial"].shape == (3, 3)
    assert seen["both_worst"].shape == seen["audio_alone"].shape == (3, 5)


def test_the_tokens_of_the_two_halves_are_all_of_them(seen):
    for modality in ("audio", "visual"):
        np.testing.assert_allclose(seen[f"{modality}_half_share"].sum(axis=1), 1, atol=1e-5)
        assert (seen[f"{modality}_half_clean"].sum(axis=1) <= 1 + 1e-5).all()  # the null key has the rest
        assert (seen[f"{modality}_half_noisy"] != seen[f"{modality}_half_clean"]).any()


def test_a_network_that_cannot_hear_noise_has_attention_that_does_not_move(clips):
    model = model_of(WHOLE)
    fusion = model.weights.network.fusion
    assert fusion is not None
    with torch.no_grad():
        fusion.visual_from_audio.query.weight.zero_()
        fusion.visual_from_audio.query.bias.zero_()
        fusion.visual_from_audio.time_bias.bias.zero_()
        fusion.visual_from_audio.quality_weight.fill_(-50.0)
    (found,) = probe([model], clips, "test")
    np.testing.assert_allclose(found["audio_noise_evenness"], 1, atol=1e-5)
    np.testing.assert_allclose(found["audio_half_noisy"], found["audio_half_clean"], atol=1e-6)


def test_of_a_network_without_cross_attention_there_is_none_to_measure(clips):
    (found,) = probe([model_of(changed(WHOLE, model={"fusion": "concat"}))], clips, "test")
    assert not [name for name in found if "half" in name or "evenness" in name]
    assert {"audio_alone", "both_worst", "visual_noise_weight"} <= found.keys()


def test_a_network_of_one_modality_is_looked_into_for_that_one(clips):
    (found,) = probe([model_of(changed(WHOLE, model={"fusion": "visual", "temporal_scales_s": (0.5,)}))], clips, "test")
    assert found["rows"].tolist() == [0, 1, 2, 3]
    assert not [name for name in found if "audio" in name]
    assert "both_worst" not in found
    assert "cka_visual_temporal" not in found
    assert "cka_visual_spatial" in found


def test_where_no_clip_holds_what_is_read_nothing_is_found(clips):
    assert probe([model_of(WHOLE)], with_rows(clips, clips.rows[1:2]), "test") == [{}]


def test_so_many_clips_are_looked_at_and_no_more(clips, monkeypatch):
    monkeypatch.setattr(probes, "PROBED_CLIPS", 2)
    (found,) = probe([model_of(WHOLE)], clips, "test")
    assert found["rows"].tolist() == [0, 2]


def test_networks_together_are_measured_as_alone_with_every_view_prepared_once(clips, seen, monkeypatch):
    plain, prepared = probes.prepare, []
    monkeypatch.setattr(probes, "prepare", lambda *given: prepared.append(1) or plain(*given))
    of_audio = model_of(changed(WHOLE, model={"fusion": "audio"}))
    (alone,) = probe([of_audio], clips, "test")
    prepared.clear()
    both, again, one = probe([model_of(WHOLE), model_of(WHOLE), of_audio], clips, "test")
    views = 1 + 5 + 5 + 2 + 2 + 1  # clean, two noises by severity, each half of each modality, both at their worst
    assert len(prepared) == 1 + 3 * views  # the second clip has no sound, which all three read
    for expected, found in ((seen, both), (seen, again), (alone, one)):
        assert expected.keys() == found.keys()
        for name, values in expected.items():
            np.testing.assert_array_equal(values, found[name])


@pytest.mark.parametrize("half", [0, 1])
def test_noise_is_in_the_named_half_alone_and_the_clip_is_untouched(half):
    clip = planted_window("clip", np.full(5, 0.5), np.random.default_rng(0)).clip
    before, frames = clip.waveform.copy(), clip.frames.copy()
    tokens = np.array([True, True, False, False]) == (half == 0)
    heard = with_noise_in(clip, "audio", tokens, CLIP)
    middle = len(before) // 2
    spoiled, kept = (slice(0, middle), slice(middle, None))[:: 1 if half == 0 else -1]
    np.testing.assert_array_equal(heard.waveform[kept], before[kept])
    assert np.std(heard.waveform[spoiled] - before[spoiled]) > 0.5 * np.std(before[spoiled])
    seen = with_noise_in(clip, "visual", tokens, CLIP)
    np.testing.assert_array_equal(seen.frames[~tokens], frames[~tokens])
    assert (seen.frames[tokens] != frames[tokens]).mean() > 0.5
    np.testing.assert_array_equal(clip.waveform, before)
    np.testing.assert_array_equal(clip.frames, frames)


def test_what_was_measured_is_read_back_and_a_damaged_file_is_one_line(seen, tmp_path):
    path = tmp_path / "probes.safetensors"
    write_probed(path, seen)
    back = read_probed(path)
    assert back.keys() == seen.keys()
    for name, values in seen.items():
        np.testing.assert_array_equal(back[name], values)
    path.write_bytes(path.read_bytes()[:50])
    with pytest.raises(MsmaError, match="delete it, the network will be probed again") as caught:
        read_probed(path)
    assert str(caught.value).startswith(f"{path}: damaged")
    assert "\n" not in str(caught.value)
