"""Fitting the linear path: from which clips, for which traits, and how far a network may step away from it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from planted import CACHED, planted_corpus

from msma.data.corpora.manifest import Row, mean_target, targets
from msma.data.features import fill_features, read_features
from msma.metrics import ccc
from msma.model.head import AVAILABLE, BOX, LinearPath
from msma.model.msma_net import MsMANet
from msma.model.tensors import Features, collate
from msma.training.linear_fit import Pooled, fit_linear_path, pooled_features, shrunk_tensors
from msma.training.loop import logit, new_network
from msma.training.ridge import MIN_ROWS, Shrinkage, shrunk

AUDIO, VISUAL, CLIPS = 3, 2, 60
PRIOR = np.array([0.3, 0.4, 0.5, 0.6, 0.7])


def pooled_at_random(present: np.ndarray) -> tuple[Pooled, list[Row]]:
    """Traits that are linear in both modalities; what is not present is zero."""
    rng = np.random.default_rng(0)
    clips = len(present)
    causes = rng.normal(size=(clips, 5))
    target = (0.5 + 0.1 * causes).clip(0, 1)
    audio, visual = (
        (causes @ rng.normal(size=(5, 2 * channels)) + rng.normal(0, 0.01, (clips, 2 * channels))) * has[:, None]
        for channels, has in ((AUDIO, present[:, 0]), (VISUAL + BOX, present[:, 1]))
    )
    rows = [
        Row(f"{i}.mp4", Path(f"{i}.mp4"), f"source{i // 2}", "train", tuple(scores))
        for i, scores in enumerate(target.tolist())
    ]
    return Pooled(audio, visual, present, ((AUDIO,), (VISUAL, BOX))), rows


def all_present(clips: int = CLIPS) -> np.ndarray:
    return np.ones((clips, 2), dtype=bool)


def fitted(pooled: Pooled, rows: list[Row]) -> tuple[LinearPath, dict[str, torch.Tensor]]:
    path = LinearPath(*map(sum, pooled.groups))
    return path, fit_linear_path(path, rows, pooled, PRIOR, seed=0)


def answers(path: LinearPath, reading: str, pooled: Pooled) -> np.ndarray:
    blocks = (pooled.audio, pooled.visual)
    features = torch.from_numpy(np.concatenate([blocks[m] for m in AVAILABLE[reading]], axis=1)).float()
    return (features @ getattr(path, f"{reading}_weights") + getattr(path, f"{reading}_bias")).double().numpy()


def same(one: LinearPath, other: LinearPath, *readings: str) -> bool:
    names = [f"{reading}_{part}" for reading in readings for part in ("weights", "bias")]
    return all(torch.equal(getattr(one, name), getattr(other, name)) for name in names)


def test_every_reading_is_fitted_to_its_modalities():
    pooled, rows = pooled_at_random(all_present())
    path, held_out = fitted(pooled, rows)
    for place, reading in enumerate(AVAILABLE):
        apart = np.array([held_out[row.clip][place].tolist() for row in rows])
        assert ccc(answers(path, reading, pooled), targets(rows)).mean() > 0.6
        assert ccc(apart, targets(rows)).mean() > 0.6
    assert ccc(answers(path, "both", pooled), targets(rows)).min() > 0.95


def test_the_answers_that_training_sees_are_not_those_of_a_fit_to_the_clip_itself():
    pooled, rows = pooled_at_random(all_present())
    path, held_out = fitted(pooled, rows)
    apart = np.array([held_out[row.clip][0].tolist() for row in rows])
    own = np.abs(answers(path, "both", pooled) - targets(rows)).mean()
    assert own < np.abs(apart - targets(rows)).mean()


@pytest.mark.parametrize(("lacking", "reading", "other"), [(0, "audio", "visual"), (1, "visual", "audio")])
def test_a_clip_that_lacks_a_modality_is_left_out_of_the_readings_of_it(lacking, reading, other):
    present = all_present()
    present[::5, lacking] = False
    pooled, rows = pooled_at_random(present)
    path, held_out = fitted(pooled, rows)
    garbage = Pooled(pooled.audio.copy(), pooled.visual.copy(), present, pooled.groups)
    (garbage.audio, garbage.visual)[lacking][::5] = 1e3
    changed, held_out_changed = fitted(garbage, rows)
    assert same(path, changed, *AVAILABLE)
    place = list(AVAILABLE).index(other)
    assert all(torch.equal(held_out[clip][place], held_out_changed[clip][place]) for clip in held_out)
    without, _ = fitted(pooled.rows(np.flatnonzero(present.all(axis=1))), [r for i, r in enumerate(rows) if i % 5])
    assert same(path, without, "both", reading)
    assert not same(path, without, other)  # there, all clips count


def test_with_too_few_clips_of_a_modality_its_readings_answer_the_prior():
    present = all_present()
    present[MIN_ROWS - 1 :, 1] = False
    pooled, rows = pooled_at_random(present)
    path, held_out = fitted(pooled, rows)
    for reading in ("both", "visual"):
        np.testing.assert_allclose(answers(path, reading, pooled), np.tile(PRIOR, (CLIPS, 1)), atol=1e-6)
    np.testing.assert_allclose(held_out["0.mp4"][[0, 2]].numpy(), np.tile(PRIOR, (2, 1)), atol=1e-6)
    assert ccc(answers(path, "audio", pooled), targets(rows)).mean() > 0.7


def test_with_one_source_nothing_is_fitted():
    pooled, rows = pooled_at_random(all_present())
    alone = [Row(row.clip, row.path, "one", row.split, row.target) for row in rows]
    path, _ = fitted(pooled, alone)
    np.testing.assert_allclose(answers(path, "both", pooled), np.tile(PRIOR, (CLIPS, 1)), atol=1e-6)


def test_a_network_of_one_modality_has_an_empty_block_for_the_other():
    pooled, rows = pooled_at_random(all_present())
    alone = Pooled(pooled.audio, np.zeros((CLIPS, 0)), pooled.present, ((AUDIO,), ()))
    path, held_out = fitted(alone, rows)
    assert ccc(answers(path, "audio", alone), targets(rows)).mean() > 0.7
    np.testing.assert_allclose(held_out["0.mp4"][2].numpy(), PRIOR, atol=1e-6)


def test_a_trait_without_labels_gets_no_weights_and_the_others_are_fitted_as_by_themselves():
    pooled, rows = pooled_at_random(all_present())
    nan = float("nan")
    two = [Row(r.clip, r.path, r.source, r.split, (r.target[0], nan, nan, r.target[3], nan)) for r in rows]
    path, held_out = fitted(pooled, two)
    assert not path.both_weights[:, [1, 2, 4]].any()
    np.testing.assert_allclose(path.both_bias[[1, 2, 4]].numpy(), PRIOR[[1, 2, 4]], atol=1e-6)
    assert ccc(answers(path, "both", pooled), targets(rows))[[0, 3]].min() > 0.95
    assert all(torch.isfinite(held).all() for held in held_out.values())


@pytest.mark.parametrize("factor", [1e3, -1e3, 1e9])
def test_clips_unlike_all_that_it_was_fitted_to_are_answered_within_the_range_of_the_labels(factor):
    pooled, rows = pooled_at_random(all_present())
    path, _ = fitted(pooled, rows)
    sound = torch.full((1, AUDIO, 1, 4), factor)
    strange = Features(
        visual=(torch.full((1, 4, VISUAL, 1, 1), factor),),
        boxes=torch.full((1, 4, 4), factor),
        frame_mask=torch.ones(1, 4, dtype=torch.bool),
        audio=(sound,),
        audio_mask=torch.ones(1, 4, dtype=torch.bool),
        present=torch.ones(1, 2, dtype=torch.bool),
        audio_statistics=torch.zeros(1, 1, 0),
        visual_statistics=torch.zeros(1, 1, 0),
        segment_mask=torch.ones(1, 1, 2, dtype=torch.bool),
    )
    target = torch.from_numpy(np.vstack([targets(rows), PRIOR])).float()
    answered = path(strange)[0]
    assert ((answered >= target.amin(dim=0)) & (answered <= target.amax(dim=0))).all()


def test_a_feature_counts_up_to_half_a_width_beyond_the_range_of_the_fit():
    pooled, rows = pooled_at_random(all_present())
    path, _ = fitted(pooled, rows)
    least, most = pooled.audio.min(axis=0), pooled.audio.max(axis=0)
    np.testing.assert_allclose(path.audio_max.numpy(), most + (most - least) / 2, rtol=1e-5)
    np.testing.assert_allclose(path.audio_min.numpy(), least - (most - least) / 2, rtol=1e-5)


# in a network


@pytest.fixture(scope="module")
def kept(tmp_path_factory) -> tuple[list[Row], dict[str, Path]]:
    folder = tmp_path_factory.mktemp("kept")
    corpus = planted_corpus(folder, train=24, held_out=0)
    network, _ = new_network(CACHED, PRIOR)
    rows = list(corpus.rows)
    return rows, fill_features(network, rows, corpus, CACHED, "none")


def batch(kept: tuple[list[Row], dict[str, Path]]) -> Features:
    rows, files = kept
    return collate([read_features(files[row.clip])[0] for row in rows])


def network_on(kept: tuple[list[Row], dict[str, Path]]) -> MsMANet:
    """A network whose head takes steps of some size from a fitted linear path."""
    rows, files = kept
    network, _ = new_network(CACHED, mean_target(rows))
    fit_linear_path(network.linear_path, rows, pooled_features(rows, files, network), mean_target(rows), seed=0)
    return network.eval()


def test_the_path_of_a_network_answers_planted_traits_as_it_is_fitted(kept):
    rows, files = kept
    network = network_on(kept)
    with torch.inference_mode():
        found = network.linear_path(batch(kept))[:, 1].double().numpy()
    path = network.linear_path
    expected = answers(path, "audio", pooled_features(rows, files, network))
    np.testing.assert_allclose(found, expected.clip(path.lowest.numpy(), path.highest.numpy()), atol=1e-5)
    assert ccc(found, targets(rows)).mean() > 0.8


@pytest.mark.parametrize(
    "by", [Shrinkage(0.0, 1.3), Shrinkage(0.5, 0.7), Shrinkage(1.0, 1.0), Shrinkage(0.25, 1.6)], ids=str
)
def test_shrunk_tensors_in_a_network_answer_what_shrunk_says(kept, by):
    # In double precision: near 0 and 1 the logit multiplies what single precision rounds off.
    network, features = network_on(kept).double(), batch(kept)
    floats = ("boxes", "audio_statistics", "visual_statistics")
    doubled: dict[str, Any] = {name: getattr(features, name).double() for name in floats}
    doubled |= {name: tuple(one.double() for one in getattr(features, name)) for name in ("audio", "visual")}
    features = replace(features, **doubled)
    mean = network.head.prior.double().numpy()
    with torch.inference_mode():
        before = network(features, return_intermediates=True)
        first, traits = before.intermediates["linear_prediction"].double().numpy(), before.traits.double().numpy()
        network.load_state_dict(shrunk_tensors(network, by))
        after = network(features).traits.double().numpy()
    steps = logit(traits) - logit(first)
    assert np.abs(steps).max() > 0.05
    np.testing.assert_allclose(after, shrunk(first, steps, mean, by), atol=1e-5)


def test_shrinking_leaves_the_network_itself_as_it_was(kept):
    network = network_on(kept)
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    shrunk_tensors(network, Shrinkage(0.5, 0.5))
    assert all(torch.equal(before[name], tensor) for name, tensor in network.state_dict().items())
